"""A device's clock that is wrong by the same each time is said; no time is moved by it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.device import Device, counts
from support.frames import START, frame, stamp, worn

from rpm_stream.normalise.clock_skew import APART, KEPT, LEAST, SKEWED, noted, skew
from rpm_stream.records import Reading


def thermometer(bench: Device, minute: int, device_minute: float) -> Reading:
    """2A1C at ``minute``, by a device whose clock shows ``device_minute``; its content is new
    each time.
    """
    shown = START + timedelta(minutes=device_minute)
    octets = shown.year.to_bytes(2, "little") + bytes(
        (shown.month, shown.day, shown.hour, shown.minute, shown.second)
    )
    payload = "02" + (365 + minute % 5).to_bytes(3, "little").hex() + "ff" + octets.hex()
    sent = frame(
        [{"at": stamp(minute), "characteristic": "2A1C", "payload": payload}], minute, seq=minute
    )
    (reading,) = (
        each
        for message in bench.send({**sent, "utc_offset": "Z"}).readings
        for each in message.readings
    )
    return reading


def test_a_clock_half_an_hour_slow_is_said_once_that_is_sure_and_its_time_still_counts() -> None:
    bench = Device(worn())
    found = [thermometer(bench, 60 + each * 10, 30 + each * 10) for each in range(LEAST + 2)]
    assert ["clock_skew" in each.flags for each in found] == [False] * (LEAST - 1) + [True] * 3
    assert found[-1].attributes["clock_skew_seconds"] == 1800
    assert found[-1].measured_at == START + timedelta(minutes=30 + (LEAST + 1) * 10)


def test_a_clock_that_is_fast_is_ignored_and_said() -> None:
    bench = Device(worn())
    found = [thermometer(bench, each * 10, each * 10 + 60) for each in range(LEAST)]
    assert found[-1].flags == ("device_time_ignored", "clock_skew")
    assert (found[-1].attributes["clock_skew_seconds"], found[-1].measured_at) == (
        -3600,
        START + timedelta(minutes=(LEAST - 1) * 10),
    )


def test_a_memory_that_is_read_out_is_no_wrong_clock() -> None:
    bench = Device(worn())
    assert not any(
        "clock_skew" in thermometer(bench, 600 + each, each * 30).flags for each in range(KEPT + 1)
    )


def test_it_ends_when_the_clock_was_set_and_re_sent_values_do_not_count() -> None:
    bench = Device(worn())
    for each in range(LEAST):
        thermometer(bench, 60 + each * 10, each * 10)
    kept = list(bench.state.behind)
    # an hour later, again
    first = {"at": stamp(60), "characteristic": "2A1C", "payload": "026d0100ffea070301080000"}
    assert counts(bench.send(frame([{**first, "at": stamp(120)}], 120, seq=99))) == (0, 1, 0)
    assert bench.state.behind == kept
    assert "clock_skew" not in thermometer(bench, 200, 200).flags


@given(st.lists(st.integers(-(10**6), 10**6), max_size=30))
def test_only_agreeing_differences_beyond_five_minutes_are_a_skew(differences: list[int]) -> None:
    kept: list[int] = []
    for each in differences:
        kept = noted(kept, each)
        found = skew(kept)
        assert len(kept) <= KEPT
        if found is not None:
            assert abs(found) > SKEWED
            assert all(abs(other - found) <= APART for other in kept)
            assert len(kept) >= LEAST
