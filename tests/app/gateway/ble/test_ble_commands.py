"""``gateway ble`` and ``gateway ble scan`` as a person types them; the radio is one that tells
what it is given.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import ssl
import subprocess
import sys
import tomllib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry
from support.radio.fast import SimpleRadio
from support.radio.home import until

from rpm_stream.app.gateway.ble import commands, from_registry
from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.commands import Looking, own_name, scan
from rpm_stream.app.gateway.ble.from_registry import remembered
from rpm_stream.app.gateway.ble.kafka_file import kafka_options
from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.radio import Sighting
from rpm_stream.app.gateway.client import GATEWAY_ID
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import DeviceEntry

NEAR = [
    Sighting("AA:00:00:00:00:01", None, frozenset({"180D"}), -70),
    Sighting("AA:00:00:00:00:02", "TV", frozenset(), -20),
    Sighting("AA:00:00:00:00:01", "HR-70A", frozenset(), -60),
]


class Told(SimpleRadio):
    """A radio that hears ``sightings``, or cannot be opened."""

    def __init__(self, sightings: list[Sighting], fault: str | None = None) -> None:
        self._sightings, self.fault = sightings, fault

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        for sighting in self._sightings:
            yield sighting
        await asyncio.Event().wait()


def looked(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    radio: Told,
    everything: bool = False,
    template: bool = False,
) -> None:
    monkeypatch.setattr(commands, "radio_of", lambda *_: radio)
    scan("system", tmp_path, Looking(0.05, everything, template))


def test_a_program_gets_a_line_for_each_device_with_all_that_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looked(monkeypatch, tmp_path, Told(NEAR))
    said = capsys.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == [
        {
            "address": "AA:00:00:00:00:01",
            "name": "HR-70A",
            "is": ["heart rate"],
            "services": ["180D"],
            "rssi": -60,
        }
    ]
    assert said.err == "1 health devices, 1 others (--all shows them)\n"


def test_all_shows_also_what_is_no_health_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looked(monkeypatch, tmp_path, Told(NEAR), everything=True)
    said = capsys.readouterr()
    assert [json.loads(line)["name"] for line in said.out.splitlines()] == ["HR-70A", "TV"]
    assert said.err == ""


def test_silence_asks_the_question_that_helps(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looked(monkeypatch, tmp_path, Told([]))
    assert "nothing advertises here" in capsys.readouterr().err


def test_a_template_is_a_list_to_fill_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looked(monkeypatch, tmp_path, Told(NEAR), template=True)
    table = tomllib.loads(capsys.readouterr().out)
    assert [device["address"] for device in table["device"]] == ["AA:00:00:00:00:01"]


def test_an_adapter_that_is_off_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="switch it on"):
        looked(monkeypatch, tmp_path, Told([], "Bluetooth is off: switch it on"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--radio", "blub"], "--radio: system"),
        (["--radio", "usb"], "usb needs a name"),
        (["--zone", "Mars/North"], "no such time zone"),
        (["--gateway", "a b"], "--gateway: 1 to 64"),
        (["--devices", "/none.toml"], "/none.toml: No such file"),
        (["--links", "0"], "--links"),
        (
            ["scan", "--radio", "serial:/dev/none", "--seconds", "1"],
            "no Bluetooth controller at serial:/dev/none",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str], told: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", "gateway", "ble", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "RPM_DATA_DIR": str(tmp_path),
            "RPM_BOOTSTRAP": "127.0.0.1:1",
            "RPM_LOG_LEVEL": "ERROR",
        },
        timeout=60,
    )
    assert ran.returncode == 2
    assert told in ran.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_without_the_extra_it_says_which(tmp_path: Path) -> None:
    """A plain installation has neither stack: the command is there and says what to install."""
    code = (
        "import sys; sys.modules['bleak'] = sys.modules['bumble'] = None\n"
        "sys.argv[1:] = ['gateway', 'ble', 'scan', '--radio', sys.argv[1]]\n"
        "from rpm_stream.app.cli.main import main; main()"
    )
    for radio in ("system", "usb:0"):
        ran = subprocess.run(
            [sys.executable, "-c", code, radio],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "RPM_DATA_DIR": str(tmp_path)},
        )
        assert (ran.returncode, ran.stderr) == (
            2,
            "rpm-stream: Bluetooth needs an extra: pip install 'rpm-stream[ble]'\n",
        )


def test_this_machine_has_a_name_that_a_gateway_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("pi-4.home", "Zoé's Mac", "", "x" * 200):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        assert GATEWAY_ID.fullmatch(own_name())


async def _followed(path: Path, served: list[Known]) -> None:
    task = asyncio.ensure_future(from_registry.follow("127.0.0.1:1", path, served.append))
    async with asyncio.timeout(10.0):
        while not served:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_without_the_broker_the_devices_of_the_last_time_are_served(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text('[{"device": "C0:26:DA:01:02:03", "address": "C0:26:DA:01:02:03"}]')
    served: list[Known] = []
    asyncio.run(_followed(path, served))
    assert [known.devices for known in served] == [
        (KnownDevice(device="C0:26:DA:01:02:03", address="C0:26:DA:01:02:03"),)
    ]


class Reader:
    """In the place of the registry's reader: it is level at once, and breaks off when it is
    told.
    """

    made: ClassVar[list[Reader]] = []

    def __init__(self, _: str) -> None:
        self.registry, self.ready, self.broken = Registry(), asyncio.Event(), asyncio.Event()
        self.registry.put(DeviceEntry(device="C0:26:DA:01:02:03", assignments=[]))
        self.registry.put(DeviceEntry(device="strap-9", assignments=[]))
        Reader.made.append(self)

    async def run(self) -> None:
        self.ready.set()
        await self.broken.wait()
        raise KafkaConnectionError


def test_the_registry_is_followed_and_remembered_and_a_broken_reader_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_registry, "RegistryReader", Reader)
    monkeypatch.setattr(from_registry, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(from_registry, "RETRY_SECONDS", 0.01)
    Reader.made.clear()
    path, served = tmp_path / "devices.json", list[Known]()

    def now() -> list[str]:
        return [device.device for device in served[-1].devices] if served else []

    async def play() -> None:
        task = asyncio.ensure_future(from_registry.follow("x:1", path, served.append))
        await until(lambda: now() == ["C0:26:DA:01:02:03"])
        Reader.made[0].registry.put(DeviceEntry(device="F0:F1:F2:F3:F4:F5", assignments=[]))
        await until(lambda: len(now()) == 2)
        assert {device.device for device in remembered(path)} == set(now())
        Reader.made[0].broken.set()
        await until(lambda: len(Reader.made) == 2)
        await until(lambda: len(now()) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"device": 1}]'])
def test_devices_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "devices.json"
    path.write_text(text)
    assert remembered(path) == []


def test_status_gives_a_program_the_file_and_says_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="no gateway home-1 has run here"):
        commands.status(tmp_path, "home-1")
    board = Board(
        lambda: datetime(2026, 11, 30, tzinfo=UTC),
        CollectorRegistry(),
        tmp_path / "home-1.ble-status.json",
    )
    board.row("strap-1").battery = 80
    board.refused["unassigned"] += 2
    board.write()
    commands.status(tmp_path, "home-1")
    said = json.loads(capsys.readouterr().out)
    assert (said["devices"][0]["device"], said["devices"][0]["battery"]) == ("strap-1", 80)
    assert said["refused"] == {"unassigned": 2}


# --- signing in -----------------------------------------------------------------------------------

SIGNED = """
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_plain_username = "gw-17"
sasl_plain_password = "zaphod"
"""


def test_a_gateway_signs_in_by_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "kafka.toml"
    path.write_text(SIGNED)
    path.chmod(0o600)
    found = kafka_options(path)
    assert isinstance(found.pop("ssl_context"), ssl.SSLContext)
    assert found == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "gw-17",
        "sasl_plain_password": "zaphod",
    }
    assert found.keys() <= inspect.signature(AIOKafkaProducer).parameters.keys()
    assert found.keys() <= inspect.signature(AIOKafkaConsumer).parameters.keys()


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (SIGNED, 0o644, "others may read it"),
        (SIGNED.replace("SASL_SSL", "zaphod"), 0o600, "security_protocol must be one of"),
        (SIGNED + "sasl_pasword = 'zaphod'", 0o600, "sasl_pasword: unknown"),
        (SIGNED + "ssl_cafile = 7", 0o600, "ssl_cafile must be a text"),
        (SIGNED + "ssl_cafile = 'none.pem'", 0o600, "cannot be used"),
        (SIGNED.replace('"zaphod"', '"zaphod'), 0o600, "not TOML"),
    ],
)
def test_what_is_wrong_with_it_is_one_line_without_the_password(
    tmp_path: Path, text: str, mode: int, told: str
) -> None:
    path = tmp_path / "kafka.toml"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(UsageError) as fault:
        kafka_options(path)
    assert told in str(fault.value)
    assert "zaphod" not in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        kafka_options(tmp_path / "none.toml")
