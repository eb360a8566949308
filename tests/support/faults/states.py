"""Harm to the agents' states: a lost changelog, and single damaged states in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord
from support.faults.stand import Stand
from support.kafka.service import committed_notes, read, until

from rpm_stream.app.operate.rebuild_state import StateStage, changelog
from rpm_stream.app.runtime.end import EXIT_STATE
from rpm_stream.pipeline.held import read_held

AGENTS: tuple[StateStage, ...] = ("ingest", "judge")


async def changelog_lost(stand: Stand, stages: tuple[str, ...]) -> str:
    """Both changelogs are deleted after a kill.

    The rebuild is killed too, and the agents once more after it.
    """
    stand.stages = stages
    await stand.start()
    await stand.judged(0, 0.3)

    async def committed() -> bool:
        return all([await committed_notes(stand.bootstrap, stage) for stage in AGENTS])

    await until("both have committed", committed, 30)  # before that they would repeat all of it
    for stage in AGENTS:
        stand.service.kill(f"{stage}-a")
    await topics_without(stand.bootstrap, *map(changelog, AGENTS))
    await stand.send(0.3, 0.4)
    for stage in AGENTS:
        stand.service.start(stage)
    statuses = [
        await asyncio.to_thread(stand.service.processes.pop(f"{stage}-a").wait, 90)
        for stage in AGENTS
    ]
    assert statuses == [EXIT_STATE, EXIT_STATE]
    assert all([not await states_of(stand, stage) for stage in AGENTS]), "somebody was begun anew"
    rebuilding = await asyncio.create_subprocess_exec(
        *rebuild_command(), env=environment(stand), stdout=subprocess.DEVNULL
    )
    await asyncio.sleep(stand.chance.uniform(1.5, 4))
    if rebuilding.returncode is None:
        rebuilding.kill()
    await rebuilding.wait()
    await rebuild(stand)
    assert all([await states_of(stand, stage) for stage in AGENTS])  # of what was committed
    for stage in AGENTS:
        stand.service.start(stage)
    await killed_at_work(stand, 0.4)
    await stand.settled()
    return "of both agents, with kills before, during and after the rebuild"


async def states_damaged(stand: Stand, stages: tuple[str, ...]) -> str:
    """The states of one patient and of another patient's device are damaged.

    The others go on. Kills come while the states are held, and while the agents catch up.
    """
    stand.stages = stages
    await stand.start()
    await stand.judged(0, 0.2)
    await stand.settled()
    await stand.judged(0.2, 0.3)
    for stage in AGENTS:
        stand.service.kill(f"{stage}-a")
    patients = await states_of(stand, "judge")
    devices = await states_of(stand, "ingest")
    busiest = busiest_device(stand.part(0.4, 0.7))  # held, it would leave the agents without work
    patient = stand.chance.choice([key for key in sorted(patients) if not is_of(key, busiest)])
    other = stand.chance.choice(
        [key for key in sorted(devices) if not is_of(key, patient) and not is_of(key, busiest)]
    )
    for record in (patients[patient], devices[other]):
        await damage(stand.bootstrap, record)
    await stand.send(0.3, 0.4)
    for stage in AGENTS:
        stand.service.start(stage)
    for stage in AGENTS:
        await until(f"{stage} holds a state", lambda stage=stage: is_held(stand, stage), 60)
    await killed_at_work(stand, 0.4, 0.7)
    await stand.settled()
    assert all([await is_held(stand, stage) for stage in AGENTS])
    await rebuild(stand)
    for stage in AGENTS:
        await asyncio.sleep(stand.chance.uniform(0, 2))
        stand.service.kill(f"{stage}-a")
        stand.service.start(stage)

    async def mended() -> bool:
        stand.service.revive()
        return not any([await is_held(stand, stage) for stage in AGENTS])

    await until("what was held has caught up", mended, 60)
    await stand.send(0.7, 1)
    await stand.settled()
    return "of one patient and one device, with kills while they are held and caught up with"


def busiest_device(frames: list[bytes]) -> bytes:
    """Return the device of most of the frames."""
    devices = Counter(msgspec.json.decode(frame)["device"] for frame in frames)
    return str(devices.most_common(1)[0][0]).encode()


def is_of(key: bytes, other: bytes) -> bool:
    """Return whether two keys are a patient and a device of theirs, which have one name."""
    return key in other or other in key


async def killed_at_work(stand: Stand, begin: float, end: float = 1.0) -> None:
    """Send a share of the load, and SIGKILL each agent while it works on it."""
    middle = (begin + end) / 2
    for stage, first, last in zip(AGENTS, (begin, middle), (middle, end), strict=True):
        await stand.judged(first, last)
        stand.service.kill(f"{stage}-a")
        stand.service.start(stage)


async def states_of(stand: Stand, stage: Any) -> dict[bytes, ConsumerRecord]:
    """Return the last record of each key in an agent's changelog."""
    last = {record.key: record for record in await read(stand.bootstrap, changelog(stage))}
    return {key: record for key, record in last.items() if record.value is not None}


async def is_held(stand: Stand, stage: Any) -> bool:
    """Return whether a state of the agent is held."""
    return any(read_held(record.value) for record in (await states_of(stand, stage)).values())


async def damage(bootstrap: str, record: ConsumerRecord) -> None:
    """Write the same record once more, with some bytes of it changed."""
    octets = bytearray(record.value)
    for place in range(40, 60):
        octets[place] ^= 0x55
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(
            record.topic, bytes(octets), key=record.key, partition=record.partition
        )


def rebuild_command() -> list[str]:
    return [sys.executable, "-m", "rpm_stream", "state", "rebuild"]


def environment(stand: Stand) -> dict[str, str]:
    return {**os.environ, "RPM_BOOTSTRAP": stand.bootstrap, "RPM_TIME": "recorded"}


async def rebuild(stand: Stand) -> None:
    """Run ``rpm-stream state rebuild``, as an operator does."""
    run = await asyncio.to_thread(
        subprocess.run,
        rebuild_command(),
        env=environment(stand),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]


async def topics_without(bootstrap: str, *missing: str) -> None:
    """Delete topics and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(missing))

        async def gone() -> bool:
            return not set(missing) & set(await admin.list_topics())

        await until(f"{', '.join(missing)} are gone", gone, 30)
    finally:
        await admin.close()
