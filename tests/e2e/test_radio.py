"""A home on a virtual air, ``rpm-stream gateway ble`` as its own process on a controller of that
air, and the service.

Devices advertise, connect, break off in an indication, come back; then every octet that they sent
is in a frame, every reading is there once, and the alert is in the feed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket
from support.kafka.world import World, world
from support.radio.air import Spec
from support.radio.bumble_air import Adapter, BumbleAir, BumblePeripheral, bumble_air
from support.radio.home import CUFF, METER, OXIMETER, SCALE, STRAP, THERMOMETER, Cuff, Meter, until

from rpm_stream.app.kafka import names
from rpm_stream.app.simulator.encode.gatt import (
    BloodPressure,
    Continuous,
    Glucose,
    GlucoseContext,
    HeartRate,
    Spot,
    Temperature,
    Weight,
    blood_pressure,
    continuous,
    glucose,
    glucose_context,
    heart_rate,
    spot,
    temperature,
    weight,
)
from rpm_stream.ingest.gatt.decoders import decode

NAMES = {
    "strap": STRAP,
    "cuff": CUFF,
    "meter": METER,
    "oximeter": OXIMETER,
    "scale": SCALE,
    "thermometer": THERMOMETER,
}
LOCKED = {"cuff", "meter"}  # they are for who has paired
Said = dict[str, list[tuple[str, bytes]]]  # of each device, what left its antenna, in order


def spec_of(name: str) -> Spec:
    spec = NAMES[name]
    if name not in LOCKED:
        return spec
    return replace(
        spec,
        parts=tuple(
            replace(part, encrypted=part.service in {"1810", "1808"}) for part in spec.parts
        ),
    )


class Home:
    """The devices, and a record of all that they said."""

    def __init__(self, air: BumbleAir) -> None:
        self.air, self.said = air, defaultdict[str, list[tuple[str, bytes]]](list)
        self.subscribed: dict[str, set[str]] = defaultdict(set)
        self.devices: dict[str, BumblePeripheral] = {}

    async def add(self, name: str) -> BumblePeripheral:
        device = self.devices[name] = await self.air.peripheral(spec_of(name))
        say, told = device.say, self.said[name]

        async def noted(uuid: str, value: bytes) -> bool:
            told.append((uuid, value))
            return await say(uuid, value)

        device.say = noted  # type: ignore[method-assign]
        device.on_subscribed = self.subscribed[name].add
        return device

    async def ready(self, name: str, uuid: str) -> BumblePeripheral:
        """The device, advertising, once the gateway has subscribed to ``uuid``."""
        device = self.devices[name]
        await device.advertise()
        await until(lambda: uuid in self.subscribed[name], 30.0)
        return device


@asynccontextmanager
async def gateway(
    air: BumbleAir, service: World, devices: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``rpm-stream gateway ble`` on a controller of this air, which it reaches as one reaches
    any: by HCI.
    """
    door = socket.create_server(("127.0.0.1", 0))
    transport = await open_tcp_server_transport_with_socket(door)
    Adapter("gateway", host_source=transport.source, host_sink=transport.sink, link=air.link)
    arguments = [
        "gateway",
        "ble",
        "--radio",
        f"tcp-client:127.0.0.1:{door.getsockname()[1]}",
        "--devices",
        str(devices),
        "--gateway",
        "home-1",
        "--zone",
        "UTC",
    ]
    with service.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rpm_stream",
            *arguments,
            env={**service.environment, "RPM_LOG_LEVEL": "INFO"},
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 30.0)
            await transport.close()


def lose_confirmation(device: BumblePeripheral, cuff: Cuff) -> None:
    """The link breaks once more, when the gateway has a value and the cuff does not know it yet."""
    server, lost = device.device.gatt_server, [False]
    confirmed = server.on_att_handle_value_confirmation

    def confirmation(bearer: Any, pdu: Any) -> None:
        if len(cuff.told) < 3 or lost[0]:
            confirmed(bearer, pdu)
            return
        lost[0] = True
        cuff.start(device.drop())

    server.on_att_handle_value_confirmation = confirmation


