"""The hub with devices on a virtual air: nothing is lost, nothing is doubled, whatever the link
does.
"""

from __future__ import annotations

import asyncio
import json
import stat
from datetime import datetime
from pathlib import Path

import pytest
from support.radio.air import Air, Peripheral, Spec, part
from support.radio.home import (
    CUFF,
    FAST,
    METER,
    STRAP,
    THERMOMETER,
    Cuff,
    Meter,
    Served,
    serving,
    until,
)

from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.radio import RadioOff
from rpm_stream.app.simulator.encode.gatt import (
    BloodPressure,
    Glucose,
    GlucoseContext,
    blood_pressure,
    glucose,
    glucose_context,
)

pytestmark = pytest.mark.asyncio

NOON = datetime(2026, 11, 30, 12, 0, 0)


def pressure(systolic: int, minute: int = 0) -> bytes:
    said = BloodPressure(
        systolic=str(systolic),
        diastolic="80",
        mean_arterial="93",
        pulse_rate="70",
        time=NOON.replace(minute=minute),
    )
    return blood_pressure(said)


def sugar(
    sequence: int, value: str = "100", context: bool = False
) -> tuple[int, bytes, bytes | None]:
    at = NOON.replace(minute=sequence % 60)
    said = Glucose(sequence=sequence, base_time=at, value=value, context_follows=context)
    return (
        sequence,
        glucose(said),
        glucose_context(GlucoseContext(sequence=sequence, meal=1)) if context else None,
    )


def known(spec: Spec, device: str, **more: object) -> KnownDevice:
    return KnownDevice(device=device, address=spec.address, **more)  # type: ignore[arg-type]


async def advertised(air: Air, spec: Spec) -> Peripheral:
    """Put a device that advertises on the air."""
    device = await air.peripheral(spec)
    await device.advertise()
    return device


async def test_every_value_of_a_strap_is_in_frames_byte_for_byte(air: Air, tmp_path: Path) -> None:
    strap = await advertised(air, STRAP)
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]) as served:
        ready = asyncio.Event()
        strap.on_subscribed = lambda uuid: ready.set() if uuid == "2A37" else None
        await asyncio.wait_for(ready.wait(), 5.0)
        sent = [bytes([0, beat]) for beat in range(60, 100)]
        for value in sent:
            await strap.say("2A37", value)
        await until(lambda: len(served.disk.values("strap-1", "2A37")) >= len(sent))
        assert served.disk.values("strap-1", "2A37") == sent
        await until(lambda: served.disk.values("strap-1", "2A19"))
        assert served.disk.values("strap-1", "2A19") == [bytes([80])]
        row = served.board.row("strap-1")
        assert (row.presence, row.battery, row.values) == ("connected", 80, 40)


async def test_a_device_that_is_not_on_the_list_is_never_connected(
    air: Air, tmp_path: Path
) -> None:
    mine, other = await air.peripheral(STRAP), await air.peripheral(THERMOMETER)
    met: list[str] = []
    other.on_connected = lambda: met.append("other")
    await other.advertise()
    await mine.advertise()
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]):
        await until(lambda: mine.connected)
        await asyncio.sleep(0.2)
    assert met == []


async def test_a_cuff_that_delivers_and_drops_at_once_loses_nothing(
    air: Air, tmp_path: Path
) -> None:
    stored = [pressure(120 + count, count) for count in range(12)]
    cuff = Cuff(await air.peripheral(CUFF), stored)
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1")]) as served:
        await until(lambda: not cuff.stored)
        await until(lambda: len(served.disk.values("cuff-1", "2A35")) >= len(stored))
        assert served.disk.values("cuff-1", "2A35") == stored


@pytest.mark.parametrize("breaks", [1, 3])
async def test_a_link_that_breaks_in_an_indication_loses_nothing(
    air: Air, tmp_path: Path, breaks: int
) -> None:
    """What was not confirmed comes again: then the same bytes are in two frames, and ingest
    knows them as one.
    """
    stored = [pressure(120 + count, count) for count in range(4)]
    cuff = Cuff(await air.peripheral(CUFF), stored, breaks=breaks)
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1")]) as served:
        await until(lambda: not cuff.stored)
        await until(lambda: set(served.disk.values("cuff-1", "2A35")) == set(stored))
        got = served.disk.values("cuff-1", "2A35")
    assert [value for place, value in enumerate(got) if value not in got[:place]] == stored
    assert len(got) <= len(cuff.told)


