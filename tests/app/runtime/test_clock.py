"""The service's clock: wall time, or time that runs faster from an anchor that all stages share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.settings import Settings


def test_at_speed_one_it_is_wall_time_whatever_the_anchor() -> None:
    before = datetime.now(UTC)
    assert before <= Clock(1.0, before - timedelta(days=9)).now() <= datetime.now(UTC)


def test_a_fast_clock_has_run_so_many_times_as_far_since_its_anchor() -> None:
    anchor = datetime.now(UTC) - timedelta(hours=1)
    ahead = Clock(60.0, anchor).now() - anchor
    assert timedelta(hours=60) <= ahead < timedelta(hours=61)


def test_two_stages_with_the_same_settings_agree() -> None:
    anchor = datetime.now(UTC) - timedelta(minutes=10)
    settings = Settings(time_speed=120.0, time_anchor=anchor)
    first, second = Clock.of(settings), Clock.of(settings)
    assert first.now() <= second.now() <= first.now()
    assert (first.anchor, first.speed) == (anchor, 120.0)


def test_it_never_goes_back() -> None:
    clock = Clock(3600.0, datetime.now(UTC))
    times = [clock.now() for _ in range(1_000)]
    assert times == sorted(times)