async def lived(service: World, devices: Path, folder: Path) -> Said:
    """One evening. Returns what each device said."""
    now = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
    ago = lambda minutes: now - timedelta(minutes=minutes)  # noqa: E731
    async with bumble_air(folder) as air:
        home = Home(air)
        for name in NAMES:
            await home.add(name)
        readings = [
            blood_pressure(
                BloodPressure(
                    systolic=high,
                    diastolic=low,
                    mean_arterial=mean,
                    pulse_rate="88",
                    time=ago(minutes),
                )
            )
            for high, low, mean, minutes in (
                ("128", "82", "97", 40),
                ("196", "124", "148", 15),
                ("198", "126", "150", 9),
                ("201", "127", "152", 3),
            )
        ]
        cuff = Cuff(home.devices["cuff"], readings, breaks=1, needs_clock=True)
        lose_confirmation(home.devices["cuff"], cuff)
        records = [
            (
                number,
                glucose(
                    Glucose(
                        sequence=number,
                        base_time=ago(300 - number),
                        value=str(90 + number),
                        context_follows=True,
                    )
                ),
                glucose_context(GlucoseContext(sequence=number, meal=1)),
            )
            for number in range(12)
        ]
        meter = Meter(home.devices["meter"], records)
        meter.breaks_after = 5
        async with gateway(air, service, devices) as process:
            for name in NAMES:
                await home.devices[name].advertise()
            strap = await home.ready("strap", "2A37")
            for beat in range(40):
                await strap.say("2A37", heart_rate(HeartRate(rate=60 + beat)))
                if beat == 20:
                    home.subscribed["strap"].clear()
                    await strap.drop()
                    await home.ready("strap", "2A37")
            oximeter = await home.ready("oximeter", "2A5F")
            await home.ready("oximeter", "2A5E")
            for count in range(5):
                await oximeter.say(
                    "2A5F", continuous(Continuous(normal=(str(95 + count % 3), str(70 + count))))
                )
            assert await oximeter.say(
                "2A5E", spot(Spot(oxygen_saturation="96", pulse_rate="71", time=ago(1)))
            )
            assert await (await home.ready("thermometer", "2A1C")).say(
                "2A1C", temperature(Temperature(value="36.8", time=ago(2)))
            )
            assert await (await home.ready("scale", "2A9D")).say(
                "2A9D", weight(Weight(value="71.500", time=ago(2)))
            )
            await until(lambda: not cuff.stored, 30.0)
            await until(
                lambda: len(meter.requests) >= 2 and home.said["meter"][-1][0] == "2A52", 30.0
            )
            await until(lambda: meter.air.connected and not cuff.air.connected, 30.0)
            await asyncio.sleep(6.0)  # a stream's values wait five seconds for company
        assert process.returncode == 0
        assert {data[0] for data in meter.requests} == {1}, "reports alone: never deletion"
        assert next(value for uuid, value in cuff.air.written if uuid == "2A08")[
            :2
        ] == now.year.to_bytes(2, "little")
        assert len(cuff.told) == len(readings) + 2, (
            "one indication never arrived, one was never confirmed"
        )
        return dict(home.said)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Said]]:
    folder = tmp_path_factory.mktemp("radio")
    devices = folder / "devices.toml"
    devices.write_text(
        "".join(
            f'[[device]]\ndevice = "{name}-1"\naddress = "{spec.address}"\n'
            for name, spec in NAMES.items()
        )
    )
    registry = folder / "registry.jsonl"
    registry.write_text(
        "".join(
            json.dumps({"v": 1, "device": f"{name}-1", "assignments": [{"patient": "ada"}]}) + "\n"
            for name in NAMES
        )
    )
    with world(folder, speed=1.0, time="broker") as service:
        service.up()
        loaded = service.cli("registry", "load", str(registry))
        assert loaded.returncode == 0, loaded.stderr
        said = asyncio.run(lived(service, devices, folder))
        frames = len(service.records(names.FRAMES))
        service.wait(
            "every frame has its account", lambda: len(service.records(names.ACCOUNTS)) >= frames
        )
        yield service, said


