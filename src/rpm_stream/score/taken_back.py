"""What trends and counting limits keep of a reading that was wrong, or another person's, is forgotten."""

from __future__ import annotations

from rpm_stream.records import Reading
from rpm_stream.score import same
from rpm_stream.score.days import day_of
from rpm_stream.score.state import ScoreState


def forget(state: ScoreState, reading: Reading, slot_hours: int) -> None:
    """Take out what was kept at the reading's time.

    Of its slot of the day only one value was kept: where that was a right one it goes too, which costs one value of
    eight; a wrong one would stay for a month.
    """
    at, vital = reading.measured_at, reading.vital
    same.forget(state, reading)
    for name, recent in state.recent.items():
        if name in (vital, f"detector:trend:{vital}"):
            recent[:] = [one for one in recent if one.at != at]
    for kept_points in (state.points, state.trail):
        if vital in kept_points:
            kept_points[vital] = [point for point in kept_points[vital] if point.at != at]
    kept = state.days.get(vital)
    if kept is not None and kept.days.get(day_of(at), {}).pop(at.hour // slot_hours, None) is not None:
        kept.usual = kept.told = None
        if not kept.days[day_of(at)]:
            del kept.days[day_of(at)]
