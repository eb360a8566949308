"""The record of something that could not become a reading."""

from __future__ import annotations

from rpm_stream.records.base import Record, Time, Version
from rpm_stream.records.readings import Origin
from rpm_stream.records.terms import Reason, Stage


class Position(Record, frozen=True, kw_only=True):
    """A place in a Kafka topic, or a line in a replay."""

    topic: str
    partition: int
    offset: int


class Reject(Record, frozen=True, kw_only=True):
    """Something that could not become a reading, kept with its reason.

    ``original`` is base64 of at most 64 KiB. ``parts`` has all parts of the entry that were refused
    for this one cause. It is empty if that is the one part that ``origin`` names, or the whole
    frame.
    """

    v: Version = 1
    id: str
    device: str
    at: Time
    origin: Origin | None
    reason: Reason
    stage: Stage
    detail: str
    original: str
    sha256: str
    position: Position
    line: int | None = None
    parts: tuple[int, ...] = ()
