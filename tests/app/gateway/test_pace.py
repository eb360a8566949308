"""A gateway that catches up takes its share and no more; what must not wait goes out all the
same.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_second_at_once_then_the_rate() -> None:
    clock = Clock()
    pace = Pace(1_000, clock)
    assert (pace.allowance(10_000), pace.allowance(600), pace.seconds()) == (1_000, 600, 0.0)
    pace.spend(1_000)
    assert (pace.allowance(10_000), pace.seconds()) == (0, 0.25)
    clock.now += 0.25
    assert (pace.allowance(10_000), pace.seconds()) == (250, 0.0)
    clock.now += 60
    assert pace.allowance(10_000) == 1_000


def test_what_went_out_without_room_is_owed_for_a_second_at_most() -> None:
    clock = Clock()
    pace = Pace(1_000, clock)
    pace.spend(1_000_000)
    assert pace.allowance(1) == 0
    assert pace.seconds() == 1.25
    clock.now += 1.25
    assert pace.allowance(10_000) == 250


def test_without_a_rate_there_is_always_room() -> None:
    pace = Pace(None, Clock())
    pace.spend(10**9)
    assert (pace.allowance(10_000), pace.seconds()) == (10_000, 0.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5_000)), max_size=40))
def test_no_more_than_a_second_ahead(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(1_000, clock)
    gone = 0
    for apart, most in steps:
        clock.now += apart
        taken = pace.allowance(most)
        pace.spend(taken)
        gone += taken
        assert gone <= 1_000 * (1 + clock.now) + 1
