"""Clocks that jump: readings keep coming and are flagged; a time that no clock of ours can hold
is refused by name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.device import Device, counts
from support.frames import START, frame, stamp, worn
from support.replaying import last_alerts, replay_frames

from rpm_stream.normalise.clock_skew import KEPT, RUNS
from rpm_stream.records import Reading

LEAP = "2016-12-31T23:59:60Z"
PULSE = {"at": stamp(0), "characteristic": "2A37", "payload": "0048"}


def shown(minutes: float) -> str:
    """The seven octets of a device's clock, as hexadecimal digits."""
    at = START + timedelta(minutes=minutes)
    return (
        at.year.to_bytes(2, "little") + bytes((at.month, at.day, at.hour, at.minute, at.second))
    ).hex()


def temperature(minute: float, device_minute: float, seq: int, **fields: Any) -> dict[str, Any]:
    """A frame with one 2A1C at ``minute``, by a device whose clock shows ``device_minute``.

    36.5 to 37.1; at the same time of another day another value.
    """
    payload = "02" + (365 + seq // 30 % 7).to_bytes(3, "little").hex() + "ff" + shown(device_minute)
    entry = {"at": stamp(minute), "characteristic": "2A1C", "payload": payload}
    return {**frame([entry], minute, seq=seq), "utc_offset": "Z", **fields}


def read(bench: Device, sent: dict[str, Any]) -> list[Reading]:
    return [each for message in bench.send(sent).readings for each in message.readings]


def test_a_leap_second_is_refused_by_name_and_alone() -> None:
    """No clock of Python, JSON Schema or GATT has a 61st second; a gateway writes :59 or the
    next minute.
    """
    done = Device(worn()).send(frame([PULSE, {**PULSE, "at": LEAP}, {**PULSE, "at": stamp(1)}], 0))
    assert counts(done) == (2, 0, 1)
    assert done.rejects[0].reason == "bad_schema"
    assert "`$.at`" in done.rejects[0].detail
    whole = Device(worn()).send({**frame([PULSE], 0), "sent_at": LEAP})
    assert [(one.reason, "`$.sent_at`" in one.detail) for one in whole.rejects] == [
        ("bad_schema", True)
    ]


def test_a_leap_second_on_a_device_is_a_reserved_value() -> None:
    """GATT: seconds 0 to 59."""
    octets = shown(0)[:-2] + "3c"
    done = Device(worn()).send(
        frame([{"at": stamp(0), "characteristic": "2A1C", "payload": f"026d0100ff{octets}"}], 0)
    )
    assert [one.reason for one in done.rejects] == ["reserved_value"]


def test_a_value_sent_again_under_a_fresh_time_is_a_duplicate() -> None:
    """The device's own time and the payload say which value it is, whenever the gateway got it
    and in which frame.
    """
    bench = Device(worn())
    assert counts(bench.send(temperature(10, 10, 0))) == (1, 0, 0)
    again = frame([{**temperature(10, 10, 0)["notifications"][0], "at": stamp(300)}], 300, seq=7)
    assert counts(bench.send({**again, "utc_offset": "Z", "boot": "another"})) == (0, 1, 0)


@pytest.mark.parametrize("back", [60, 1440, 3 * 1440], ids=["an hour", "a day", "three days"])
def test_a_device_clock_that_jumps_back_loses_no_day(back: int) -> None:
    """A value a minute for four days, then the clock is set back onto minutes that it has shown
    before.

    All of it was taken for what was measured then. The first three still are: one alone can be a
    record that is read out once more. No id stands for two readings, and it is said.
    """
    bench, days = Device(worn()), 4 * 1440
    before = [
        one
        for minute in range(0, days, 2)
        for one in read(bench, temperature(minute, minute, minute))
    ]
    after = [
        one
        for minute in range(days, days + 300, 2)
        for one in read(bench, temperature(minute, minute - back, minute))
    ]
    assert len(before) == days / 2
    assert len(after) >= 150 - (RUNS - 1)
    assert len({one.id for one in (*before, *after)}) == len(before) + len(after)
    assert all("clock_skew" in one.flags for one in after[KEPT:])
    assert after[-1].attributes["clock_skew_seconds"] == back * 60
    passed_for_old = [one for one in after if "device_time_ignored" in one.flags]
    assert all(
        one.measured_at.minute % 2 == 0 and one.measured_at >= START + timedelta(days=4)
        for one in passed_for_old
    )
    assert bool(passed_for_old) == (back > 60)  # an hour back every value is still known one by one


def test_what_a_clock_that_was_set_back_measured_is_known_when_it_comes_again() -> None:
    """It was read by the gateway's time, as its own seconds were shown long ago by another
    value.
    """
    bench, days = Device(worn()), 4 * 1440
    for minute in range(0, days, 2):
        bench.send(temperature(minute, minute, minute))
    for minute in range(days - 1440 * 3, days - 1440 * 3 + 20, 2):
        assert counts(bench.send(temperature(days - 100, minute, minute, boot="again"))) == (
            0,
            1,
            0,
        )
    after = [temperature(minute, minute - 1440 * 3, minute) for minute in range(days, days + 20, 2)]
    found = [read(bench, each) for each in after]
    assert sum(map(len, found)) == 10 - (RUNS - 1)
    again = [
        {**each["notifications"][0], "at": stamp(days + 60 + place)}
        for place, each in enumerate(after)
    ]
    assert [
        read(bench, frame([each], days + 90, seq=9000 + place)) for place, each in enumerate(again)
    ] == [[]] * 10


def test_a_memory_that_is_read_out_again_is_still_known() -> None:
    """Records of long ago, in new frames, a second apart on the way and two minutes apart on the
    device.
    """
    bench = Device(worn())
    for minute in range(0, 4 * 1440, 2):
        bench.send(temperature(minute, minute, minute))
    again = [
        bench.send(temperature(6000 + place / 60, 2 * place, 9000 + place)) for place in range(300)
    ]
    assert {counts(done)[0] for done in again} == {0}


def test_a_clock_that_jumps_back_is_told() -> None:
    """`device:clock`, so that somebody sets it; the readings go on."""
    frames = [
        temperature(10 * each, 10 * each - (1440 if each > 5 else 0), each) for each in range(30)
    ]
    alerts = last_alerts(replay_frames(frames, [worn()])).values()
    assert [alert["group"] for alert in alerts] == ["device:clock"]


@pytest.mark.parametrize("boot", ["b2", "b"], ids=["new boot", "same boot"])
def test_a_gateways_counter_that_begins_anew_loses_nothing(boot: str) -> None:
    """Also where the gateway forgets to say so: what a value says identifies it, not the frame's
    number.
    """
    bench = Device(worn())
    first = [bench.send(temperature(minute, minute, minute)) for minute in range(5)]
    then = [
        bench.send(temperature(minute + 60, minute + 60, minute, boot=boot)) for minute in range(5)
    ]
    assert {counts(done) for done in (*first, *then)} == {(1, 0, 0)}
