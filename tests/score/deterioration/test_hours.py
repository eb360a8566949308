"""What is kept of the last hours: one value an hour, and a person's own mean and spread."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.score.deterioration.hours import (
    EPOCH,
    KEPT_HOURS,
    Hours,
    Own,
    forget,
    hour_of,
    is_due,
    on_hours,
    take,
)

QUARTER = timedelta(minutes=15)
VALUES = st.dictionaries(st.integers(1, 80), st.integers(-500, 3000), min_size=1)


def kept_of(values: dict[int, int]) -> Hours:
    hours = Hours()
    for hour in sorted(values):
        take(hours, "pulse", EPOCH + timedelta(hours=hour), values[hour])
    return hours


@given(VALUES, st.integers(0, 40))
def test_an_hour_has_the_last_value_before_it_and_the_first_ones_have_the_first(
    values: dict[int, int], later: int
) -> None:
    now = max(values) + later
    found = on_hours(kept_of(values).courses["pulse"], now)
    # what was kept when the newest value came
    kept = {hour: values[hour] for hour in values if hour > max(values) - KEPT_HOURS}
    if later >= KEPT_HOURS:
        assert found is None
        return
    expected = []
    for hour in range(now - KEPT_HOURS + 1, now + 1):
        before = [each for each in kept if each <= hour]
        expected.append(kept[max(before)] if before else None)
    first = next(each for each in expected if each is not None)
    assert found == [first if each is None else each for each in expected]


@given(st.lists(st.floats(-50, 300), min_size=1, max_size=60))
def test_own_mean_and_spread_are_those_of_all_hours(values: list[float]) -> None:
    own = Own()
    for value in values:
        own.learn(value, most=100)
    assert own.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert own.variance == pytest.approx(np.var(values), abs=1e-4)


@given(st.lists(st.floats(-50, 300), min_size=1, max_size=60), st.integers(1, 20))
def test_a_bounded_count_forgets_and_stays_within_the_values(
    values: list[float], most: int
) -> None:
    own = Own()
    for value in values:
        own.learn(value, most)
    assert own.count == min(len(values), most)
    assert min(values) - 1e-6 <= own.mean <= max(values) + 1e-6
    assert own.variance >= 0


def test_a_level_that_stays_becomes_the_own_one() -> None:
    own = Own()
    for value in [70.0] * 500 + [90.0] * 500:
        own.learn(value, most=168)
    assert own.mean == pytest.approx(90, abs=1.1)


def test_a_value_is_taken_each_quarter_of_an_hour_and_in_each_new_hour() -> None:
    hours = Hours()
    at = EPOCH + timedelta(hours=5, minutes=40)
    assert is_due(None, "pulse", at, QUARTER)
    assert take(hours, "pulse", at, 700)
    assert not is_due(hours, "pulse", at, QUARTER), "two values at one time"
    assert not is_due(hours, "pulse", at + timedelta(minutes=14), QUARTER)
    assert is_due(hours, "pulse", at + timedelta(minutes=15), QUARTER)
    assert is_due(hours, "pulse", EPOCH + timedelta(hours=6), QUARTER)
    assert not is_due(hours, "pulse", at - timedelta(hours=3), QUARTER), "it came late"
    assert not take(hours, "pulse", at + timedelta(minutes=16), 800), "the same hour"
    assert on_hours(hours.courses["pulse"], hour_of(at)) == [800] * KEPT_HOURS


def test_years_later_only_the_new_value_is_known() -> None:
    hours = Hours()
    take(hours, "pulse", EPOCH, 700)
    take(hours, "pulse", EPOCH + timedelta(days=3000), 900)
    course = hours.courses["pulse"]
    assert on_hours(course, hour_of(EPOCH + timedelta(days=3000))) == [900] * KEPT_HOURS
    assert len(course.hours) == 1


@given(VALUES, st.sets(st.integers(1, 80)))
def test_voided_hours_are_dropped_and_others_stay(values: dict[int, int], wrong: set[int]) -> None:
    hours = kept_of(values)
    before = dict(zip(hours.courses["pulse"].hours, hours.courses["pulse"].steps, strict=True))
    forget(hours, "pulse", [EPOCH + timedelta(hours=hour) for hour in wrong])
    forget(hours, "systolic", [EPOCH])
    left = {hour: step for hour, step in before.items() if hour not in wrong}
    course = hours.courses.get("pulse")
    after = {} if course is None else dict(zip(course.hours, course.steps, strict=True))
    assert after == left