async def test_a_cuff_that_waits_for_its_clock_gets_it(air: Air, tmp_path: Path) -> None:
    cuff = Cuff(await air.peripheral(CUFF), [pressure(150)], needs_clock=True)
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1")]) as served:
        await until(lambda: served.disk.values("cuff-1", "2A35"))
    [(uuid, value)] = cuff.air.written[:1]
    assert uuid == "2A08"
    assert len(value) == 7
    assert int.from_bytes(value[:2], "little") >= 2026


async def test_a_clock_is_left_alone_where_the_list_says_so(air: Air, tmp_path: Path) -> None:
    cuff = Cuff(await air.peripheral(CUFF), [pressure(150)])
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1", clock=False)]) as served:
        await until(lambda: served.disk.values("cuff-1", "2A35"))
        await asyncio.sleep(0.1)
    assert cuff.air.written == []


async def test_a_locked_cuff_is_paired_when_it_asks_and_sends_before_we_ask_later(
    air: Air, tmp_path: Path
) -> None:
    spec = Spec(CUFF.address, CUFF.name, (part("1810", "2A35", "indicate", encrypted=True),))
    stored = [pressure(120, 1), pressure(121, 2)]
    cuff = Cuff(await air.peripheral(spec), stored[:1])
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1")]) as served:
        await until(lambda: served.disk.values("cuff-1", "2A35") == stored[:1])
        await until(lambda: not cuff.air.connected)
        cuff.stored.append(stored[1])
        await until(lambda: served.disk.values("cuff-1", "2A35") == stored)
    assert air.keys is None or stat.S_IMODE(air.keys.stat().st_mode) == 0o600


async def test_a_meter_is_read_from_its_last_record_on_and_never_deleted(
    air: Air, tmp_path: Path
) -> None:
    meter = Meter(await air.peripheral(METER), [sugar(count) for count in range(5)])
    await meter.air.advertise()
    devices = [known(METER, "meter-1")]
    async with serving(air, tmp_path, devices) as served:
        await until(lambda: len(served.disk.values("meter-1", "2A18")) >= 5)
        assert served.disk.values("meter-1", "2A18") == [record[1] for record in meter.records]
        await until((tmp_path / "marks.json").exists)
        # a weak battery holds up nothing
        await until(lambda: served.board.row("meter-1").battery == 9)
    meter.records.append(sugar(5))
    async with serving(air, tmp_path, devices) as served:  # the gateway was started again
        await until(lambda: len(served.disk.values("meter-1", "2A18")) >= 2)
        assert served.disk.values("meter-1", "2A18") == [meter.records[4][1], meter.records[5][1]]
    assert [request.hex() for request in meter.requests] == ["0101", "0103010400"]
    assert "value" not in (tmp_path / "marks.json").read_text()
    assert stat.S_IMODE((tmp_path / "marks.json").stat().st_mode) == 0o600


async def read_and_marked(served: Served, folder: Path, count: int) -> None:
    """Wait until so many records of the meter are on disk, and where to go on too."""
    await until(lambda: len(served.disk.values("meter-1", "2A18")) >= count)
    await until((folder / "marks.json").exists)


async def test_a_meter_whose_memory_began_again_is_read_whole(air: Air, tmp_path: Path) -> None:
    meter = Meter(await air.peripheral(METER), [sugar(count) for count in range(100, 103)])
    await meter.air.advertise()
    devices = [known(METER, "meter-1")]
    async with serving(air, tmp_path, devices) as served:
        await read_and_marked(served, tmp_path, 3)
    meter.records = [sugar(count, "180") for count in range(2)]
    async with serving(air, tmp_path, devices) as served:
        await until(lambda: len(served.disk.values("meter-1", "2A18")) >= 2)
        assert served.disk.values("meter-1", "2A18") == [record[1] for record in meter.records]


async def test_another_record_at_the_last_number_is_noticed(air: Air, tmp_path: Path) -> None:
    """The memory was cleared and filled beyond where we had read: the number is there again, the
    record is another.
    """
    meter = Meter(await air.peripheral(METER), [sugar(count) for count in range(3)])
    await meter.air.advertise()
    devices = [known(METER, "meter-1")]
    async with serving(air, tmp_path, devices) as served:
        await read_and_marked(served, tmp_path, 3)
    later = [
        (
            number,
            glucose(
                Glucose(
                    sequence=number, base_time=NOON.replace(hour=13, minute=number), value="200"
                )
            ),
            None,
        )
        for number in range(5)
    ]
    meter.records = later
    async with serving(air, tmp_path, devices) as served:
        await until(
            lambda: set(served.disk.values("meter-1", "2A18")) == {record[1] for record in later}
        )


