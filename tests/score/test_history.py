"""Wrong readings leave the history; what lies outside their time stays, and at least as much as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.score.history import Level, Segment, VitalHistory, add, cut

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTES = st.integers(0, 240)
LEVELS: list[Level] = ["inside", "between", "beyond"]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def course(values: list[tuple[int, Level]]) -> VitalHistory:
    history = VitalHistory()
    for minute, level in values:
        broken = ("limit",) if level == "beyond" else ()
        add(history, Segment(at(minute), at(minute), level, None, broken, 1, None))
    return history


@given(st.lists(st.tuples(MINUTES, st.sampled_from(LEVELS)), max_size=25), MINUTES, MINUTES, st.integers(1, 30))
def test_outside_of_the_cut_nothing_is_forgotten(
    values: list[tuple[int, Level]], one: int, other: int, count: int
) -> None:
    """Law 3 for corrections: a red run of right readings is still there afterwards."""
    first, last = sorted((at(one), at(other)))
    before, history = course(values), course(values)
    cut(history, first, last, count)
    for segment in before.segments:
        if segment.end < first or segment.start > last:
            assert segment in history.segments
    for segment in history.segments:
        assert segment.count >= 1
        assert segment.start <= segment.end
        assert segment.start <= first or segment.end >= last
    levels = {(segment.level, segment.broken) for segment in history.segments}
    assert levels <= {(segment.level, segment.broken) for segment in before.segments}


def test_what_lay_wholly_inside_is_gone() -> None:
    history = course([(0, "inside"), (10, "beyond"), (20, "beyond"), (30, "inside")])
    cut(history, at(10), at(20), 2)
    assert [(segment.level, segment.count) for segment in history.segments] == [("inside", 1), ("inside", 1)]
