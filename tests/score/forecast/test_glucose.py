"""The forecast of glucose: sane for any values, exact after a restart, small, and calibrated."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpm_stream.knowledge import shipped
from rpm_stream.score.forecast.glucose import GlucoseForecaster, Outlook
from rpm_stream.score.memory.forecasts import ForecastState

TABLE = shipped().glucose_forecast
FORECASTER = GlucoseForecaster(TABLE)
STATE_BYTES = 900
YEAR = 365 * 86_400
Course = list[tuple[int, float]]  # seconds since the reading before, value

courses: st.SearchStrategy[Course] = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 240, 300, 300, 300, 900, 1800, 4000, 86_400, 5 * YEAR]),
        st.floats(10, 1000),
    ),
    min_size=1,
    max_size=60,
)


def run(course: Iterable[tuple[int, float]], kept: ForecastState, at: int = 0) -> list[Outlook]:
    found = []
    for gap, value in course:
        at += gap
        found.append(FORECASTER.take(kept, at, value))
    return found


def wave(seed: int, days: int, error: float = 4.0) -> Course:
    """A person whose glucose goes up and down, with the sensor's error, every 5 minutes."""
    chance = random.Random(seed)
    value = 130.0
    speed = 0.0
    course = []
    for _ in range(days * 288):
        speed = 0.9 * speed + chance.gauss(0, 1.2) - 0.004 * (value - 135)
        value = min(max(value + speed, 45.0), 380.0)
        course.append((300, value + chance.gauss(0, error)))
    return course


@settings(deadline=None)
@given(courses)
def test_whatever_comes_the_numbers_are_sane(course: Course) -> None:
    kept = FORECASTER.begin("d")
    for outlook in run(course, kept):
        for each in (*outlook.forecasts, outlook.nearest):
            assert TABLE.lowest <= each.low <= each.value <= each.high <= TABLE.highest
        assert all(0.0 <= chance <= 1.0 for chance in outlook.chances)
    assert 10 <= kept.usual <= 1000
    assert len(msgspec.msgpack.encode(kept)) < STATE_BYTES


@settings(deadline=None, max_examples=30)
@given(courses, courses)
def test_a_restored_state_goes_on_exactly(before: Course, after: Course) -> None:
    kept = FORECASTER.begin("d")
    run(before, kept)
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=ForecastState)
    at = kept.times[-1]
    assert run(after, kept, at) == run(after, restored, at)
    assert kept == restored


@settings(deadline=None, max_examples=30)
@given(courses, st.integers(1, 20_000))
def test_another_day_gives_the_same(course: Course, days: int) -> None:
    """Law 4."""
    one = run(course, FORECASTER.begin("d"))
    assert run(course, FORECASTER.begin("d"), days * 86_400) == one


def test_at_one_value_a_minute_a_forecast_is_made_every_few_minutes() -> None:
    kept = FORECASTER.begin("d")
    found = run([(60, 120.0)] * 240, kept)
    assert sum(bool(each.forecasts) for each in found) == 60
    assert len(msgspec.msgpack.encode(kept)) < STATE_BYTES


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_holds_its_share_of_a_person_it_was_not_fitted_to(seed: int) -> None:
    """Also of one whose sensor errs so much that the prior's interval is far too narrow."""
    for error in (1.0, 25.0):
        course = wave(seed, 20, error)
        found = run(course, FORECASTER.begin("d"))
        inside = [
            outlook.forecasts[0].low <= course[place + 6][1] <= outlook.forecasts[0].high
            for place, outlook in enumerate(found[:-6])
        ]
        assert 0.87 <= sum(inside[2000:]) / len(inside[2000:]) <= 0.93


@pytest.mark.parametrize("seed", range(3))
def test_it_is_nearer_than_the_present_value(seed: int) -> None:
    course = wave(seed, 10, 3.0)
    found = run(course, FORECASTER.begin("d"))
    ahead = [course[place + 6][1] for place in range(len(course) - 6)]
    error = sum(abs(a - o.nearest.value) for a, o in zip(ahead, found, strict=False))
    still = sum(abs(a - v) for a, (_, v) in zip(ahead, course, strict=False))
    assert error < 0.97 * still


def test_it_learns_a_person() -> None:
    """A square wave of an hour is nothing that the prior knows: its error falls with time."""
    course = [(300, 150.0 + 30.0 * (place // 12 % 2)) for place in range(6000)]
    found = run(course, FORECASTER.begin("d"))
    errors = [
        abs(course[place + 6][1] - each.nearest.value) for place, each in enumerate(found[:-6])
    ]
    assert sum(errors[-600:]) < 0.97 * sum(errors[:600])


def test_a_gap_of_years_forgets_the_trace_and_keeps_the_person() -> None:
    kept = FORECASTER.begin("d")
    run(wave(1, 5), kept)
    own = [list(each.weights) for each in kept.personal]
    (outlook,) = run([(30 * YEAR, 90.0)], kept, kept.times[-1])
    assert outlook.over == (0.0,) * 7
    assert len(kept.issued) == 1
    assert [list(each.weights) for each in kept.personal] == own
