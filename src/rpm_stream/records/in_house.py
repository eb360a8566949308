"""The nouns that one stage hands to the next; no topic holds them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from rpm_stream.records.base import Record, Time
from rpm_stream.records.readings import Reading
from rpm_stream.records.terms import Absent, Direction, Priority


class Decoded(Record, frozen=True, kw_only=True):
    """One value inside a payload, as sent: before identity, time and plausibility.

    ``part`` counts from 0.
    """

    vital: str
    value: str | None
    unit: str
    absent: Absent | None = None
    flags: tuple[str, ...] = ()
    part: int = 0
    attributes: dict[str, Any] = {}
    device_time: datetime | None = None  # local, no zone
    unit_sent: str | None = None  # where ``unit`` is another spelling of it
    # what identifies the value on its device (sequence number, session offset); "" = time and
    # payload
    key: str = ""


class Payload(Record, frozen=True, kw_only=True):
    """All that one payload says: readings (may be none) and, for a payload without a vital, its
    attributes.
    """

    readings: tuple[Decoded, ...] = ()
    attributes: dict[str, Any] = {}


Kind: TypeAlias = Literal[
    "limit",
    "news2",
    "detector",
    "trend",
    "rate",
    "quality",
    "device",
    "silence",
    "setting",
    "not_judged",
    "unknown",
]
"""Which rule found something: one kind a rule (score/rules/table.py, pipeline/patient_rules.py).

``unknown``: no rule of this release; only a person ends what it holds.
"""


class Key(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a finding is about within its kind: one key of a kind is one member of an episode.

    ``vital`` and ``side`` of a limit; ``device`` and, in ``what`` and ``of``, its kind of fault and
    where that shows; ``what`` besides: the own name of a limit that somebody set, a detector, a
    problem of a setting.
    """

    vital: str = ""
    side: Direction | None = None
    device: str = ""
    what: str = ""
    of: str = ""


class Finding(Record, frozen=True, kw_only=True):
    """In-house, what score hands to alert: a rule that holds at one moment. ``kind`` is that
    rule's, ``key`` what it is about; ``member`` is the text of both (score/memory/member_names.py),
    under which its episode keeps it. ``vital`` the one whose return makes it historical;
    ``evidence`` the readings, the deciding one first; ``direction`` the side of a limit that it is
    beyond, where it has one. ``opened_by``: what the alert's id is made of besides patient and
    group, where there is no reading (a device that was never heard, a setting). ``number`` and
    ``bound``: the value and the mildest limit that it is beyond, in the vital's first unit
    (infinite for LO and HI); ``points`` of NEWS2; ``apart``: seconds to the nearest reading of the
    vital before.
    """

    kind: Kind
    key: Key
    member: str
    rule: str
    group: str
    priority: Priority
    title: str
    why: str
    evidence: tuple[Reading, ...]
    vital: str
    measured_at: Time
    late: bool = False
    direction: Direction | None = None
    opened_by: tuple[str, ...] = ()
    number: Decimal | None = None
    bound: Decimal | None = None
    beyond_query: bool = False
    points: int = 0
    apart: float | None = None


class Total(Record, frozen=True, kw_only=True):
    """In-house, what NEWS2 is now: the range that is known, in words, and the readings that give
    points.

    ``priority``: of an alert that it opens by itself; None below its limit.
    """

    at: Time
    minimum: int
    maximum: int
    priority: Priority | None
    title: str
    why: str
    evidence: tuple[str, ...]
    vitals: tuple[str, ...]
