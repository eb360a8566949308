"""Rows of values beyond a limit.

A row is a sequence of values beyond the same limit, each of which follows the one before it
directly or within ``ROW_GAP``. A limit that must be breached twice, or for some minutes, looks at
the row that a reading belongs to. This module finds the segments of a row, and the part of it that
an answer about oxygen reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from rpm_stream.records.terms import Direction
from rpm_stream.score.memory.history import Segment, VitalHistory

# Two values beyond a limit that are no further apart belong to one row, whatever lies between.
ROW_GAP = timedelta(seconds=60)
LimitSide: TypeAlias = tuple[str, Direction | None]  # a limit and its side, None for either side
Reach: TypeAlias = tuple[datetime | None, datetime | None]  # begin and end, None for without end


class Run(msgspec.Struct, frozen=True):
    """The extent of a row: its first and last time, and its count of values."""

    start: datetime
    end: datetime
    count: int


def row(
    history: VitalHistory, index: int, limit: str, side: Direction | None = None
) -> list[Segment]:
    """The segments of the row beyond ``limit`` that segment ``index`` belongs to.

    A ``side`` of None means either side. Where late readings split a segment twice, the piece
    between them may hold no reading at all. It does not end a row, because an alert may come early
    for it but must not fail to come (CONTRACT 4 b). Of the segments at which the device's clock
    showed the same time that does not count, one is in the row. They may be one value that was kept
    and sent again.
    """
    segments = history.segments
    first = last = index
    while (before := _next_beyond(segments, first, (limit, side), -1)) is not None:
        first = before
    while (after := _next_beyond(segments, last, (limit, side), 1)) is not None:
        last = after
    beyond = [
        segment for segment in segments[first : last + 1] if _is_beyond(segment, (limit, side))
    ]
    return (
        beyond
        if all(each.shown is None for each in beyond)
        else _one_a_time(beyond, segments[index])
    )


def _one_a_time(found: Sequence[Segment], at_hand: Segment) -> list[Segment]:
    """Keep only the last of the segments with the same shown time, or the one at hand."""
    kept: list[Segment] = []
    for place, each in enumerate(found):
        later = [*found[place + 1 :], at_hand] if each is not at_hand else []
        if not any(each.is_of_one_time(other) for other in later):
            kept.append(each)
    return kept


def run(history: VitalHistory, index: int, limit: str) -> Run:
    """The extent of the row that segment ``index`` belongs to.

    The count is 0 where that segment is not beyond the limit.
    """
    found = row(history, index, limit)
    if not found:
        return Run(history.segments[index].start, history.segments[index].end, 0)
    return Run(found[0].start, found[-1].end, sum(segment.count for segment in found))


def _is_beyond(segment: Segment, of: LimitSide) -> bool:
    limit, side = of
    return limit in segment.broken and (side is None or segment.side in (None, side))


def _next_beyond(segments: list[Segment], index: int, of: LimitSide, step: int) -> int | None:
    """The next segment of the row in one direction, or None where the row ends."""
    here = segments[index]
    near = index + step
    for place in range(near, len(segments) if step > 0 else -1, step):
        there = segments[place]
        gap = there.start - here.end if step > 0 else here.start - there.end
        if _is_beyond(there, of):
            is_next = place == near or (place == near + step and _may_be_empty(segments, near))
            return place if is_next or gap <= ROW_GAP else None
        if gap > ROW_GAP and not (place == near and _may_be_empty(segments, near)):
            return None
    return None


def _may_be_empty(segments: list[Segment], index: int) -> bool:
    """Whether a segment may be what two splits left between them.

    Such a segment begins and ends where readings of others are.
    """
    piece = segments[index]
    return (
        0 < index < len(segments) - 1
        and segments[index - 1].end == piece.start
        and piece.end == segments[index + 1].start
    )


def within(segments: Sequence[Segment], reach: Reach, side: Direction) -> Run:
    """The part of a row in which the oxygen is the same.

    A value that is too low counts on air and on oxygen alike, so the whole row counts on that side.
    """
    if segments and (side == "low" or reach == (None, None)):
        count = sum([each.count for each in segments])
        return Run(segments[0].start, segments[-1].end, count)
    kept = [part for part in (_part(each, reach) for each in segments) if part]
    if not kept:
        return Run(segments[-1].end, segments[-1].end, 1)
    return Run(kept[0].start, kept[-1].end, sum(each.count for each in kept))


def _part(segment: Segment, reach: Reach) -> Run | None:
    """The part of a segment that is reached.

    If the segment is cut, only readings with a known time count: those at its ends, its last one
    and the one before. If it no longer names a reading, all but one of its readings may lie in the
    part.
    """
    since, until = reach
    named = (each.measured_at for each in (segment.reading, segment.prior) if each is not None)
    times = {
        segment.start,
        segment.end,
        *(at for at in named if segment.start <= at <= segment.end),
    }
    inside = sorted(
        at for at in times if (since is None or since <= at) and (until is None or at < until)
    )
    if len(inside) == len(times):
        return Run(segment.start, segment.end, segment.count)
    if segment.reading is None and segment.count > len(inside) + 1:
        start = max(segment.start, since or segment.start)
        end = min(segment.end, until or segment.end)
        return Run(start, end, segment.count - 1) if start < end else None
    return Run(inside[0], inside[-1], len(inside)) if inside else None
