"""Sends frames to the broker at a pace, and registry entries.

The commands are ``gateway replay`` and ``gateway simulate``. A ward for a demo takes three lines::

    plan = WardPlan(start=start, patients=20, speed=60)
    await register(bootstrap, all_registry(plan.people()))
    await run_ward(gateway, plan)

The frames carry their own ``received_at``. At any speed but 1 the service must run on recorded time
(``RPM_TIME=recorded``). Otherwise it takes them for frames from the future.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from rpm_stream.app.gateway.client import Gateway
from rpm_stream.app.gateway.wire import RegistryEntry, encode_registry
from rpm_stream.app.kafka.clients import answering, producer
from rpm_stream.app.kafka.names import FRAMES, REGISTRY
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.simulator.devices import SimulatedPatient
from rpm_stream.app.simulator.faults import Faults, inject
from rpm_stream.app.simulator.simulate import all_frames, ward
from rpm_stream.knowledge.registry import entry_key
from rpm_stream.records import Frame

BATCH = 200  # frames in one write to the spool
MAX_AHEAD = 20_000  # frames on the disk before a fast replay waits for the broker
ANSWER_MS = 10_000  # for a broker to answer at all
REGISTER_SECONDS = 60.0  # for a broker to acknowledge a registry

OnFrame = Callable[[Frame], None]
SendFrames = Callable[[list[Frame]], Awaitable[None]]


def _nothing(_: Frame) -> None:
    """Do nothing with a frame."""


@dataclass(frozen=True, kw_only=True)
class WardPlan:
    """A ward to play: how many people, from when, how fast and for how long.

    A ``speed`` of 1 is real time and 0 is as fast as possible.
    """

    start: datetime
    patients: int = 20
    seed: int = 1
    speed: float = 1.0
    hours: float | None = None
    faults: Faults = field(default_factory=Faults)

    def people(self) -> list[SimulatedPatient]:
        """Return the patients of this ward."""
        return ward(self.patients, self.hours)

    def frames(self) -> Iterable[Frame]:
        """Return their frames, with faults, in the order of delivery."""
        return inject(all_frames(self.people(), self.start, self.seed), self.faults, self.seed)


async def run_ward(gateway: Gateway, plan: WardPlan, on_frame: OnFrame = _nothing) -> int:
    """Play a ward through ``gateway`` and return the number of frames.

    Register its people first. Cancel the call to stop.
    """
    return await play(gateway, plan.frames(), plan.speed, on_frame)


async def play(
    gateway: Gateway, frames: Iterable[Frame], speed: float, on_frame: OnFrame = _nothing
) -> int:
    """Send ``frames`` in order, ``speed`` times as fast as they were received.

    The time of a frame is its ``received_at``, or else its ``sent_at``. A speed of 0 is as fast as
    possible. Returns the number of frames once all are safe in the spool.
    """

    async def send(batch: list[Frame]) -> None:
        await gateway.send_frames(batch)
        if gateway.spooled > MAX_AHEAD:
            await gateway.drain()

    return await deliver(send, frames, speed, on_frame)


async def deliver(
    send: SendFrames, frames: Iterable[Frame], speed: float, on_frame: OnFrame = _nothing
) -> int:
    """Pass ``frames`` to ``send`` in order when they are due, and return their number.

    Frames that are due at the same time are passed together.
    """
    count = 0
    batch: list[Frame] = []
    pace = _Pace(speed)
    for frame in frames:
        wait = pace.wait(frame)
        if batch and (wait > 0 or len(batch) == BATCH):
            await send(batch)
            batch = []
        if wait > 0:
            await asyncio.sleep(wait)
        batch.append(frame)
        on_frame(frame)
        count += 1
    if batch:
        await send(batch)
    return count


class _Pace:
    """Computes how long until a frame is due. The first frame is due at once."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: datetime | None = None
        self._began = asyncio.get_running_loop().time()

    def wait(self, frame: Frame) -> float:
        """Return the seconds to wait, 0 or less for a frame that is due."""
        if self._speed == 0:
            return 0.0
        at = frame.received_at or frame.sent_at
        self._first = self._first or at
        due = self._began + (at - self._first).total_seconds() / self._speed
        return due - asyncio.get_running_loop().time()


async def register(bootstrap: str, entries: Iterable[RegistryEntry]) -> int:
    """Send registry entries and return their number once the broker has all of them.

    Raises ``UsageError`` if no broker answers or the broker does not take them.
    """
    count = 0
    async with _writer(bootstrap, REGISTRY) as writer:
        sent = []
        for entry in entries:
            sent.append(
                await writer.send(REGISTRY, encode_registry(entry), key=entry_key(entry).encode())
            )
            count += 1
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            raise UsageError(
                f"the broker at {bootstrap} did not take the registry: {type(error).__name__}"
            ) from error
    return count


async def check_broker(bootstrap: str) -> None:
    """Raise ``UsageError`` unless a broker answers and has the topic of the frames.

    The client itself would wait without limit, but a person at a terminal wants to know at once.
    """
    async with _writer(bootstrap, FRAMES):
        return


@asynccontextmanager
async def _writer(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaProducer]:
    """Yield a started producer whose broker answers and has ``topic``."""
    async with producer(bootstrap, request_timeout_ms=ANSWER_MS) as writer:
        async with answering(bootstrap):
            there = topic in (await writer.client.fetch_all_metadata()).topics()
        if not there:
            raise UsageError(
                f"the broker at {bootstrap} has no topic {topic}: rpm-stream topics apply"
                " creates it"
            )
        yield writer
