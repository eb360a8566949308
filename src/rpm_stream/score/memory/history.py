"""The history of a vital: runs of readings at one level, in which a late reading finds its place.

A vital at 1 Hz has one segment as long as its level stays the same. A late reading joins or splits
segments. Where the count of a split run is no longer known exactly it is rounded up. An alert may
then come that would not have come in order, but never the other way round (CONTRACT 4 b).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from rpm_stream.records.readings import DEVICE_TIME, Reading
from rpm_stream.records.terms import Direction

PlacingLevel = Literal["inside", "between", "beyond"]

KEPT_FOR = timedelta(hours=24)  # twice NEWS2's freshness
MOST_SEGMENTS = 32
READINGS_KEPT = 4
# A longer pause starts a new segment, because freshness is judged at a segment's end.
SAME_RUN = timedelta(hours=1)


class Segment(msgspec.Struct, array_like=True):
    """Consecutive readings of one vital that mean the same.

    They have the same level, the same ``points`` of NEWS2, the same ``broken`` (the limits that
    they are beyond) and the same ``side`` (the one that is not inside). ``reading`` is the last of
    them, where it may become evidence. ``prior`` is the one before it in a segment beyond a limit,
    for the case that ``reading`` is voided. ``shown`` is what the device's clock showed at
    ``reading``, where that time did not count. Two readings with the same such time make no row
    (``memory/rows.py``).
    """

    start: datetime
    end: datetime
    level: PlacingLevel
    points: int | None
    broken: tuple[str, ...]
    count: int
    reading: Reading | None
    side: Direction | None = None
    prior: Reading | None = None
    shown: str | None = None

    def is_of_one_time(self, other: Segment) -> bool:
        """Whether the device's clock, which does not count, showed the same time in both."""
        return self.shown is not None and self.shown == other.shown

    def matches(self, other: Segment) -> bool:
        """Whether both mean the same."""
        return (
            self.broken == other.broken
            and self.level == other.level
            and self.points == other.points
            and self.side == other.side
        )

    def takes(self, new: Segment) -> bool:
        """Whether a reading that means the same counts as one more of these."""
        return self.matches(new) and not (self.broken and self.is_of_one_time(new))

    def is_inside(self, side: Direction | None) -> bool:
        """Whether the readings are back inside on a side.

        A segment of an older state has no side.
        """
        return self.level == "inside" or (
            self.side is not None and side is not None and self.side != side
        )


class VitalHistory(msgspec.Struct):
    """Segments of one vital, oldest first.

    ``inside_from`` is since when the dropped segments were inside, up to the first that is kept. If
    the time inside reaches back to the first kept segment, it begins at ``inside_from``. It is None
    where none was dropped.
    """

    segments: list[Segment] = []
    inside_from: datetime | None = None


class Placing(msgspec.Struct, frozen=True):
    """The place of a reading in the history of its vital.

    A reading can arrive late and lie before others, so its place is not always the end. ``index``
    is that of its segment. ``late`` is true if a newer reading was there already. ``changed`` is
    true if the sequence of levels is not the same as before, so that whatever depends on it must be
    computed again. ``before`` is when the reading before it was measured, where that is known.
    """

    index: int
    late: bool
    changed: bool
    before: datetime | None = None


def ignored_time(reading: Reading) -> str | None:
    """Return the time that the device's clock showed, if that time was ignored.

    Two readings with one such time are not a series.
    """
    if "device_time_ignored" not in reading.flags:
        return None
    shown = reading.attributes.get(DEVICE_TIME)
    return shown if isinstance(shown, str) else None


def segment_of(
    reading: Reading,
    level: PlacingLevel,
    points: int | None,
    broken: tuple[str, ...],
    side: Direction | None = None,
) -> Segment:
    """The segment that consists of one reading."""
    at = reading.measured_at
    return Segment(at, at, level, points, broken, 1, reading, side, shown=ignored_time(reading))


