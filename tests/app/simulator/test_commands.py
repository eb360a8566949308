"""``rpm-stream gateway``: a file or a story in, frames out, through the broker and back; one
clear line when wrong.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from support.paths import shared_data
from typer.testing import CliRunner

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.cli.gateway import gateway_app
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.kafka import topics
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.simulator.faults import Faults
from rpm_stream.app.simulator.replay import WardPlan, register, run_ward
from rpm_stream.app.simulator.simulate import all_registry
from rpm_stream.knowledge.registry import parse_entry
from rpm_stream.records import Frame

CSV = "patient,measured_at,vital,value,unit\np1,2026-01-01T02:00:00Z,body_temperature,36.7,Cel\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own with the real topics: other tests' frames must not be among ours."""
    with Broker(tmp_path_factory.mktemp("broker"), port=0) as broker:
        asyncio.run(topics.apply(broker.bootstrap, 4, 1))
        yield broker.bootstrap


@pytest.fixture(autouse=True)
def own_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the user's data folder."""
    monkeypatch.setenv("RPM_DATA_DIR", str(tmp_path / "data"))


def call(*arguments: str, stdin: bytes = b"") -> bytes:
    """Standard output of one command; its exception, where it ends in one."""
    result = CliRunner().invoke(gateway_app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def frames(lines: bytes) -> list[Frame]:
    return [msgspec.json.decode(line, type=Frame) for line in lines.splitlines()]


async def taken(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, bytes]]:
    """The first ``count`` messages of a topic, (key, value), by time of arrival in each
    partition.
    """
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [
            (message.key, message.value)
            for message in [await consumer.getone() for _ in range(count)]
        ]
    finally:
        await consumer.stop()


