"""Wrong readings leave the history, and what lies outside their time stays; a time inside is as long as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from rpm_stream.score.history import Level, Segment, VitalHistory, add, cut, inside_since, shorten

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


RUNS = st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(LEVELS), st.integers(0, 1)), min_size=1, max_size=50)


def told(history: VitalHistory, minute: int, level: Level, points: int) -> None:
    broken = ("limit",) if level == "beyond" else ()
    add(history, Segment(at(minute), at(minute), level, points, broken, 1, None))


@given(RUNS, st.integers(1, 40))
def test_a_time_inside_is_as_long_as_it_was_whatever_is_forgotten(
    pauses: list[tuple[int, Level, int]], most: int
) -> None:
    """In order: it begins with the first reading inside after the last one that was not."""
    history, minute, since = VitalHistory(), 0, None
    for pause, level, points in pauses:
        minute += pause
        told(history, minute, level, points)
        shorten(history, most)
        since = None if level != "inside" else since or at(minute)
        assert inside_since(history) == since


@example([(2, "between", 0), (2, "inside", 0), (1443, "inside", 0), (1, "inside", 0), (1, "between", 0)], 3)
@given(
    st.lists(st.tuples(st.integers(1, 5000), st.sampled_from(LEVELS), st.integers(0, 1)), min_size=1, max_size=50),
    st.integers(1, 40),
)
def test_a_time_inside_reaches_over_no_late_reading(values: list[tuple[int, Level, int]], most: int) -> None:
    """In any order: it never begins before a reading that was not inside, kept or forgotten."""
    history = VitalHistory()
    for seen, (minute, level, points) in enumerate(values, 1):
        told(history, minute, level, points)
        shorten(history, most)
        since = inside_since(history)
        outside = [at(minute) for minute, level, _ in values[:seen] if level != "inside"]
        assert since is None or since >= max(outside, default=since)


def test_after_a_cut_a_time_inside_is_what_is_left_of_it() -> None:
    history = VitalHistory()
    for minute in range(10):
        told(history, minute, "inside", minute % 2)
    shorten(history, 2)
    assert inside_since(history) == at(0)
    cut(history, at(8), at(8), 1)
    assert inside_since(history) == at(9)