def add(history: VitalHistory, new: Segment) -> Placing:
    """Enter one reading at its measured time."""
    segments = history.segments
    at = new.start
    if not segments:
        segments.append(new)
        return Placing(0, False, True)
    tail = segments[-1]
    if at < tail.end:
        _forget(history, at)
        return _add_late(segments, new)
    before = tail.end
    if tail.takes(new) and at - tail.end <= SAME_RUN:
        tail.prior = tail.reading if tail.level == "beyond" else None
        tail.end = at
        tail.count = tail.count + 1
        tail.reading = new.reading
        tail.shown = new.shown
        return Placing(len(segments) - 1, False, False, before)
    _forget(history, at)
    segments.append(new)
    _drop_readings(segments)
    return Placing(len(segments) - 1, False, True, before)


def goes_on(history: VitalHistory, first: datetime, last: datetime) -> Segment | None:
    """The segment that readings from ``first`` to ``last`` may join without a gap; None where they
    come late, or too late.
    """
    tail = history.segments[-1] if history.segments else None
    if tail is None or first < tail.end or last - tail.end > SAME_RUN:
        return None
    return tail


def go_on(history: VitalHistory, last: Reading | None, at: datetime, count: int) -> None:
    """Let ``count`` readings that are not beyond a limit join the newest segment, which means the
    same; ``last`` is the newest of them, measured ``at``.
    """
    tail = history.segments[-1]
    tail.prior = None
    tail.end = at
    tail.count += count
    tail.reading = last
    tail.shown = None


def _add_late(segments: list[Segment], new: Segment) -> Placing:
    at = new.start
    after = next(i for i, segment in enumerate(segments) if segment.end >= at)
    segment = segments[after]
    if segment.start <= at:
        if segment.takes(new):
            segment.count += 1
            _keep_newest(segment, new.reading)
            _narrow(segments, after, at)
            return Placing(after, True, False)
        return _split(segments, after, new)
    if segment.takes(new) and segment.start - at <= SAME_RUN:
        segment.start = at
        segment.count = segment.count + 1
        _keep_newest(segment, new.reading)
        return Placing(after, True, True)
    before = segments[after - 1] if after else None
    if before and before.takes(new) and at - before.end <= SAME_RUN:
        before.end = at
        before.count = before.count + 1
        _keep_newest(before, new.reading)
        return Placing(after - 1, True, True)
    segments.insert(after, new)
    return Placing(after, True, True)


def _keep_newest(segment: Segment, late: Reading | None) -> None:
    """Keep the two newest readings of a segment beyond a limit after a late one has joined it.

    A segment that names no reading stays so.
    """
    if segment.level == "beyond" and segment.reading is not None and late is not None:
        named = sorted(
            (each for each in (segment.prior, segment.reading, late) if each),
            key=lambda each: each.measured_at,
        )
        segment.prior, segment.reading = named[-2:]


def _narrow(segments: list[Segment], index: int, at: datetime) -> None:
    """Let a calm piece of a split segment begin or end at a late reading in it.

    A split leaves a calm piece that reaches to the reading that split it, because it is not known
    where the piece's own readings lie. A late reading in the piece shows where one of them lies.
    From then on the piece is known to separate segments beyond a limit. Its readings outside the
    new ends are dropped. No alert fails to come for that, because the neighbour is beyond a limit
    and has no fewer points.
    """
    piece = segments[index]
    if index and segments[index - 1].end == piece.start and _is_worse(segments[index - 1], piece):
        piece.start = at
    if (
        index + 1 < len(segments)
        and segments[index + 1].start == piece.end
        and _is_worse(segments[index + 1], piece)
    ):
        piece.end = at


def _is_worse(other: Segment, calm: Segment) -> bool:
    return bool(other.broken) and not calm.broken and (other.points or 0) >= (calm.points or 0)


def _split(segments: list[Segment], index: int, new: Segment) -> Placing:
    """Put a reading of another level inside a segment.

    How many readings lie on each side is unknown, so the counts are rounded up. There is a reading
    of the segment at each of its ends, unless it was split there before. Both pieces reach to the
    new reading (``as_of``).
    """
    whole = segments[index]
    at = new.start
    begins = not (index and segments[index - 1].end == whole.start)
    ends = not (index + 1 < len(segments) and segments[index + 1].start == whole.end)
    has_first = whole.start < at
    has_last = whole.end > at or not whole.start < at
    first = [
        replace(whole, end=at, count=max(1, whole.count - (has_last and ends))),
    ] * has_first
    last = [
        replace(whole, start=at, count=max(1, whole.count - (has_first and begins))),
    ] * has_last
    pieces = [*first, new, *last]
    place = index + len(first)
    segments[index : index + 1] = pieces
    return Placing(place, True, True)


