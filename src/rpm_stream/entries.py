"""Records that decoding hands to normalising: an entry of a frame, and a refusal with its reason.

Two words are kept apart. A *refusal* is a decision: a value, an entry or a frame becomes no
reading, for this reason. A *reject* is the record in ``rpm.rejects`` that publishes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rpm_stream.records.base import Record
from rpm_stream.records.in_house import Payload
from rpm_stream.records.terms import Reason

APP: Final = "app"  # in the place of a characteristic: a measurement of an app
FHIR: Final = "fhir"  # in the place of a characteristic: a FHIR resource
SEGMENTED: Final = frozenset({"2B8B", "2BDD"})  # characteristics whose messages come in segments


class Entry(Record, frozen=True, kw_only=True):
    """One decoded entry of a frame.

    ``content`` identifies the entry beside its time (CONTRACT 5). ``original`` is its JSON as it
    was sent. ``segment`` is set for a notification that is one of several segments and has no
    values by itself. A FHIR resource also has its own ``utc_offset``, and ``subject`` holds every
    id of its patient.
    """

    index: int
    at: datetime
    characteristic: str
    content: str
    payload: Payload
    original: bytes
    utc_offset: str | None = None
    subject: tuple[str, ...] = ()
    segment: bytes | None = None


class BadEntry(Record, frozen=True, kw_only=True):
    """An entry that could not be decoded."""

    index: int
    reason: Reason
    detail: str
    original: bytes


class Refusal(Record, frozen=True, kw_only=True):
    """The reason why something did not become a reading.

    ``detail`` is for the sender and names what to correct.
    """

    reason: Reason
    detail: str
