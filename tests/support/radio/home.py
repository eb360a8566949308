"""The devices of a home as they behave on the air, and a hub to serve them.

They are built on ``air.Peripheral``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from support.radio.air import Air, Peripheral, Spec, part

from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.hub import Hub
from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.marks import Marks
from rpm_stream.app.gateway.ble.options import GatewayContext, HubOptions, SessionOptions
from rpm_stream.records import Notification

STRAP = Spec(
    "F0:F1:F2:F3:F4:F5",
    "HR-70A",
    (part("180D", "2A37", "notify"), part("180F", "2A19", "read", "notify", value=bytes([80]))),
)
CUFF = Spec(
    "C0:26:DA:01:02:03",
    "BPM-1",
    (part("1810", "2A35", "indicate"), part("1810", "2A08", "read", "write", value=bytes(7))),
)
THERMOMETER = Spec("C4:01:02:03:04:05", "THERM", (part("1809", "2A1C", "indicate"),))
OXIMETER = Spec(
    "C8:01:02:03:04:05", "OXI", (part("1822", "2A5E", "indicate"), part("1822", "2A5F", "notify"))
)
SCALE = Spec("CC:01:02:03:04:05", "SCALE", (part("181D", "2A9D", "indicate"),))
METER = Spec(
    "D0:01:02:03:04:05",
    "METER",
    (
        part("1808", "2A18", "notify"),
        part("1808", "2A34", "notify"),
        part("1808", "2A52", "write", "indicate"),
        part("1805", "2A2B", "read", "write", value=bytes(10)),
        part("180F", "2A19", "read", value=bytes([9])),
    ),
)


class Device:
    """The base of all devices: tasks for what a device does by itself."""

    def __init__(self, peripheral: Peripheral) -> None:
        self.air = peripheral
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Cuff(Device):
    """A cuff that indicates all that it has stored as soon as the host subscribes.

    It forgets what was confirmed, and drops the link. ``breaks`` is how many indications are on
    their way, not yet confirmed, when the link breaks. With ``needs_clock`` it sends nothing before
    its clock was set.
    """

    def __init__(
        self,
        peripheral: Peripheral,
        stored: Sequence[bytes],
        breaks: int = 0,
        needs_clock: bool = False,
    ) -> None:
        super().__init__(peripheral)
        self.stored, self.breaks, self.needs_clock = list(stored), breaks, needs_clock
        self.told: list[bytes] = []  # values in the order in which they left the antenna
        self._set = False
        peripheral.on_subscribed = self._subscribed
        peripheral.on_written = self._written

    def _subscribed(self, uuid: str) -> None:
        if uuid == "2A35" and (self._set or not self.needs_clock):
            self.start(self._deliver())

    def _written(self, uuid: str, _: bytes) -> None:
        if uuid == "2A08" and not self._set:
            self._set = True
            if self.needs_clock:
                self.start(self._deliver())

    async def _deliver(self) -> None:
        while self.stored:
            self.told.append(self.stored[0])
            if self.breaks:
                self.breaks -= 1
                self.start(self.air.say("2A35", self.stored[0]))
                await asyncio.sleep(0)
                break
            if not await self.air.say("2A35", self.stored[0]):
                return
            self.stored.pop(0)
        await self.air.drop()


class Meter(Device):
    """A glucose meter that answers through its control point.

    ``records`` are (sequence, 2A18, 2A34 or None).
    """

    def __init__(
        self, peripheral: Peripheral, records: Sequence[tuple[int, bytes, bytes | None]]
    ) -> None:
        super().__init__(peripheral)
        self.records = list(records)
        self.requests: list[bytes] = []
        self.filters = True
        self.breaks_after: int | None = None
        peripheral.on_written = self._written

    def _written(self, uuid: str, data: bytes) -> None:
        if uuid == "2A52":
            self.requests.append(data)
            self.start(self._answer(data))

    async def _answer(self, data: bytes) -> None:
        if data[0] != 1:  # in particular not 2, delete
            await self.air.say("2A52", bytes([6, 0, data[0], 2]))
            return
        if data[1] == 3 and self.filters:
            first = int.from_bytes(data[3:5], "little")
        elif data[1] == 1:
            first = 0
        else:
            await self.air.say("2A52", bytes([6, 0, 1, 4]))
            return
        wanted = [record for record in self.records if record[0] >= first]
        for count, (_, glucose, context) in enumerate(wanted):
            if self.breaks_after is not None and count == self.breaks_after:
                self.breaks_after = None
                await self.air.drop()
                return
            await self.air.say("2A18", glucose)
            if context is not None:
                await self.air.say("2A34", context)
        await self.air.say("2A52", bytes([6, 0, 1, 1 if wanted else 6]))


@dataclass
class Disk:
    """A replacement of ``Gateway.send`` that keeps what it was given, in frames."""

    frames: list[tuple[str, list[Notification]]] = field(default_factory=list)
    full: bool = False
    broken: bool = False

    async def send(self, device: str, *, notifications: Sequence[Notification]) -> None:
        await asyncio.sleep(0)
        if self.full:
            raise OSError("full")
        if self.broken:
            raise RuntimeError("the sending task has ended")
        self.frames.append((device, list(notifications)))

    def values(self, device: str, uuid: str) -> list[bytes]:
        return [
            bytes.fromhex(entry.payload)
            for of, entries in self.frames
            for entry in entries
            if of == device and entry.characteristic == uuid
        ]


def wall() -> datetime:
    return datetime.now(UTC)


FAST = HubOptions(
    retry_first=0.02,
    retry_longest=0.1,
    radio_longest=0.1,
    connect_within=2.0,
    look_every=0.05,
    chance=random.Random(1),
)


@dataclass
class Served:
    """A hub at work."""

    hub: Hub
    disk: Disk
    board: Board
    task: asyncio.Task[None]


@asynccontextmanager
async def serving(
    air: Air,
    folder: Path,
    devices: Sequence[KnownDevice],
    options: HubOptions = FAST,
    **session: object,
) -> AsyncIterator[Served]:
    """Run a hub that serves ``devices``. ``session`` changes its ``SessionOptions``."""
    disk = Disk()
    board = Board(wall, CollectorRegistry(), folder / "status.json")
    asked = SessionOptions(clock=wall, zone=UTC, gather=0.0)
    shared = GatewayContext(Marks(folder / "marks.json"), board, replace(asked, **session))  # type: ignore[arg-type]
    hub = Hub(air.radio(), disk.send, shared, options)
    hub.serve(Known(devices))
    task = asyncio.create_task(hub.run())
    try:
        yield Served(hub, disk, board, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