def _forget(history: VitalHistory, newest: datetime) -> None:
    """Drop what is over a day old.

    The beginning of a run that still lasts is kept, however long ago it was.
    """
    segments = history.segments
    oldest = newest - KEPT_FOR
    while len(segments) > 1 and segments[0].end < oldest:
        _drop_first(history)
    shorten(history, MOST_SEGMENTS)


def shorten(history: VitalHistory, most: int) -> None:
    """Keep the newest ``most`` segments (1 or more).

    This shortens neither a time inside nor a time beyond a limit, even where the values jump from
    one limit to another. An alert may come early for it, and none fails to come (law 3).
    """
    while len(history.segments) > most:
        _drop_first(history)


def _drop_first(history: VitalHistory) -> None:
    """Drop the oldest segment.

    Where its run beyond a limit goes on, the next segment takes over its beginning and its count. A
    time inside is kept beside the segments. If a segment took the beginning of another one, NEWS2
    would count its points from then on.
    """
    first, second = history.segments[:2]
    known = history.inside_from
    if first.level != "inside":
        history.inside_from = max(known or second.start, second.start)
    elif known is None:
        history.inside_from = first.start
    if not set(first.broken).isdisjoint(second.broken) and not first.is_of_one_time(second):
        second.start = first.start
        second.count = first.count + second.count
    del history.segments[0]


def _drop_readings(segments: list[Segment]) -> None:
    """Keep the few readings that may still become evidence."""
    kept = READINGS_KEPT
    for segment in reversed(segments[:-1]):
        if segment.reading is None:
            continue
        if (segment.level == "inside" and not segment.points) or kept == 0:
            segment.reading = segment.prior = None
        else:
            kept -= 1


def beside(history: VitalHistory, at: datetime) -> Iterator[Segment]:
    """The segments of the last reading before ``at`` and of the first one after it."""
    before = [segment for segment in history.segments if segment.start < at]
    after = [segment for segment in history.segments if segment.end > at]
    yield from (*before[-1:], *after[:1])


def inside_since(history: VitalHistory, side: Direction | None = None) -> datetime | None:
    """Since when the newest readings are all back inside on a side, or None if the newest is not.

    A ``side`` of None means both sides.
    """
    since = None
    forgotten = history.inside_from
    for segment in reversed(history.segments):
        if not segment.is_inside(side):
            # a late reading may lie before one that was dropped
            return since and max(since, forgotten or since)
        since = segment.start
    return since and (forgotten or since)


def since_beyond(history: VitalHistory, side: Direction | None) -> tuple[datetime | None, int]:
    """When the newest reading beyond a limit of a side was measured, and how many came after it.

    The time is None if no such reading is known.
    """
    count = 0
    for segment in reversed(history.segments):
        if segment.level == "beyond" and segment.side in (None, side):
            return segment.end, count
        count += segment.count
    return None, count


def as_of(history: VitalHistory, at: datetime, fresh_for: timedelta) -> Segment | None:
    """The segment of the newest reading not after ``at``, if it is fresh.

    Where a late reading split a segment, it is not known when the next reading of the later piece
    was measured, but it was within ``SAME_RUN``. So up to then the piece has the points of the late
    reading, if they are more. An alert may come early for it, and none fails to come (law 3).
    """
    segments = history.segments
    for index in reversed(range(len(segments))):
        segment = segments[index]
        if segment.start <= at:
            if at < segment.end and index and at - segment.start <= SAME_RUN:
                late = segments[index - 1]
                if late.end == segment.start and (late.points or 0) > (segment.points or 0):
                    return replace(segment, points=late.points, reading=late.reading)
            return segment if at - segment.end <= fresh_for else None
    return None
