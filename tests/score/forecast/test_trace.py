"""The trace of the last hour: the same values at the same times, whatever the sensor's rhythm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.score.forecast.trace import (
    APART,
    LAGS,
    MOST_GAP,
    MOST_KEPT,
    changes,
    enter,
    forget,
)
from rpm_stream.score.memory.forecasts import ForecastState

steps = st.lists(st.integers(0, 3 * MOST_GAP), min_size=1, max_size=80)


def empty() -> ForecastState:
    return ForecastState("d", [], [], 140.0, 20.0, [], [])


@pytest.mark.parametrize("every", [60, 180, 240, 300, 600, 900, 1200])
@pytest.mark.parametrize("slope", [-2, 0, 1])
def test_a_straight_line_has_the_same_changes_in_every_rhythm(every: int, slope: int) -> None:
    """A line of ``slope`` tenths a minute changes by that much for each minute of a lag."""
    kept = empty()
    for at in range(0, 2 * LAGS[-1] + 1, every):
        enter(kept, at, 2000 + slope * at // 60)
    assert changes(kept.times, kept.values) == pytest.approx(
        [slope * lag / 600 for lag in LAGS], abs=1e-9
    )


@given(steps)
def test_it_is_bounded_in_order_and_holds_the_newest(gaps: list[int]) -> None:
    kept = empty()
    at = 0
    for number, gap in enumerate(gaps):
        at += gap
        enter(kept, at, number)
        assert kept.times == sorted(set(kept.times))
        assert len(kept.times) == len(kept.values) <= MOST_KEPT
        assert (kept.times[-1], kept.values[-1]) == (at, number)
        assert kept.times[1:] == [] or kept.times[1] > at - LAGS[-1]
        assert all(
            after - before >= APART
            for before, after in zip(kept.times[:-1], kept.times[1:-1], strict=False)
        )
        assert len(changes(kept.times, kept.values)) == len(LAGS)


def test_after_a_gap_nothing_of_before_counts() -> None:
    kept = empty()
    for at in range(0, 3600, 300):
        enter(kept, at, 2000)
    enter(kept, 3300 + MOST_GAP + 1, 1000)
    assert changes(kept.times, kept.values) == [0.0] * len(LAGS)
    assert kept.issued == []


def test_a_sensor_of_fifteen_minutes_may_miss_a_reading() -> None:
    kept = empty()
    for at in (0, 900, 1800, 3600):
        enter(kept, at, 2000 - at // 60)
    assert changes(kept.times, kept.values)[2] == pytest.approx(-1.5)


def test_of_two_values_at_one_time_the_last_counts() -> None:
    kept = empty()
    enter(kept, 0, 1000)
    enter(kept, 0, 1200)
    assert (kept.times, kept.values) == ([0], [1200])


@given(st.lists(st.integers(200, 1000), min_size=2, max_size=20), st.data())
def test_a_voided_reading_is_as_if_it_had_not_come(gaps: list[int], data: st.DataObject) -> None:
    """Where readings lie so far apart that each is kept."""
    wrong = data.draw(st.integers(0, len(gaps) - 1))
    times = [sum(gaps[: number + 1]) + APART * number for number in range(len(gaps))]
    times = [at for at in times if times[-1] - at < LAGS[-1]]
    wrong = min(wrong, len(times) - 1)
    one = empty()
    other = empty()
    for number, at in enumerate(times):
        enter(one, at, 100 * number)
        if number != wrong and at - times[max(0, number - 2)] <= MOST_GAP:
            enter(other, at, 100 * number)
    forget(one, {times[wrong]})
    assert times[wrong] not in one.times
    assert set(other.times) <= set(one.times)
