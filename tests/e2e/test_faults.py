"""Law 2 on a real broker: workers killed in the middle of real data change nothing (CONTRACT 4 a)."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from service_for_tests import SHARED, Service, drained, read, running, send

from rpm_stream.app import names
from rpm_stream.app.registry_file import read_registry
from rpm_stream.app.registry_topic import write

KILLS = int(os.environ.get("RPM_KILLS", "12"))
SEED = int(os.environ.get("RPM_SEED", secrets.randbelow(10**6)))
STAYS = 200
CGM_PEOPLE = 5

PUTS_OUT = {"ingest": names.ACCOUNTS, "judge": names.SCORES}  # what shows that a stage is at work

TIME_DRIVEN = (
    "stale",
    "updated_at",
    "historical",
    "escalation",
)  # a tick may come between records: compared by id and opened_at


@pytest.fixture(scope="module")
def real_frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], Path]:
    """200 stays and 5 people with a glucose sensor, as gateways would uplink them, and their registry."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: the real recordings are not here (RPM_SHARED names their folder)")
    folder = tmp_path_factory.mktemp("real")
    frames, entries = [], b""
    for name, people in (("sepsis2019", STAYS), ("cgm", CGM_PEOPLE)):
        registry = folder / f"{name}.jsonl"
        command = [sys.executable, "-m", "rpm_stream", "gateway", "encode", str(SHARED / "data" / f"{name}.csv.gz")]
        made = subprocess.run(
            [*command, "--registry", str(registry), "--patients", str(people)], stdout=subprocess.PIPE, check=True
        )
        frames += made.stdout.splitlines()
        entries += registry.read_bytes()
    (folder / "registry.jsonl").write_bytes(entries)
    return frames, folder / "registry.jsonl"


@pytest.fixture
def service(tmp_path: Path) -> Any:
    with running(tmp_path, {"RPM_TIME": "recorded"}) as service:
        yield service


def replayed(folder: Path, registry: Path, frames: list[bytes]) -> dict[str, dict[str, dict[str, Any]]]:
    """The last record of each id, by type, as ``rpm-stream replay`` of the same file gives them."""
    file = folder / "frames.jsonl"
    file.write_bytes(b"\n".join(frames))
    command = [sys.executable, "-m", "rpm_stream", "replay", str(file), "--registry", str(registry), "--emit", "all"]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            body = msgspec.json.decode(line)
            found.setdefault(body["type"], {})[body["record"]["id"]] = body["record"]
    assert process.returncode == 0
    return found


def without_time_driven(body: dict[str, Any]) -> dict[str, Any]:
    """What readings alone decide: ticks of wall time come between these records of a year long past."""
    kept = {key: value for key, value in body.items() if key not in TIME_DRIVEN}
    kept["history"] = [step for step in body["history"] if not step["reason"].startswith("escalated:")]
    return kept


def is_summary(body: dict[str, Any]) -> bool:
    return any(part.get("valueInteger") is not None for part in body.get("component", ()))


class Identified(msgspec.Struct):
    """The part of a record that the comparison goes by."""

    id: str


def last_by_id(records: list[ConsumerRecord], what: str) -> tuple[dict[str, dict[str, Any]], int]:
    """The last record of each id, and how many records only repeated another. One id never has two contents.

    An alert and a summary move on under one id: for those the last record counts (CONTRACT 4 a).
    """
    last: dict[str, bytes] = {}
    repeated = 0
    for record in records:
        value = record.value
        identity = msgspec.json.decode(value, type=Identified).id
        before = last.get(identity)
        repeated += before == value
        assert before is None or before == value or what in ("alert", "observation"), f"two contents of one {what}"
        last[identity] = value
    return {identity: msgspec.json.decode(value) for identity, value in last.items()}, repeated


async def check_readings(service: Service, wanted: dict[str, dict[str, Any]]) -> int:
    """Each message of readings has one content; together they hold the replay's readings. Counts repeated messages."""
    messages: dict[Any, bytes] = {}
    repeated = 0
    readings: dict[str, dict[str, Any]] = {}
    for record in await read(service.bootstrap, names.READINGS):
        body = msgspec.json.decode(record.value)
        place = (body["partition"], body["offset"], body["chunk"], body["patient"])
        repeated += place in messages
        assert messages.setdefault(place, record.value) == record.value, "two contents of one message of readings"
        readings.update((reading["id"], reading) for reading in body["readings"])
    assert readings == wanted
    return repeated


