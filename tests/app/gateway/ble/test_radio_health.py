"""When an adapter counts as stuck and a scan as silent."""

from __future__ import annotations

from rpm_stream.app.gateway.ble.options import HubOptions
from rpm_stream.app.gateway.ble.radio_health import LONGEST_PATIENCE, RadioHealth

OPTIONS = HubOptions(
    rescan_after=100.0, reset_after=300.0, reset_anyway_after=1800.0, failures_to_reset=3
)


def opened() -> RadioHealth:
    health = RadioHealth(OPTIONS)
    health.opened(1000.0)
    return health


def test_silence_has_a_longer_limit_while_a_device_is_connected() -> None:
    health = opened()
    assert not health.is_stuck(1300.0, connected=0, devices=2)
    assert health.is_stuck(1300.1, connected=0, devices=2)
    assert not health.is_stuck(2800.0, connected=1, devices=2)
    assert health.is_stuck(2800.1, connected=1, devices=2)


def test_nothing_is_stuck_while_all_devices_are_connected() -> None:
    health = opened()
    for _ in range(3):
        health.missed()
    assert not health.is_stuck(1e6, connected=2, devices=2)
    assert health.is_stuck(1000.0, connected=1, devices=2)


def test_a_device_that_is_reached_ends_the_row_of_failures() -> None:
    health = opened()
    health.missed()
    health.missed()
    health.reached()
    health.missed()
    assert not health.is_stuck(1000.0, connected=0, devices=1)


def test_each_reset_in_vain_doubles_the_patience_up_to_six_hours() -> None:
    health = opened()
    now = 1000.0
    for patience in (300.0, 600.0, 1200.0):
        assert not health.is_stuck(now + patience, connected=0, devices=1)
        now += patience + 0.1
        assert health.is_stuck(now, connected=0, devices=1)
        health.reset(now)
    for _ in range(100):
        health.reset(now)
    assert not health.is_stuck(now + LONGEST_PATIENCE, connected=0, devices=1)
    assert health.is_stuck(now + LONGEST_PATIENCE + 0.1, connected=0, devices=1)
    health.heard(now)
    assert health.in_vain == 0
    assert health.is_stuck(now + 300.1, connected=0, devices=1)


def test_a_silent_scan_is_restarted_once_in_each_time() -> None:
    health = opened()
    assert not health.is_silent(1100.0)
    assert health.is_silent(1100.1)
    health.rescanned(1100.1)
    assert not health.is_silent(1200.1)
    assert health.is_silent(1200.2)
    health.heard(1200.2)
    assert not health.is_silent(1300.2)
