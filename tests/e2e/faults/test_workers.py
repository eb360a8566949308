"""Law 2 with two workers under their supervisors: one joins, one leaves, the broker dies in the
middle.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from support.faults.load import encoded
from support.kafka.against_replay import check_against_replay, replayed
from support.kafka.service import Service, drained, read, running, send, until

from rpm_stream.app.kafka import names
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.registry.topic import write

PEOPLE, ROUNDS = 24, 160
AWAY_SECONDS = 3.0
ENDED = "service.stage_ended"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as found:
        yield found


def ward(folder: Path) -> tuple[list[bytes], Path]:
    """Frames of people whose oxygen falls and recovers, each at another time, and their
    registry.
    """
    start = datetime(2026, 3, 1, tzinfo=UTC)
    lines = ["patient,measured_at,vital,value,unit\n"]
    for turn in range(ROUNDS):
        at = (start + timedelta(minutes=5 * turn)).isoformat()
        for person in range(PEOPLE):
            low = (turn + 7 * person) % 60 < 9
            lines.append(f"p{person},{at},oxygen_saturation,{88 if low else 97},%\n")
            lines.append(f"p{person},{at},heart_rate,{70 + (turn * 13 + person) % 9},/min\n")
    (folder / "ward.csv").write_text("".join(lines))
    registry = folder / "registry.jsonl"
    return encoded(folder / "ward.csv", registry), registry


class Workers:
    """Supervised workers by name; ``said`` is what they wrote."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._log = service.folder / "workers.log"

    def start(self, name: str) -> None:
        settings = {
            "RPM_BOOTSTRAP": self._service.bootstrap,
            "RPM_METRICS_PORT": "0",
            "RPM_TIME": "recorded",
            "RPM_DATA_DIR": str(self._service.folder),
            "RPM_INSTANCE": name,
        }
        with self._log.open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "rpm_stream", "worker"],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self._running.pop(name)
        process.send_signal(number)
        return process.wait(40)

    def end_all(self) -> list[int]:
        return [self.end(name) for name in list(self._running)]

    def said(self) -> str:
        return self._log.read_text(errors="replace")


async def members(service: Service) -> dict[str, int]:
    """How many partitions each member of the ingest group has, by its name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=service.bootstrap)
    await admin.start()
    try:
        [response] = await admin.describe_consumer_groups([names.GROUP_INGEST])
        found = {}
        for member in response.groups[0][5]:
            assigned = (
                ConsumerProtocolMemberAssignment.decode(member[-1]).assignment if member[-1] else []
            )
            found[member[0]] = sum(
                len(partitions) for topic, partitions in assigned if topic == names.FRAMES
            )
        return found
    finally:
        await admin.close()


async def join_leave_and_lose_the_broker(service: Service, workers: Workers) -> tuple[int, int]:
    """How many frames there were, and how many records were repeated."""
    frames, registry = ward(service.folder)
    await write(service.bootstrap, list(read_registry(registry)))
    quarter = len(frames) // 4
    began = monotonic()

    def say(what: str) -> None:
        print(f"{monotonic() - began:6.1f} s  {what}")

    async def shared() -> bool:
        return sorted((await members(service)).values()) == [2, 2]

    workers.start("a")
    await send(service.bootstrap, frames[:quarter])
    await drained(service)
    say("one worker has done a quarter")
    workers.start("b")
    joining = asyncio.create_task(
        send(service.bootstrap, frames[quarter : 2 * quarter], lambda: 0.3, 50)
    )
    await until("both have partitions", shared)
    say("the second has joined")
    await joining
    await drained(service)
    say("half is done")
    leaving = asyncio.create_task(
        send(service.bootstrap, frames[2 * quarter : 3 * quarter], lambda: 0.3, 50)
    )
    assert await asyncio.to_thread(workers.end, "b") == 0
    say("the second has left")
    await leaving
    await drained(service)
    say("three quarters are done")
    workers.start("b")
    await until("both have partitions again", shared)
    say("the second is back")
    await send(service.bootstrap, frames[3 * quarter : 3 * quarter + quarter // 2])
    await asyncio.to_thread(service.broker.kill)
    await asyncio.sleep(AWAY_SECONDS)  # that it is away for a while is the point
    await asyncio.to_thread(service.broker.start)
    say("the broker was killed and is back")
    await send(service.bootstrap, frames[3 * quarter + quarter // 2 :])
    await drained(service)
    say("all is done")
    repeated = await check_against_replay(
        service, replayed(service.folder, registry, frames), len(frames)
    )
    say(f"{len(frames)} frames, 0 lost, 0 different; repeated {repeated}")
    assert await read(service.bootstrap, names.ALERTS), "nobody was judged"
    return len(frames), sum(repeated.values())


@pytest.mark.heavy
def test_workers_that_come_and_go_and_a_broker_that_dies_change_nothing(
    service: Service, table: list[list[str]]
) -> None:
    workers, began = Workers(service), monotonic()
    try:
        frames, repeated = asyncio.run(join_leave_and_lose_the_broker(service, workers))
    finally:
        ended = workers.end_all()
        said = workers.said()
        print(said[-4_000:])
    assert ended == [0, 0]
    assert "engine.not_consuming" not in said, "a stage had to be ended by its watchdog"
    row = [
        "two workers join and leave",
        "one joins, leaves, comes back; then the broker is killed",
        f"{frames:,}",
        "0",
        "0",
    ]
    table.append([*row, f"{repeated:,}", str(said.count(ENDED)), f"{monotonic() - began:.0f} s"])