async def check_accounts(service: Service, frames: int, readings: int) -> None:
    """One account a frame, and the books balance."""
    accounts = {}
    for record in await read(service.bootstrap, names.ACCOUNTS):
        body = msgspec.json.decode(record.value)
        assert accounts.setdefault((body["partition"], body["offset"]), body) == body
        assert body["parts"] == body["readings"] + body["duplicates"] + sum(body["rejects"].values())
    assert len(accounts) == frames
    assert sum(body["readings"] for body in accounts.values()) == readings


async def check_against_replay(service: Service, registry: Path, frames: list[bytes]) -> dict[str, int]:
    """The topics hold what the replay of the file says: each patient's data came under one device key."""
    wanted = replayed(service.folder, registry, frames)
    repeated = {"readings": await check_readings(service, wanted["reading"])}
    await check_accounts(service, len(frames), len(wanted["reading"]))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for what, topic in (
        ("alert", names.ALERTS),
        ("reject", names.REJECTS),
        ("score", names.SCORES),
        ("observation", names.OBSERVATIONS),
    ):
        found[what], repeated[what] = last_by_id(await read(service.bootstrap, topic), what)
    assert found["reject"].keys() == wanted.get("reject", {}).keys()
    assert found["score"] == wanted["score"]
    for key, body in wanted["alert"].items():
        assert without_time_driven(found["alert"][key]) == without_time_driven(body)
    assert found["alert"].keys() == wanted["alert"].keys()
    missing = wanted["observation"].keys() - found["observation"].keys()
    assert all(is_summary(wanted["observation"][key]) for key in missing)  # windows still open when it was read
    assert found["observation"] == {key: body for key, body in wanted["observation"].items() if key not in missing}
    return repeated


async def kill_at_random(service: Service, chance: random.Random, kills: int) -> int:
    """Kill one stage or the other with SIGKILL once it has put out something new; each comes back under its name."""
    consumer = AIOKafkaConsumer(bootstrap_servers=service.bootstrap, group_id=None)
    await consumer.start()

    async def written(topic: str) -> int:
        return sum((await consumer.end_offsets([TopicPartition(topic, number) for number in range(4)])).values())

    try:
        for done in range(kills):
            stage = chance.choice(sorted(PUTS_OUT))
            before, end = await written(PUTS_OUT[stage]), time.monotonic() + 60
            while await written(PUTS_OUT[stage]) <= before + 20:
                if time.monotonic() > end:
                    return done
                await asyncio.sleep(0.02)
            await asyncio.sleep(chance.uniform(0, 0.6))
            service.kill(f"{stage}-a")
            service.start(stage)
    finally:
        await consumer.stop()
    return kills


async def kills_change_nothing(service: Service, frames: list[bytes], registry_file: Path) -> None:
    entries = list(read_registry(registry_file))
    await write(service.bootstrap, entries)
    for stage in ("ingest", "judge"):
        service.start(stage)
    killing = asyncio.create_task(kill_at_random(service, random.Random(SEED), KILLS))
    await send(service.bootstrap, frames, lambda: 0.0 if killing.done() else 0.3)  # kills hit work in progress
    kills = await killing
    assert kills >= min(KILLS, 10), f"only {kills} kills hit work in progress"
    await drained(service)
    repeated = await check_against_replay(service, registry_file, frames)
    print(f"seed {SEED}: {kills} kills, {len(frames)} frames, 0 lost, 0 different; repeated {repeated}")
    print(f"exits by themselves: {service.exits}")


def test_kills_in_the_middle_of_real_data_change_nothing(
    service: Service, real_frames: tuple[list[bytes], Path]
) -> None:
    """At least ten SIGKILLs: every id is there, with one content, equal to the replay's."""
    print(f"RPM_SEED={SEED}")
    asyncio.run(kills_change_nothing(service, *real_frames))