def entries(service: World) -> dict[str, list[dict[str, Any]]]:
    """The notifications of all frames, by device, in the order of their frames."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in sorted(service.records(names.FRAMES), key=lambda one: (one["device"], one["seq"])):
        assert (frame["gateway"], frame["utc_offset"]) == ("home-1", "+00:00")
        found[frame["device"].removesuffix("-1")] += frame["notifications"]
    return found


def test_every_octet_that_was_sent_is_in_a_frame_in_its_order(evening: tuple[World, Said]) -> None:
    service, said = evening
    for name, found in entries(service).items():
        for uuid in {uuid for uuid, _ in said[name]}:
            sent = list(dict.fromkeys(value.hex() for each, value in said[name] if each == uuid))
            came = [one["payload"] for one in found if one["characteristic"] == uuid]
            assert list(dict.fromkeys(came)) == sent, f"{name}: {uuid}"
            assert Counter(came) <= Counter(
                value.hex() for each, value in said[name] if each == uuid
            ), f"{name}: {uuid}"
    assert set(entries(service)) == set(NAMES)
    pressures = Counter(
        one["payload"] for one in entries(service)["cuff"] if one["characteristic"] == "2A35"
    )
    assert sorted(pressures.values()) == [1, 1, 1, 2], "what was not confirmed came again"


def test_a_frame_says_when_each_value_came(evening: tuple[World, Said]) -> None:
    service, _ = evening
    for found in entries(service).values():
        times = [datetime.fromisoformat(one["at"]) for one in found]
        assert times == sorted(times)
        assert all(abs((datetime.now(UTC) - at).total_seconds()) < 600 for at in times)


def test_nothing_is_lost_or_twice_as_a_reading_and_nothing_is_refused(
    evening: tuple[World, Said],
) -> None:
    service, said = evening
    assert service.records(names.REJECTS) == []
    ids: Counter[str] = Counter()
    readings: Counter[tuple[str, str]] = Counter()
    for message in service.records(names.READINGS):
        for reading in message.get("readings", ()):
            ids[reading["id"]] += 1
            readings[reading["device"].removesuffix("-1"), reading["vital"]] += 1
    assert set(ids.values()) == {1}
    expected: Counter[tuple[str, str]] = Counter()
    for name, values in said.items():
        for uuid, value in dict.fromkeys(values):
            expected.update((name, reading.vital) for reading in decode(uuid, value).readings)
    batteries = sum(1 for name, vital in readings if vital == "battery")
    assert {key: count for key, count in readings.items() if key[1] != "battery"} == dict(expected)
    assert batteries >= 2  # of strap and meter, read and sent as 2A19
    again = sum(account["duplicates"] for account in service.records(names.ACCOUNTS))
    assert again > 0  # what broke off came again, and was known


def test_a_glucose_value_has_its_context(evening: tuple[World, Said]) -> None:
    service, _ = evening
    found = [
        reading
        for message in service.records(names.READINGS)
        for reading in message.get("readings", ())
        if reading["vital"] == "glucose"
    ]
    assert len(found) == 12
    assert all("context" in reading["attributes"] for reading in found)


def test_the_alert_is_in_the_feed(evening: tuple[World, Said]) -> None:
    """Three pressures above 180/120 in a quarter of an hour, one of which broke off twice on its
    way.
    """
    service, _ = evening

    def listed() -> list[str]:
        rows = [one["row"] for one in service.http("GET", "/api/alerts").json()["alerts"]]
        return [row["id"] for row in rows if (row["patient"], row["priority"]) == ("ada", "high")]

    service.wait("the alert of the pressure is in the feed", listed)
    [alert] = {one["id"] for one in service.alerts("ada", "vital_signs")}
    assert listed() == [alert]
    evidence = service.alerts("ada", "vital_signs")[-1]["evidence"]
    values = {
        (reading["vital"], reading["value"])
        for message in service.records(names.READINGS)
        for reading in message.get("readings", ())
        if reading["id"] in evidence
    }
    assert values & {("systolic", "196"), ("systolic", "198"), ("systolic", "201")}, values


def test_its_files_are_for_its_owner_alone(evening: tuple[World, Said]) -> None:
    service, _ = evening
    folder = Path(service.settings["RPM_DATA_DIR"]) / "gateway"
    files = sorted(folder.glob("home-1.ble-*"))
    assert [file.name for file in files] == [
        "home-1.ble-keys.json",
        "home-1.ble-marks.json",
        "home-1.ble-status.json",
    ]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_without_a_controller_one_line_says_what_to_do(tmp_path: Path) -> None:
    devices = tmp_path / "devices.toml"
    devices.write_text('[[device]]\ndevice = "strap-1"\naddress = "F0:F1:F2:F3:F4:F5"\n')
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "rpm_stream",
            "gateway",
            "ble",
            "--radio",
            "serial:/dev/none",
            "--devices",
            str(devices),
        ],
        env={
            **os.environ,
            "RPM_DATA_DIR": str(tmp_path),
            "RPM_BOOTSTRAP": "127.0.0.1:1",
            "RPM_LOG_LEVEL": "ERROR",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("rpm-stream: no Bluetooth controller at serial:/dev/none")
    assert "dialout" in last
