"""The whole service under a fault: stages as processes that come back, a FHIR server, the feed,
and the verdict.
"""

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
STEPS = 4  # in which a part of the load comes
# what shows that it is at work
PUTS_OUT = {"ingest": (names.ACCOUNTS,), "judge": (names.SCORES, names.OBSERVATIONS)}


class Stand:
    """One service with one load. ``begun``: when it was made, on the monotonic clock."""

    def __init__(
        self, service: Service, load: Load, server: FhirServer, chance: random.Random
    ) -> None:
        self.service, self.load, self.server, self.chance = service, load, server, chance
        self.begun = monotonic()
        self.stages: tuple[str, ...] = ALL  # which a fault starts
        self.asked = 0  # how many parts of the load the harm has asked for

    @property
    def bootstrap(self) -> str:
        return self.service.bootstrap

    async def start(self, *stages: str) -> None:
        """The registry is written, the stages begin."""
        await write(self.bootstrap, list(read_registry(self.load.registry)))
        for stage in stages or self.stages:
            self.service.start(stage)

    def part(self, begin: float, end: float) -> list[bytes]:
        """A share of the frames, in order."""
        frames = self.load.frames
        return frames[int(begin * len(frames)) : int(end * len(frames))]

    async def send(
        self, begin: float, end: float, pause: Callable[[], float] = lambda: 0.0
    ) -> None:
        """A share of the frames as gateways would: an idempotent producer that waits for a
        broker that is away.
        """
        await send(self.bootstrap, self.part(begin, end), pause)

    async def send_while(self, busy: asyncio.Task[Any], times: int = 1) -> None:
        """All frames in ``times`` parts, each when ``kill`` asks for it, slowly; once ``busy``
        is done, the rest.
        """
        steps = STEPS * times
        for step in range(steps):
            while not busy.done() and step >= STEPS * max(self.asked, 1):
                await asyncio.sleep(0.05)
            await self.send(step / steps, (step + 1) / steps, lambda: 0.0 if busy.done() else 0.3)

    async def kill(self, stage: str) -> None:
        """SIGKILL soon after the stage has put something of its own part of the load out, and
        start it anew.
        """
        await self.at_work(stage)
        await asyncio.sleep(self.chance.uniform(0, 0.6))
        if f"{stage}-a" in self.service.processes:
            self.service.kill(f"{stage}-a")
        self.service.start(stage)

    async def at_work(self, stage: str) -> None:
        """Ask for a part of the load, and wait until the stage has put something of it out.

        The part is asked for only when somebody looks: on a fast machine it would be worked through
        before.
        """
        before = await self._written(stage)
        self.asked += 1
        if stage in PUTS_OUT:
            await self._grown(stage, before)

    async def judged(self, begin: float, end: float) -> None:
        """Send a share of the frames, and wait until the judge has put something of it out."""
        before = await self._written("judge")
        await self.send(begin, end)
        await self._grown("judge", before)

    async def _grown(self, stage: str, before: int) -> None:
        async def grown() -> bool:
            self.service.revive()
            return await self._written(stage) > before

        await until(f"{stage} is at work", grown)

    async def _written(self, stage: str) -> int:
        """How many records there are of what ``stage`` puts out; 0 for one whose work is not
        looked at.
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
        """Both agents have done all there is, and the sink has delivered it."""
        await drained(self.service)
        if "sink-a" not in self.service.processes:
            return

        async def delivered() -> bool:
            self.service.revive()
            return not await lag(self.bootstrap, names.GROUP_SINK, names.OBSERVATIONS)

        await until("the sink has delivered", delivered)

    async def verdict(self, extra: int = 0) -> dict[str, int]:
        """CONTRACT 4 (a), the books, the FHIR server's store, the feed. Returns the repeated
        records by kind.

        ``extra``: messages of rpm.frames beside the load, all of them refused.
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
        """Every high alert that is not resolved stands in the feed, as high."""
        wanted = {key for key, body in self.load.wanted["alert"].items() if is_high_and_open(body)}
        seen: set[str] = set()

        async def all_there() -> bool:
            self.service.revive()
            seen.update(await self.listed_high())
            return wanted <= seen

        await until("every high alert is in the feed", all_there, 60)
        assert await self.listed_high() == wanted

    async def listed_high(self) -> set[str]:
        """The ids of the high alerts that the feed lists; empty while it does not answer."""
        try:
            async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
                answer = await client.get(f"{feed_url(self.service)}/api/alerts", timeout=20)
        except httpx.TransportError:
            return set()
        if answer.status_code != 200:
            return set()
        rows = [view["row"] for view in msgspec.json.decode(answer.content)["alerts"]]
        return {row["id"] for row in rows if row["priority"] == "high"}


def is_high_and_open(alert: dict[str, Any]) -> bool:
    return alert["priority"] == "high" and alert["state"] != "resolved"


def feed_url(service: Service) -> str:
    return f"http://127.0.0.1:{service.settings['RPM_FEED_PORT']}"


@asynccontextmanager
async def standing(
    folder: Path, load: Load, chance: random.Random, disk: Path | None = None
) -> AsyncIterator[Stand]:
    """A broker with its topics (writing to ``disk``, if there is one), a FHIR server, and no
    stage yet.
    """
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