def test_encode_reads_plain_and_gz_and_writes_the_registry(tmp_path: Path) -> None:
    """The same frames from both, and a registry that the service reads."""
    plain, zipped, registry = tmp_path / "a.csv", tmp_path / "b.csv.gz", tmp_path / "r.jsonl"
    plain.write_text(CSV)
    zipped.write_bytes(gzip.compress(CSV.encode()))
    encoded = call("encode", str(plain), "--registry", str(registry))
    assert call("encode", str(zipped)) == encoded
    assert call("encode", "-", stdin=CSV.encode()) == encoded
    [frame] = frames(encoded)
    assert (frame.gateway, frame.device, frame.sent_at) == (
        "csv",
        "csv.p1",
        datetime(2026, 1, 1, 2, tzinfo=UTC),
    )
    assert [entry.characteristic for entry in frame.notifications or []] == ["2A1C"]
    entry = parse_entry(registry.read_bytes().splitlines()[0])
    assert entry.assignments[0].patient == "p1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("patient,time\np1,2026\n", "header lacks measured_at"),
        (CSV + "p1,yesterday,heart_rate,60,/min\n", "line 3: measured_at"),
        (
            CSV + "secret,2026-01-01T02:00:00Z,heart_rate,secret,/min\n",
            "line 3: the value is no plain decimal",
        ),
        (CSV + "p1,2026-01-01T02:00:00Z,heart_rate\n", "line 3: 3 columns"),
    ],
)
def test_a_bad_file_is_one_clear_line_without_its_content(
    tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=says) as told:
        call("encode", str(path))
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"v":1,"frame":"secret', "line 1: not a frame: JSON is malformed"),
        (b'{"v":1,"frame":"\xff"}', "line 1: not a frame: not UTF-8"),
        (b'{"v":1,"resources":[' + b'{"a":' * 100_000, "line 1: not a frame: maximum recursion"),
    ],
)
def test_a_line_that_is_no_frame_is_one_clear_line(tmp_path: Path, line: bytes, says: str) -> None:
    """Cut short, not UTF-8, nested without end."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match=says) as told:
        call("replay", str(path), "--bootstrap", "127.0.0.1:9")
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


def test_missing_files_and_absent_brokers_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        call("encode", str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="No such file"):
        call("replay", str(tmp_path / "none.jsonl"), "--bootstrap", "127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Kafka answers at 127\.0\.0\.1:9"):
        call("simulate", "--bootstrap", "127.0.0.1:9")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(CSV.encode())[:-9])
    with pytest.raises(UsageError, match="gzip"):
        call("encode", str(broken))
    with pytest.raises(UsageError, match="zone"):
        call("simulate", "--to", "stdout", "--start", "2026-01-01T00:00:00")


def test_simulate_to_stdout_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    registry = tmp_path / "r.jsonl"
    order = ("simulate", "--story", "ward", "--patients", "3", "--hours", "5", "--to", "stdout")
    start = ("--start", "2026-01-01T00:00:00Z")
    one = call(*order, *start, "--registry", str(registry))
    assert one == call(*order, *start)
    assert one != call(*order, *start, "--seed", "2")
    assert sorted(call(*order, *start, "--reorder", "0.5").splitlines()) == sorted(one.splitlines())
    known = {
        parse_entry(line).device
        for line in registry.read_bytes().splitlines()
        if b'"device"' in line
    }  # type: ignore[union-attr]
    assert {frame.device for frame in frames(one)} == known


async def _from_device(bootstrap: str, device: str, count: int) -> list[bytes]:
    found: list[bytes] = []
    consumer = AIOKafkaConsumer(
        "rpm.frames", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        while len(found) < count:
            message = await consumer.getone()
            if message.key == device.encode():
                found.append(message.value)
    finally:
        await consumer.stop()
    return found


def test_a_real_file_goes_through_the_broker_in_its_order(service: str, tmp_path: Path) -> None:
    """Recorded stays, encoded once, replayed: each device's frames are in the topic as they
    stand in the file.
    """
    source = shared_data("sepsis2019.csv.gz")
    if not source.is_file():
        reason = f"{source.name} is not there: set RPM_SHARED to the folder with data/"
        print(reason)
        pytest.skip(reason)
    registry, file = tmp_path / "r.jsonl", tmp_path / "f.jsonl.gz"
    encoded = call("encode", str(source), "--patients", "3", "--registry", str(registry))
    file.write_bytes(gzip.compress(encoded))
    call("replay", str(file), "--registry", str(registry), "--bootstrap", service)
    lines = encoded.splitlines()
    for device in {frame.device for frame in frames(encoded)}:
        own = [line for line in lines if msgspec.json.decode(line, type=Frame).device == device]
        assert asyncio.run(asyncio.wait_for(_from_device(service, device, len(own)), 30)) == own
    keys = [
        key.decode()
        for key, _ in asyncio.run(asyncio.wait_for(taken(service, "rpm.registry", 3), 30))
    ]
    assert sorted(keys) == sorted(
        f"device/{device}" for device in {frame.device for frame in frames(encoded)}
    )


def test_a_ward_plays_at_its_pace(service: str, tmp_path: Path) -> None:
    """At 36,000 times real time two hours take a fifth of a second; every frame arrives."""
    plan = WardPlan(
        start=datetime(2026, 1, 1, tzinfo=UTC),
        patients=2,
        speed=36_000,
        hours=2,
        faults=Faults(duplicate=0.2),
    )

    async def play() -> tuple[int, float]:
        await register(service, all_registry(plan.people()))
        began = asyncio.get_running_loop().time()
        async with Gateway(service, "ward", spool_dir=tmp_path) as gateway:
            count = await run_ward(gateway, plan)
            took = asyncio.get_running_loop().time() - began
            assert await gateway.drain(30)
        return count, took

    count, took = asyncio.run(asyncio.wait_for(play(), 60))
    sent = list(plan.frames())
    assert count == len(sent)
    first, last = sent[0].received_at, max(frame.received_at for frame in sent if frame.received_at)
    assert first is not None
    assert took >= (last - first).total_seconds() / plan.speed
    device = next(islice(plan.frames(), 1)).device
    own = [frame.frame for frame in sent if frame.device == device]
    found = asyncio.run(asyncio.wait_for(_from_device(service, device, len(own)), 30))
    assert [msgspec.json.decode(value, type=Frame).frame for value in found] == own