async def test_a_meter_without_filters_is_read_whole_each_time(air: Air, tmp_path: Path) -> None:
    meter = Meter(await air.peripheral(METER), [sugar(count) for count in range(3)])
    meter.filters = False
    await meter.air.advertise()
    devices = [known(METER, "meter-1")]
    for _ in range(2):
        async with serving(air, tmp_path, devices) as served:
            await until(lambda served=served: len(served.disk.values("meter-1", "2A18")) >= 3)
            await until((tmp_path / "marks.json").exists)
    assert [request.hex() for request in meter.requests] == ["0101", "0103010200", "0101"]


async def test_a_transfer_that_breaks_goes_on_where_it_broke(air: Air, tmp_path: Path) -> None:
    meter = Meter(await air.peripheral(METER), [sugar(count) for count in range(30)])
    meter.breaks_after = 20
    await meter.air.advertise()
    async with serving(air, tmp_path, [known(METER, "meter-1")]) as served:
        await until(lambda: len(set(served.disk.values("meter-1", "2A18"))) == 30)
        got = served.disk.values("meter-1", "2A18")
    assert [value for place, value in enumerate(got) if value not in got[:place]] == [
        one[1] for one in meter.records
    ]
    assert len(got) == 31, "only the last record before the break comes again"


async def test_a_value_and_its_context_share_a_frame(air: Air, tmp_path: Path) -> None:
    meter = Meter(await air.peripheral(METER), [sugar(count, context=True) for count in range(3)])
    await meter.air.advertise()
    async with serving(air, tmp_path, [known(METER, "meter-1")]) as served:
        await until(lambda: len(served.disk.values("meter-1", "2A34")) >= 3)
        for _, entries in served.disk.frames:
            said = [entry.characteristic for entry in entries]
            assert said.count("2A18") == said.count("2A34")


async def test_a_silent_strap_is_subscribed_anew_and_then_connected_anew(
    air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpm_stream.app.gateway.ble.quiet.LEAST_SECONDS", 0.15)
    monkeypatch.setattr("rpm_stream.app.gateway.ble.quiet.FIRST_SECONDS", 0.3)
    strap = await air.peripheral(STRAP)
    connections: list[int] = []
    subscriptions: list[str] = []
    strap.on_connected = lambda: connections.append(1)
    strap.on_subscribed = lambda uuid: subscriptions.append(uuid) if uuid == "2A37" else None
    await strap.advertise()
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]) as served:
        await until(lambda: subscriptions)
        for beat in (60, 61, 62):
            await strap.say("2A37", bytes([0, beat]))
            await asyncio.sleep(0.01)
        await until(lambda: len(subscriptions) == 2)
        assert len(connections) == 1, "the link was kept for the second subscription"
        await until(lambda: len(connections) == 2)
        assert served.disk.values("strap-1", "2A37") == [bytes([0, beat]) for beat in (60, 61, 62)]


async def test_a_strap_with_the_slow_pace_of_a_watch_is_left_alone(
    air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpm_stream.app.gateway.ble.quiet.LEAST_SECONDS", 0.05)
    strap = await air.peripheral(STRAP)
    subscriptions: list[str] = []
    strap.on_subscribed = lambda uuid: subscriptions.append(uuid) if uuid == "2A37" else None
    await strap.advertise()
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]):
        await until(lambda: subscriptions)
        for beat in range(60, 66):
            await strap.say("2A37", bytes([0, beat]))
            await asyncio.sleep(0.2)
    assert subscriptions == ["2A37"]


async def test_an_adapter_that_was_pulled_out_is_used_again_when_it_is_back(
    air: Air, tmp_path: Path
) -> None:
    await advertised(air, STRAP)
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]) as served:
        await until(lambda: served.board.row("strap-1").presence == "connected")
        air.unplug()
        await until(lambda: served.board.radio_fault is not None)
        assert served.board.row("strap-1").presence == "away"
        air.plug()
        await until(lambda: served.board.row("strap-1").presence == "connected")
        assert served.board.radio_fault is None


async def test_without_an_adapter_it_says_so_at_once(air: Air, tmp_path: Path) -> None:
    air.unplug()
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]) as served:
        with pytest.raises(RadioOff):
            await asyncio.wait_for(served.task, 5.0)


