"""A state in a changelog is damaged: the stage ends and says so, and begins nobody anew; rebuilt, all goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from replaying import frame, measurement
from service_for_tests import Service, drained, read, running, send

from rpm_stream.app import names
from rpm_stream.app.engine.end import EXIT_STATE
from rpm_stream.app.registry_topic import write
from rpm_stream.app.state_rebuild import changelog
from rpm_stream.pipeline.sealed import unpack_device
from rpm_stream.pipeline.state import unpack_patient
from rpm_stream.records import Assignment, DeviceEntry

PEOPLE = ("zaphod", "trillian", "marvin")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("state"), {"RPM_TIME": "recorded"}) as service:
        yield service


def frames(turns: range) -> list[bytes]:
    """A frame of each person a turn: their oxygen is low, and stays so."""
    return [
        msgspec.json.encode(
            frame(
                [measurement(5 * turn, "oxygen_saturation", "84"), measurement(5 * turn, "heart_rate", "80")],
                5 * turn, seq=turn, device=f"{name}-ring", frame=f"{name}{turn}",
            )
        )
        for turn in turns
        for name in PEOPLE
    ]  # fmt: skip


def last_states(service: Service, stage: Any) -> dict[bytes, ConsumerRecord]:
    return {record.key: record for record in asyncio.run(read(service.bootstrap, changelog(stage)))}


def decoded(service: Service, topic: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value) for record in asyncio.run(read(service.bootstrap, topic))]


def cli(service: Service, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", *arguments],
        env={**os.environ, "RPM_BOOTSTRAP": service.bootstrap, "RPM_TIME": "recorded"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


async def acknowledge(service: Service, patient: str) -> None:
    """Somebody is on the patient's alert."""
    found = [msgspec.json.decode(record.value) for record in await read(service.bootstrap, names.ALERTS)]
    last = [alert for alert in found if alert["patient"] == patient][-1]
    action = {"v": 1, "patient": patient, "alert": last["id"], "action": "acknowledge", "who": "nurse"}
    action["at"] = last["updated_at"]
    async with AIOKafkaProducer(bootstrap_servers=service.bootstrap) as producer:
        await producer.send_and_wait(names.ACTIONS, msgspec.json.encode(action), key=patient.encode())


async def damage(service: Service, record: ConsumerRecord) -> None:
    """The same record once more, some octets of it changed."""
    octets = bytearray(record.value)
    for place in range(40, 60):
        octets[place] ^= 0x55
    producer = AIOKafkaProducer(bootstrap_servers=service.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(record.topic, bytes(octets), key=record.key, partition=record.partition)
    finally:
        await producer.stop()


def test_more_copies_than_there_are_brokers_is_one_line_and_not_tried_again(service: Service) -> None:
    """Before any state was kept: a wrong setting, and no broker that is away."""
    ran = subprocess.run(
        [sys.executable, "-m", "rpm_stream", "worker"], capture_output=True, text=True, timeout=60, check=False,
        env={
            **os.environ, "RPM_BOOTSTRAP": service.bootstrap, "RPM_REPLICATION": "3", "RPM_METRICS_PORT": "0",
            "RPM_LOG_LEVEL": "ERROR", "RPM_DATA_DIR": str(service.folder),
        },
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert all(re.search("state-changelog: InvalidReplicationFactorError$", line) for line in ran.stderr.splitlines())


def test_a_damaged_state_ends_the_stage_and_can_be_rebuilt(service: Service, tmp_path: Path) -> None:
    worn = [DeviceEntry(device=f"{name}-ring", assignments=(Assignment(patient=name),)) for name in PEOPLE]
    asyncio.run(write(service.bootstrap, worn))
    asyncio.run(send(service.bootstrap, frames(range(4))))
    for stage in ("ingest", "judge"):
        service.start(stage)
    asyncio.run(drained(service))
    asyncio.run(acknowledge(service, "zaphod"))
    asyncio.run(drained(service))
    asyncio.run(send(service.bootstrap, frames(range(4, 6))))
    asyncio.run(drained(service))
    for name in list(service.processes):
        service.kill(name, 15)
    hit = {"ingest": b"zaphod-ring", "judge": b"zaphod"}
    whole = {stage: last_states(service, stage)[key] for stage, key in hit.items()}
    for record in whole.values():
        asyncio.run(damage(service, record))
    damaged = {stage: last_states(service, stage)[key] for stage, key in hit.items()}
    before = {topic: len(decoded(service, topic)) for topic in (names.ACCOUNTS, names.ALERTS, names.OBSERVATIONS)}

    # The stages end, each with one record that says what and where; nothing is put out for that partition.
    asyncio.run(send(service.bootstrap, frames(range(6, 8))))
    said_before = service.log.stat().st_size
    for stage in ("ingest", "judge"):
        service.start(stage)
        assert service.processes[f"{stage}-a"].wait(90) == EXIT_STATE
    said = service.log.read_text(errors="replace")[said_before:]
    lines = [line for line in said.splitlines() if "cannot be restored" in line]
    assert len(lines) == 2
    for line, (stage, record) in zip(lines, damaged.items(), strict=True):
        for fact in (stage, "state rebuild", "checksum is wrong", str(record.partition), str(record.offset)):
            assert fact in line
    assert "zaphod" not in said
    after = decoded(service, names.ACCOUNTS)[before[names.ACCOUNTS] :]
    assert not [account for account in after if account["device"] == "zaphod-ring"]
    assert [key for stage, key in hit.items() if last_states(service, stage)[key].value == whole[stage].value] == []

    # What the message says to do.
    status, found, _ = cli(service, "state", "check")
    assert (status, [one["stage"] for one in found]) == (1, ["ingest", "judge"])
    status, made, fault = cli(service, "state", "rebuild")
    assert (status, [one["messages"] for one in made], fault) == (0, [6, 7], "")
    assert cli(service, "state", "check")[:2] == (0, [])
    device = last_states(service, "ingest")[b"zaphod-ring"].value
    assert unpack_device(device) == unpack_device(whole["ingest"].value)
    rebuilt, original = (
        unpack_patient(blob, "zaphod").state
        for blob in (last_states(service, "judge")[b"zaphod"].value, whole["judge"].value)
    )
    assert (rebuilt.applied, rebuilt.score.detectors) == (original.applied, original.score.detectors)
    assert rebuilt.actions == original.actions != {}
    alert, known = (state.episodes["vital_signs"].alert for state in (rebuilt, original))
    assert "nurse" in {step.who for step in alert.history}
    told = [each for each in known.history if each.at <= alert.updated_at]  # later, time without data passed by ticks
    assert (alert.id, alert.priority, list(alert.history)) == (known.id, known.priority, told)

    # All goes on: what was sent before is known, the alert is the same one, nothing was lost.
    asyncio.run(send(service.bootstrap, frames(range(9))))
    for stage in ("ingest", "judge"):
        service.processes.pop(f"{stage}-a")
        service.start(stage)
    asyncio.run(drained(service))
    readings = {one["id"] for message in decoded(service, names.READINGS) for one in message.get("readings", ())}
    assert len(readings) == len(PEOPLE) * 9 * 2
    counted = [account["readings"] for account in decoded(service, names.ACCOUNTS)]
    assert sum(counted) == len(readings), "no reading twice"
    assert len({alert["id"] for alert in decoded(service, names.ALERTS) if alert["patient"] == "zaphod"}) == 1
