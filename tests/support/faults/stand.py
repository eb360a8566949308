"""The service under a fault: stages that are restarted, a FHIR server, the feed, the verdict."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from support.faults.load import Load
from support.fhir_server import FhirServer, fhir_server
from support.kafka.against_replay import check_against_replay, last_by_id
from support.kafka.service import Service, committed_notes, drained, lag, read, running, send, until

from rpm_stream.app.kafka import names
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.registry.topic import write
from rpm_stream.app.stages.demo import free_ports

TOKEN = "zaphod-token"
ALL = ("ingest", "judge", "sink", "feed")
STEPS = 4  # for one part of the load
# topics that show that a stage is at work
PUTS_OUT = {"ingest": (names.ACCOUNTS,), "judge": (names.SCORES, names.OBSERVATIONS)}


class Stand:
    """One service with one load. ``begun`` is when it was made, on the monotonic clock."""

    def __init__(
        self, service: Service, load: Load, server: FhirServer, chance: random.Random
    ) -> None:
        self.service, self.load, self.server, self.chance = service, load, server, chance
        self.begun = monotonic()
        self.stages: tuple[str, ...] = ALL  # those that a fault starts
        self.asked = 0  # parts of the load that the fault has asked for

    @property
    def bootstrap(self) -> str:
        return self.service.bootstrap

    async def start(self, *stages: str) -> None:
        """Write the registry and start the stages."""
        await write(self.bootstrap, list(read_registry(self.load.registry)))
        for stage in stages or self.stages:
            self.service.start(stage)

    def part(self, begin: float, end: float) -> list[bytes]:
        """Return a share of the frames, in order."""
        frames = self.load.frames
        return frames[int(begin * len(frames)) : int(end * len(frames))]

    async def send(
        self, begin: float, end: float, pause: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Send a share of the frames as gateways would.

        The producer is idempotent and waits for a broker that is away.
        """
        await send(self.bootstrap, self.part(begin, end), pause)

    async def send_while(self, busy: asyncio.Task[Any], times: int = 1) -> None:
        """Send all frames in ``times`` parts, slowly, each when ``kill`` asks for it.

        When ``busy`` is done, the rest is sent at once.
        """
        steps = STEPS * times
        for step in range(steps):
            while not busy.done() and step >= STEPS * max(self.asked, 1):
                await asyncio.sleep(0.05)
            await self.send(step / steps, (step + 1) / steps, lambda: 0.0 if busy.done() else 0.3)

    async def kill(self, stage: str) -> None:
        """SIGKILL the stage soon after it has written something of its part of the load, and
        restart it.
        """
        await self.at_work(stage)
        await asyncio.sleep(self.chance.uniform(0, 0.6))
        if f"{stage}-a" in self.service.processes:
            self.service.kill(f"{stage}-a")
        self.service.start(stage)

    async def at_work(self, stage: str) -> None:
        """Ask for a part of the load, and wait until the stage has written something of it.

        The part is sent only on this request. A fast machine would have worked through it before.
        """
        before = await self._written(stage)
        self.asked += 1
        if stage in PUTS_OUT:
            await self._grown(stage, before)

    async def judged(self, begin: float, end: float) -> None:
        """Send a share of the frames, and wait until the judge has written something of it."""
        before = await self._written("judge")
        await self.send(begin, end)
        await self._grown("judge", before)

    async def _grown(self, stage: str, before: int) -> None:
        async def grown() -> bool:
            self.service.revive()
            return await self._written(stage) > before

        await until(f"{stage} is at work", grown)

    async def _written(self, stage: str) -> int:
        """Count the records that ``stage`` writes.

        It is 0 for a stage whose output is not counted.
        """
        if stage not in PUTS_OUT:
            return 0
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(topic, number) for topic in PUTS_OUT[stage] for number in range(4)
            ]
            return sum((await consumer.end_offsets(partitions)).values())
        finally:
            await consumer.stop()

    async def settled(self) -> None:
        """Wait until both agents have worked through everything and the sink has delivered it."""
        await drained(self.service)
        if "sink-a" not in self.service.processes:
            return

        async def delivered() -> bool:
            self.service.revive()
            return not await lag(self.bootstrap, names.GROUP_SINK, names.OBSERVATIONS)

        await until("the sink has delivered", delivered)

    async def verdict(self, extra: int = 0) -> dict[str, int]:
        """Check CONTRACT 4 (a), the books, the FHIR server's store and the feed.

        Return the repeated records by kind. ``extra`` counts messages of rpm.frames beside the
        load, all of them refused.
        """
        repeated = await check_against_replay(
            self.service, self.load.wanted, len(self.load.frames), extra
        )
        assert await committed_notes(self.bootstrap, "ingest")
        assert await committed_notes(self.bootstrap, "judge")
        await self.books_balance()
        if "sink-a" in self.service.processes:
            await self._stored()
        if "feed-a" in self.service.processes:
            await self._listed()
        return repeated

    async def books_balance(self) -> None:
        """``rpm-stream reconcile`` finds nothing missing."""
        command = [sys.executable, "-m", "rpm_stream", "reconcile", "--bootstrap", self.bootstrap]
        run = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, (
            f"reconcile says {run.returncode}: {run.stderr[-2000:]}{run.stdout[-2000:]}"
        )

    async def _stored(self) -> None:
        """The FHIR server has each Observation as it was published last."""
        published, _ = last_by_id(await read(self.bootstrap, names.OBSERVATIONS), "observation")
        stored = {
            reference.removeprefix("Observation/"): kept[-1]
            for reference, kept in self.server.versions.items()
            if reference.startswith("Observation/")
        }
        assert stored == published

    async def _listed(self) -> None:
        """The feed lists every high alert that is not resolved, as high."""
        wanted = {key for key, body in self.load.wanted["alert"].items() if is_high_and_open(body)}
        seen: set[str] = set()

        async def all_there() -> bool:
            self.service.revive()
            seen.update(await self.listed_high())
            return wanted <= seen

        await until("every high alert is in the feed", all_there, 60)
        assert await self.listed_high() == wanted

    async def listed_high(self) -> set[str]:
        """Return the ids of the high alerts that the feed lists; none while it does not answer."""
        try:
            async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
                answer = await client.get(f"{feed_url(self.service)}/api/alerts", timeout=20)
        except httpx.TransportError:
            return set()
        if answer.status_code != 200:
            return set()
        rows = [view["row"] for view in msgspec.json.decode(answer.content)["alerts"]]
        return {row["id"] for row in rows if row["priority"] == "high"}


