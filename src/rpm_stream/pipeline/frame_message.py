"""A message of rpm.frames, and all that becomes of it."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.records import Account, Position, Readings, Record, Reject


class FrameMessage(Record, frozen=True, kw_only=True):
    """A message of rpm.frames.

    A message from a file has ``lines``: the line of each entry, or of all entries in one.
    ``patient`` is the patient of a row of a CSV file, for a device that is not registered.
    """

    key: str | None
    value: bytes
    position: Position
    received_at: datetime
    lines: tuple[int, ...] = ()
    patient: str | None = None


class Ingested(Record, frozen=True, kw_only=True):
    """All results of one frame."""

    readings: tuple[Readings, ...]
    rejects: tuple[Reject, ...]
    account: Account
