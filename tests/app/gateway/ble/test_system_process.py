"""``gateway ble`` and ``gateway ble scan`` as processes of their own on the system's stack: a
double of BlueZ.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.radio.bleak_air import BleakPeripheral, bleak_air
from support.radio.home import CUFF, STRAP, THERMOMETER, Cuff, until

from rpm_stream.app.gateway.spool import Spool

pytestmark = pytest.mark.asyncio

LIST = f"""
[[device]]
device = "thermometer-1"
address = "{THERMOMETER.address}"

[[device]]
device = "cuff-1"
name = "{CUFF.name}"
"""


async def started(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rpm_stream",
        "gateway",
        "ble",
        *arguments,
        env={
            **os.environ,
            "RPM_DATA_DIR": str(folder),
            "RPM_BOOTSTRAP": "127.0.0.1:1",
            "RPM_LOG_LEVEL": "ERROR",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, error = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), error.decode()


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    (folder / "devices.toml").write_text(LIST, encoding="utf-8")
    process = await started(
        "--devices", str(folder / "devices.toml"), "--gateway", "home-1", folder=folder
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def kept(folder: Path) -> list[tuple[str, str, str]]:
    """Device, characteristic and payload of all that waits for the broker, in order."""
    spool = Spool(folder / "gateway" / "home-1.spool")
    try:
        frames = [json.loads(each.wire) for each in spool.in_turn({}, 1000, 10**9)]
    finally:
        spool.close()
    return [
        (frame["device"], entry["characteristic"], entry["payload"])
        for frame in frames
        for entry in frame["notifications"]
    ]


async def said(device: BleakPeripheral, value: bytes) -> None:
    """Once somebody has subscribed, as often as it takes to be confirmed."""
    await until(lambda: bool(device.double.notifying.get(device.device.value("2A1C").path)), 30.0)
    assert await device.say("2A1C", value)


async def test_scan_shows_what_is_near(tmp_path: Path) -> None:
    async with bleak_air(tmp_path) as air:
        for spec in (STRAP, CUFF):
            await (await air.peripheral(spec)).advertise()
        code, out, error = await ended(await started("scan", "--seconds", "1.5", folder=tmp_path))
    assert (code, error) == (0, "")
    assert sorted((line["name"], line["is"]) for line in map(json.loads, out.splitlines())) == [
        (CUFF.name, ["blood pressure"]),
        (STRAP.name, ["heart rate"]),
    ]


async def test_a_machine_without_bluez_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    code, out, error = await ended(await started("scan", folder=tmp_path))
    assert (code, out) == (2, "")
    assert (
        error
        == "rpm-stream: no D-Bus system bus (FileNotFoundError): is this a Linux with BlueZ?\n"
    )


async def test_a_gateway_that_is_killed_takes_its_connections_up_again(tmp_path: Path) -> None:
    """BlueZ keeps the connection of a process that was killed, and the device advertises no
    more.
    """
    async with bleak_air(tmp_path) as air:
        thermometer = await air.peripheral(THERMOMETER)
        cuff = Cuff(await air.peripheral(CUFF), [bytes([4, number]) for number in range(10)])
        await thermometer.advertise()
        await cuff.air.advertise()
        async with gateway(tmp_path) as process:
            await said(thermometer, b"\x00\x01")
            await until(lambda: not cuff.stored, 30.0)
            await asyncio.sleep(1.0)
            process.kill()
            await process.wait()
        await until(lambda: not any(air.double.notifying.values()))
        assert thermometer.connected
        async with gateway(tmp_path) as process:
            await said(thermometer, b"\x00\x02")
            await asyncio.sleep(1.0)
            process.send_signal(signal.SIGTERM)
            code, _, error = await ended(process)
        assert code == 0
        assert error.splitlines()[-1].startswith("stopped; ")
    values = kept(tmp_path)
    assert [each for each in values if each[0] == "thermometer-1"] == [
        ("thermometer-1", "2A1C", "0001"),
        ("thermometer-1", "2A1C", "0002"),
    ]
    assert [each for each in values if each[0] == "cuff-1"] == [
        ("cuff-1", "2A35", f"04{number:02x}") for number in range(10)
    ]
