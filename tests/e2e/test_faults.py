"""Law 2 on a real broker: workers killed in the middle of real data change nothing (CONTRACT 4 a)."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import oracle_for_tests as oracle
import pytest
from aiokafka.structs import ConsumerRecord
from service_for_tests import SHARED, Service, drained, read, running, send

from rpm_stream.app import names
from rpm_stream.app.registry_file import read_registry
from rpm_stream.app.registry_topic import write
from rpm_stream.registry import Registry

KILLS = int(os.environ.get("RPM_KILLS", "12"))
SEED = int(os.environ.get("RPM_SEED", secrets.randbelow(10**6)))
STAYS = 200
CGM_PEOPLE = 5

TIME_DRIVEN = ("stale", "updated_at", "historical")  # a tick may come between records: compared by id and opened_at


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


def by_id(records: list[ConsumerRecord]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        body = msgspec.json.decode(record.value)
        found.setdefault(body["id"], []).append(body)
    return found


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


async def check_against_replay(service: Service, registry: Path, frames: list[bytes]) -> None:
    """The topics hold what the replay of the file says: each patient's data came under one device key."""
    wanted = replayed(service.folder, registry, frames)
    readings = [
        reading
        for record in await read(service.bootstrap, names.READINGS)
        for reading in msgspec.json.decode(record.value)["readings"]
    ]
    assert {reading["id"]: reading for reading in readings} == wanted["reading"]
    alerts = {
        key: without_time_driven(bodies[-1])
        for key, bodies in by_id(await read(service.bootstrap, names.ALERTS)).items()
    }
    assert alerts == {key: without_time_driven(body) for key, body in wanted["alert"].items()}
    rejects = by_id(await read(service.bootstrap, names.REJECTS))
    assert rejects.keys() == wanted.get("reject", {}).keys()
    observations = {key: bodies[-1] for key, bodies in by_id(await read(service.bootstrap, names.OBSERVATIONS)).items()}
    missing = wanted["observation"].keys() - observations.keys()
    assert all(is_summary(wanted["observation"][key]) for key in missing)  # windows still open when it was read
    assert observations == {key: body for key, body in wanted["observation"].items() if key not in missing}


def without_time_driven(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in TIME_DRIVEN}


async def check_against_oracle(service: Service, registry: Registry) -> dict[str, int]:
    """Everything on the topics equals the pure pipeline over the order of record; how much was repeated."""
    topics = {topic: await read(service.bootstrap, topic) for topic in names.TOPICS}
    expected = oracle.ingested(topics[names.FRAMES], registry, recorded=True)
    repeated = {}

    messages: dict[Any, set[bytes]] = {}
    for record in topics[names.READINGS]:
        body = msgspec.json.decode(record.value)
        messages.setdefault((body["partition"], body["offset"], body["chunk"], body["patient"]), set()).add(
            record.value
        )
    assert messages == {key: {value} for key, value in expected["readings"].items()}
    repeated["readings"] = len(topics[names.READINGS]) - len(messages)
    for topic, name, key in (
        (names.REJECTS, "rejects", lambda body: body["id"]),
        (names.ACCOUNTS, "accounts", lambda body: (body["partition"], body["offset"])),
    ):
        found: dict[Any, set[bytes]] = {}
        for record in topics[topic]:
            found.setdefault(key(msgspec.json.decode(record.value)), set()).add(record.value)
        assert found == {identity: {value} for identity, value in expected[name].items()}, topic
        repeated[name] = len(topics[topic]) - len(found)

    outcome = oracle.judged(topics[names.READINGS], registry)
    for topic, name in ((names.ALERTS, "alerts"), (names.SCORES, "scores"), (names.OBSERVATIONS, "observations")):
        found_last = {identity: bodies[-1] for identity, bodies in by_id(topics[topic]).items()}
        wanted = {identity: msgspec.json.decode(value) for identity, value in outcome[name].items()}
        if name == "alerts":
            found_last = {key: without_time_driven(body) for key, body in found_last.items()}
            wanted = {key: without_time_driven(body) for key, body in wanted.items()}
        if name == "observations":  # windows that are still open have not been written yet
            wanted = {key: body for key, body in wanted.items() if key in found_last or not is_summary(body)}
        assert found_last.keys() == wanted.keys(), (topic, len(found_last), len(wanted))
        assert found_last == wanted, topic
        repeated[name] = len(topics[topic]) - len(found_last)
    return repeated


def is_summary(body: dict[str, Any]) -> bool:
    return any(part.get("valueInteger") is not None for part in body.get("component", ()))


async def kill_at_random(service: Service, chance: random.Random, kills: int) -> int:
    """Kill one stage or the other with SIGKILL while frames arrive; each comes back under its name."""
    done = 0
    while done < kills:
        await asyncio.sleep(chance.uniform(0.5, 4))
        stage = chance.choice(["ingest", "judge"])
        service.kill(f"{stage}-a")
        service.start(stage)
        done += 1
    return done


async def kills_change_nothing(service: Service, frames: list[bytes], registry_file: Path) -> None:
    entries = list(read_registry(registry_file))
    await write(service.bootstrap, entries)
    for stage in ("ingest", "judge"):
        service.start(stage)
    killing = asyncio.create_task(kill_at_random(service, random.Random(SEED), KILLS))
    await send(service.bootstrap, frames, lambda: 0.0 if killing.done() else 0.1)  # kills hit work in progress
    kills = await killing
    await drained(service)
    repeated = await check_against_oracle(service, Registry(entries))
    await check_against_replay(service, registry_file, frames)
    print(f"seed {SEED}: {kills} kills, {len(frames)} frames, 0 lost, 0 different; repeated {repeated}")
    print(f"exits by themselves: {service.exits}")


def test_kills_in_the_middle_of_real_data_change_nothing(
    service: Service, real_frames: tuple[list[bytes], Path]
) -> None:
    """At least ten SIGKILLs: every id is there, with one content, equal to the replay's."""
    print(f"RPM_SEED={SEED}")
    asyncio.run(kills_change_nothing(service, *real_frames))
