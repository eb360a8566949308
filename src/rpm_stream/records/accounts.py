"""The balance of one frame."""

from __future__ import annotations

from rpm_stream.records.base import Code, Record, Time, Version


class Account(Record, frozen=True, kw_only=True):
    """The balance of one frame, counted in parts.

    ``parts`` is the sum of readings, duplicates and rejects. An entry without any part (a session
    start, a glucose context) counts as ``context``. A frame that was refused whole counts as one
    part. What was refused before counts as a duplicate, and its reject is not written again.
    ``known_rejects`` has the ids of those earlier rejects, each once, at most 1,000.
    """

    v: Version = 1
    frame: str | None
    gateway: str | None
    device: str
    seq: int | None
    boot: str | int | None
    partition: int
    offset: int
    received_at: Time
    entries: int
    context: int
    parts: int
    readings: int
    duplicates: int
    rejects: dict[str, int]
    known_rejects: tuple[Code, ...] = ()
