"""Wrong readings leave the history, and right ones stay; a time inside is as long as it was."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import example, given
from hypothesis import strategies as st
from support.frames import reading_of

from rpm_stream.score.memory.history import (
    PlacingLevel,
    Segment,
    VitalHistory,
    add,
    inside_since,
    segment_of,
    shorten,
)
from rpm_stream.score.memory.retraction import forget_in
from rpm_stream.score.memory.rows import row, run

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTES = st.integers(0, 240)
LEVELS: list[PlacingLevel] = ["inside", "between", "beyond"]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def course(values: list[tuple[int, PlacingLevel]]) -> VitalHistory:
    history = VitalHistory()
    for minute, level in values:
        broken = ("limit",) if level == "beyond" else ()
        add(history, Segment(at(minute), at(minute), level, None, broken, 1, None))
    return history


VALUES = st.lists(st.tuples(MINUTES, st.sampled_from(LEVELS), st.booleans()), max_size=25)


def alone(minute: int, level: PlacingLevel) -> Segment:
    """The segment that one reading is by itself."""
    broken = ("limit",) if level == "beyond" else ()
    return Segment(at(minute), at(minute), level, None, broken, 1, None)


def without_wrong(values: list[tuple[int, PlacingLevel, bool]]) -> VitalHistory:
    """The history of ``values`` (the last of each: whether it was wrong) after the wrong ones
    were taken back.
    """
    history = course([(minute, level) for minute, level, _ in values])
    forget_in(history, [alone(minute, level) for minute, level, is_wrong in values if is_wrong])
    return history


@given(VALUES)
def test_each_right_reading_beyond_a_limit_is_still_there(
    values: list[tuple[int, PlacingLevel, bool]],
) -> None:
    """Law 3 for corrections: in whatever order the readings came, and wherever the wrong ones
    lie among them.
    """
    history = without_wrong(values)
    for minute, level, is_wrong in values:
        if level == "beyond" and not is_wrong:
            assert any(
                segment.level == level and segment.start <= at(minute) <= segment.end
                for segment in history.segments
            )
    for segment in history.segments:
        assert segment.count >= 1
        assert segment.start <= segment.end


@given(VALUES)
def test_in_order_nothing_wrong_is_left(values: list[tuple[int, PlacingLevel, bool]]) -> None:
    """Each segment counts as many as there are right readings in it: none is a ghost of the
    wrong ones.
    """
    values = [
        next(each)
        for _, each in groupby(sorted(values, key=lambda each: each[0]), key=lambda each: each[0])
    ]
    history = without_wrong(values)
    right = Counter(level for _, level, is_wrong in values if not is_wrong)
    counted = Counter[PlacingLevel]()
    for segment in history.segments:
        counted[segment.level] += segment.count
    assert counted == right


@given(VALUES)
def test_no_time_inside_is_longer_than_the_right_readings_make_it(
    values: list[tuple[int, PlacingLevel, bool]],
) -> None:
    history = without_wrong(values)
    since = inside_since(history)
    outside = [
        at(minute) for minute, level, is_wrong in values if level != "inside" and not is_wrong
    ]
    assert since is None or since >= max(outside, default=since)


RUNS = st.lists(
    st.tuples(st.integers(1, 3000), st.sampled_from(LEVELS), st.integers(0, 1)),
    min_size=1,
    max_size=50,
)


def told(history: VitalHistory, minute: int, level: PlacingLevel, points: int) -> None:
    broken = ("limit",) if level == "beyond" else ()
    add(history, Segment(at(minute), at(minute), level, points, broken, 1, None))


@given(RUNS, st.integers(1, 40))
def test_a_time_inside_is_as_long_as_it_was_whatever_is_forgotten(
    pauses: list[tuple[int, PlacingLevel, int]], most: int
) -> None:
    """In order: it begins with the first reading inside after the last one that was not."""
    history, minute, since = VitalHistory(), 0, None
    for pause, level, points in pauses:
        minute += pause
        told(history, minute, level, points)
        shorten(history, most)
        since = None if level != "inside" else since or at(minute)
        assert inside_since(history) == since


@example(
    [(2, "between", 0), (2, "inside", 0), (1443, "inside", 0), (1, "inside", 0), (1, "between", 0)],
    3,
)
@given(
    st.lists(
        st.tuples(st.integers(1, 5000), st.sampled_from(LEVELS), st.integers(0, 1)),
        min_size=1,
        max_size=50,
    ),
    st.integers(1, 40),
)
def test_a_time_inside_reaches_over_no_late_reading(
    values: list[tuple[int, PlacingLevel, int]], most: int
) -> None:
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
    forget_in(history, [Segment(at(8), at(8), "inside", 0, (), 1, None)])
    assert inside_since(history) == at(9)


def by_clock(minute: int, shown: str | None, level: PlacingLevel = "beyond") -> Segment:
    """A reading by a clock that showed so, which did not count."""
    flags, attributes = (("device_time_ignored",), {"device_time": shown}) if shown else ((), {})
    reading = reading_of("systolic", "190", "mm[Hg]", minute, flags=flags, attributes=attributes)
    return segment_of(reading, level, None, ("limit",) if level == "beyond" else ())


@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from("ab-")), min_size=1, max_size=30),
    st.integers(1, 8),
)
def test_of_one_shown_time_one_is_in_a_row(values: list[tuple[int, str]], most: int) -> None:
    """Whatever lies between, and whatever was forgotten: no row counts more than it has shown
    times and true ones.
    """
    history, minute = VitalHistory(), 0
    for step, shown in values:
        minute += step
        add(history, by_clock(minute, None if shown == "-" else shown))
        shorten(history, most)
    found = row(history, len(history.segments) - 1, "limit")
    assert found[-1] is history.segments[-1]
    times = [each.shown for each in found if each.shown is not None]
    assert len(times) == len(set(times))
    if {shown for _, shown in values} == {"a"}:
        assert run(history, len(history.segments) - 1, "limit").count == 1


def test_a_segment_names_the_shown_time_of_the_reading_that_it_names() -> None:
    history = VitalHistory()
    for minute, shown in ((0, "a"), (5, "b")):
        add(history, by_clock(minute, shown))
    forget_in(history, [by_clock(5, "b")])
    assert [segment.shown for segment in history.segments] == ["a"]
