"""Remove voided readings from a history, because they were wrong or another person's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from rpm_stream.score.memory.history import Segment, VitalHistory, ignored_time


def forget_in(history: VitalHistory, wrong: Sequence[Segment]) -> None:
    """Remove readings from a history. Each is given as the segment that it makes alone.

    A segment without readings is removed. Where the right readings of a segment lie between wrong
    ones is not known. A segment beyond a limit therefore stays as long as it was, and a calm one
    gets as short as it may be, so that no alert fails to come.
    """
    taken: dict[int, list[Segment]] = {}
    for one in sorted(wrong, key=lambda each: each.start):
        place = _place_of(history.segments, one, taken)
        if place is not None:
            taken.setdefault(place, []).append(one)
    ids = {one.reading.id for one in wrong if one.reading is not None}
    kept = []
    for place, segment in enumerate(history.segments):
        gone = taken.get(place, [])
        segment.count -= len(gone)
        _forget_named(segment, ids)
        if segment.count > 0:
            _trim(segment, gone)
            kept.append(segment)
    history.segments = kept
    history.inside_from = None


def _place_of(
    segments: Sequence[Segment], one: Segment, taken: dict[int, list[Segment]]
) -> int | None:
    """The segment in which a reading was counted.

    Preferred is the segment that names it, then one that means the same, then the calmest. A limit
    may have changed since. A calm reading is not looked for in a segment beyond a limit that does
    not name it.
    """
    around = [
        place
        for place, segment in enumerate(segments)
        if segment.start <= one.start <= segment.end and segment.count > len(taken.get(place, []))
        if one.level == "beyond" or segment.level != "beyond" or _is_named(segment, one)
        # a segment of one reading must name it
        if segment.count > 1 or segment.reading is None or _is_named(segment, one)
    ]
    return min(around, key=lambda place: _likeness(segments[place], one), default=None)


def _likeness(segment: Segment, one: Segment) -> tuple[bool, bool, int, int, timedelta]:
    """The order of segments, least for the one that a reading most likely belongs to.

    Of two that are alike the shorter one comes first, because it has less room.
    """
    alike = not _is_named(segment, one), not segment.matches(one)
    return *alike, len(segment.broken), segment.points or 0, segment.end - segment.start


def _is_named(segment: Segment, one: Segment) -> bool:
    return (
        segment.reading is not None
        and one.reading is not None
        and segment.reading.id == one.reading.id
    )


def _forget_named(segment: Segment, ids: Collection[str]) -> None:
    """Let a segment name no wrong reading, and replace its last one by the one before.

    The pieces of a split run name the same reading.
    """
    last = segment.reading
    prior = segment.prior
    if prior is not None and prior.id in ids:
        prior = segment.prior = None
    if last is None or last.id not in ids:
        return
    if prior is not None and last.measured_at == segment.end:
        segment.end = max(segment.start, prior.measured_at)
    segment.reading = prior
    segment.prior = None
    segment.shown = None if prior is None else ignored_time(prior)


def _trim(segment: Segment, gone: Sequence[Segment]) -> None:
    """Cut wrong readings off the ends of a segment that keeps other readings."""
    if not gone:
        return
    first = gone[0].start
    last = gone[-1].start
    is_first = first == segment.start
    is_last = last == segment.end
    left = segment.reading
    if segment.count == 1 and left is not None and segment.start <= left.measured_at <= segment.end:
        segment.start = segment.end = left.measured_at
    elif segment.level == "inside" and not segment.points:
        segment.start = last if is_first else segment.start
        segment.end = first if is_last and not is_first else segment.end