def survived(name: str, note: str, stand: Stand, repeated: int, seconds: float) -> list[str]:
    """Return the row of the table for a fault that a stand has survived."""
    frames, exits = len(stand.load.frames), len(stand.service.exits)
    return [name, note, f"{frames:,}", "0", "0", f"{repeated:,}", str(exits), f"{seconds:.0f} s"]


def is_high_and_open(alert: dict[str, Any]) -> bool:
    return alert["priority"] == "high" and alert["state"] != "resolved"


def feed_url(service: Service) -> str:
    return f"http://127.0.0.1:{service.settings['RPM_FEED_PORT']}"


@asynccontextmanager
async def standing(
    folder: Path, load: Load, chance: random.Random, disk: Path | None = None
) -> AsyncIterator[Stand]:
    """Run a broker with its topics (on ``disk`` if given) and a FHIR server, without stages."""
    async with fhir_server() as server:
        settings = {
            "RPM_TIME": "recorded",
            "RPM_TOKEN": TOKEN,
            "RPM_FHIR_URL": server.url,
            "RPM_FEED_PORT": str(free_ports(21_000 + os.getpid() % 20_000, 1)),
        }
        context = running(folder, settings, disk / "broker" if disk else None)
        service = await asyncio.to_thread(context.__enter__)
        try:
            yield Stand(service, load, server, chance)
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
