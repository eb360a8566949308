"""What is kept of a patient's vitals: runs of readings at one level, so that a late reading finds its place.

A vital at 1 Hz gives one segment as long as its level stays the same. A late reading joins or splits segments; where
the count of a split run is no longer known exactly it is rounded up: an alert may come that would not have come in
order, never the other way round (CONTRACT 4 b).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from rpm_stream.records import Reading

Level = Literal["inside", "between", "amber", "red", "own"]

KEPT_FOR = timedelta(hours=24)  # twice NEWS2's freshness
MOST_SEGMENTS = 32
READINGS_KEPT = 4
SAME_RUN = timedelta(hours=1)  # a longer pause starts a new segment: freshness is judged at a segment's end


class Segment(msgspec.Struct):
    """Consecutive readings of one vital at one level. ``reading`` is the last of them, where it may become evidence."""

    start: datetime
    end: datetime
    level: Level
    points: int | None  # NEWS2
    count: int = 1
    reading: Reading | None = None

    def matches(self, level: Level, points: int | None) -> bool:
        return self.level == level and self.points == points


class VitalHistory(msgspec.Struct):
    """Segments of one vital, oldest first."""

    segments: list[Segment] = []


class Placing(msgspec.Struct, frozen=True):
    """Where a reading came to lie. ``changed``: the course of levels is another one than before."""

    index: int
    late: bool
    changed: bool


class Run(msgspec.Struct, frozen=True):
    """Neighbouring segments at the same level."""

    start: datetime
    end: datetime
    count: int


def add(history: VitalHistory, reading: Reading, level: Level, points: int | None) -> Placing:
    """Enter a reading at its measured time."""
    segments, at = history.segments, reading.measured_at
    if not segments or at >= segments[-1].end:
        if segments and segments[-1].matches(level, points) and at - segments[-1].end <= SAME_RUN:
            tail = segments[-1]
            tail.end, tail.count, tail.reading = at, tail.count + 1, reading
            return Placing(len(segments) - 1, False, False)
        segments.append(Segment(start=at, end=at, level=level, points=points, reading=reading))
        _trim(history)
        return Placing(len(segments) - 1, False, True)
    return _add_late(segments, Segment(start=at, end=at, level=level, points=points, reading=reading))


def _add_late(segments: list[Segment], new: Segment) -> Placing:
    at = new.start
    after = next((i for i, segment in enumerate(segments) if segment.end >= at), len(segments))
    segment = segments[after]
    if segment.start <= at:
        if segment.matches(new.level, new.points):
            segment.count += 1
            return Placing(after, True, False)
        return _split(segments, after, new)
    if segment.matches(new.level, new.points) and segment.start - at <= SAME_RUN:
        segment.start, segment.count = at, segment.count + 1
        return Placing(after, True, True)
    before = segments[after - 1] if after else None
    if before and before.matches(new.level, new.points) and at - before.end <= SAME_RUN:
        before.end, before.count = at, before.count + 1
        return Placing(after - 1, True, True)
    segments.insert(after, new)
    return Placing(after, True, True)


def _split(segments: list[Segment], index: int, new: Segment) -> Placing:
    whole = segments[index]
    rest = max(1, whole.count - 1)
    pieces = []
    if whole.start < new.start:
        pieces.append(msgspec.structs.replace(whole, end=new.start, count=rest, reading=whole.reading))
    pieces.append(new)
    if whole.end > new.start or not whole.start < new.start:
        pieces.append(msgspec.structs.replace(whole, start=new.start, count=rest))
    segments[index : index + 1] = pieces
    return Placing(segments.index(new, index), True, True)


def _trim(history: VitalHistory) -> None:
    """Forget what is over a day old, and the readings that can no longer be evidence."""
    segments = history.segments
    oldest = segments[-1].end - KEPT_FOR
    while len(segments) > 1 and (segments[0].end < oldest or len(segments) > MOST_SEGMENTS):
        del segments[0]
    kept = READINGS_KEPT
    for segment in reversed(segments[:-1]):
        if segment.reading is None:
            continue
        if (segment.level == "inside" and not segment.points) or kept == 0:
            segment.reading = None
        else:
            kept -= 1


def run(history: VitalHistory, index: int, level: Level) -> Run:
    """The run at ``level`` that segment ``index`` belongs to, to both sides."""
    segments = history.segments
    first = last = index
    while first and segments[first - 1].level == level:
        first -= 1
    while last + 1 < len(segments) and segments[last + 1].level == level:
        last += 1
    count = sum(segment.count for segment in segments[first : last + 1])
    return Run(segments[first].start, segments[last].end, count)


def inside_since(history: VitalHistory) -> datetime | None:
    """Since when the newest readings are all inside their recovery limit; None when the newest is not."""
    segments = history.segments
    if not segments or segments[-1].level != "inside":
        return None
    return run(history, len(segments) - 1, "inside").start


def as_of(history: VitalHistory, at: datetime, fresh_for: timedelta) -> Segment | None:
    """The segment of the newest reading not after ``at``, if fresh."""
    for segment in reversed(history.segments):
        if segment.start <= at:
            return segment if at - segment.end <= fresh_for else None
    return None