async def test_an_idle_link_makes_room_for_a_device_that_waits(air: Air, tmp_path: Path) -> None:
    from dataclasses import replace

    thermometer, cuff = (
        await air.peripheral(THERMOMETER),
        Cuff(await air.peripheral(CUFF), [pressure(150)]),
    )
    await thermometer.advertise()
    devices = [known(THERMOMETER, "thermometer-1"), known(CUFF, "cuff-1")]
    async with serving(air, tmp_path, devices, replace(FAST, links=1, idle_after=0.1)) as served:
        await until(lambda: thermometer.connected)
        await cuff.air.advertise()
        await until(lambda: served.disk.values("cuff-1", "2A35"))


async def test_a_full_disk_keeps_values_until_there_is_room(
    air: Air, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpm_stream.app.gateway.ble.outbox.RETRY_SECONDS", 0.02)
    stored = [pressure(120 + count, count) for count in range(3)]
    cuff = Cuff(await air.peripheral(CUFF), stored)
    await cuff.air.advertise()
    async with serving(air, tmp_path, [known(CUFF, "cuff-1")]) as served:
        served.disk.full = True
        await until(lambda: not cuff.stored)
        assert served.disk.frames == []
        served.disk.full = False
        await until(lambda: served.disk.values("cuff-1", "2A35") == stored)


async def test_a_device_that_is_taken_off_the_list_is_let_go(air: Air, tmp_path: Path) -> None:
    strap, thermometer = await air.peripheral(STRAP), await air.peripheral(THERMOMETER)
    await strap.advertise()
    await thermometer.advertise()
    kept = known(THERMOMETER, "thermometer-1")
    async with serving(air, tmp_path, [known(STRAP, "strap-1"), kept]) as served:
        await until(lambda: strap.connected and thermometer.connected)
        served.hub.serve(Known([kept]))
        await until(lambda: not strap.connected)
        await asyncio.sleep(0.2)
        assert not strap.connected
        assert thermometer.connected
        assert list(served.board.rows) == ["thermometer-1"]


async def test_a_gateway_that_can_send_no_more_ends_with_what_ended_it(
    air: Air, tmp_path: Path
) -> None:
    """Values that pile up behind a sender that is gone would be lost without a word."""
    await advertised(air, STRAP)
    async with serving(air, tmp_path, [known(STRAP, "strap-1")]) as served:
        served.disk.broken = True
        with pytest.raises(RuntimeError, match="the sending task has ended"):
            await asyncio.wait_for(asyncio.shield(served.task), 15.0)


async def test_two_devices_of_one_name_are_told_apart_by_nobody(air: Air, tmp_path: Path) -> None:
    mine, other = (
        await air.peripheral(STRAP),
        await air.peripheral(Spec("F0:00:00:00:00:01", STRAP.name, STRAP.parts)),
    )
    async with serving(air, tmp_path, [KnownDevice(device="strap-1", name=STRAP.name)]) as served:
        await mine.advertise()
        await until(lambda: mine.connected)
        await other.advertise()
        await mine.hide()
        await mine.drop()
        await until(
            lambda: (
                served.board.row("strap-1").fault
                and "list its address" in str(served.board.row("strap-1").fault)
            )
        )
        assert not other.connected


async def test_a_sensors_session_start_comes_before_its_values_also_where_it_must_be_paired(
    air: Air, tmp_path: Path
) -> None:
    start = bytes.fromhex("ea070b1e0a00000400")
    spec = Spec(
        "D4:01:02:03:04:05",
        "CGM",
        (part("181F", "2AA7", "notify"), part("181F", "2AAA", "read", value=start, encrypted=True)),
    )
    sensor = await air.peripheral(spec)
    sensor.on_subscribed = lambda uuid: asyncio.ensure_future(
        sensor.say("2AA7", bytes.fromhex("06006400 0500"))
    )
    await sensor.advertise()
    async with serving(air, tmp_path, [known(spec, "cgm-1")]) as served:
        await until(lambda: served.disk.values("cgm-1", "2AA7"))
    said = [entry.characteristic for _, entries in served.disk.frames for entry in entries]
    assert said[:2] == ["2AAA", "2AA7"]


async def test_the_status_file_says_how_each_device_is(air: Air, tmp_path: Path) -> None:
    await advertised(air, STRAP)
    async with serving(air, tmp_path, [known(STRAP, "strap-1", model="HR-70A")]) as served:
        await until(lambda: served.board.row("strap-1").battery)
    said = json.loads((tmp_path / "status.json").read_text())
    assert [(row["device"], row["model"], row["battery"]) for row in said["devices"]] == [
        ("strap-1", "HR-70A", 80)
    ]
    assert stat.S_IMODE((tmp_path / "status.json").stat().st_mode) == 0o600
