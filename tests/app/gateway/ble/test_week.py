"""A week of drop-outs in seconds: nothing is lost, nothing comes twice, and memory is as flat at
its end as before.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry
from support.radio.fast import FastDevice, FastLink, FastLoop, FastRadio

from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.hub import Hub
from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.marks import Marks
from rpm_stream.app.gateway.ble.options import GatewayContext, HubOptions, SessionOptions
from rpm_stream.app.gateway.ble.radio import GattCharacteristic
from rpm_stream.records import Notification

DAY = 86_400.0
BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
STRAPS = 3
ALLOWED = (
    48 * 1024
    # octets that a week may leave behind after its first day: dictionaries that grew, caches that
    # filled
)


@dataclass
class Counting:
    """In the place of the gateway: remembers for each device only the last number, and what was
    wrong.
    """

    last: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    async def send(self, device: str, *, notifications: Sequence[Notification]) -> None:
        await asyncio.sleep(0.01)
        for entry in notifications:
            self.entries[entry.characteristic] += 1
            if entry.characteristic == "2A37":
                number = int(entry.payload, 16)
                if number != self.last[device] + 1:
                    self.faults.append(f"{device}: {self.last[device]} then {number}")
                self.last[device] = number
            elif entry.characteristic == "2A35":
                self.seen.add(entry.payload)


class Week:
    def __init__(self, folder: Path) -> None:
        self.chance = random.Random(7)
        self.sent: Counter[str] = Counter()
        self.stored: list[bytes] = []
        self.measured = 0
        self.disk = Counting()
        heart = [
            GattCharacteristic("180D", "2A37", frozenset({"notify"}), 3),
            GattCharacteristic("180F", "2A19", frozenset({"read"}), 6),
        ]
        self.straps = [
            FastDevice(f"F0:F1:F2:F3:F4:0{number}", heart, self._strap) for number in range(STRAPS)
        ]
        self.cuff = FastDevice(
            "C0:26:DA:01:02:03",
            [GattCharacteristic("1810", "2A35", frozenset({"indicate"}), 3)],
            self._cuff,
        )
        self.cuff.near = False
        self.radio = FastRadio([*self.straps, self.cuff], seed=3)
        clock = lambda: BEGIN + timedelta(seconds=asyncio.get_running_loop().time())  # noqa: E731
        self.board = Board(clock, CollectorRegistry())
        shared = GatewayContext(
            Marks(folder / "marks.json"), self.board, SessionOptions(clock=clock, zone=UTC)
        )
        self.hub = Hub(self.radio, self.disk.send, shared, HubOptions(chance=random.Random(5)))
        self.hub.serve(
            Known(
                [
                    KnownDevice(device=device.address.replace(":", ""), address=device.address)
                    for device in self.radio.devices
                ]
            )
        )

    async def _strap(self, link: FastLink) -> None:
        """A value every half minute; the link breaks after minutes, or stands and falls silent."""
        await link.subscribed.wait()
        name = link.address.replace(":", "")
        for _ in range(self.chance.randrange(2, 40)):
            await asyncio.sleep(30.0)
            if link.say("2A37", (self.sent[name] + 1).to_bytes(4)):
                self.sent[name] += 1
        if self.chance.random() < 0.15:
            link.deaf = True
            return
        link.end()

    async def _cuff(self, link: FastLink) -> None:
        """All that is stored, then the link is dropped; now and then it breaks before one was
        confirmed.
        """
        await link.subscribed.wait()
        while self.stored:
            link.say("2A35", self.stored[0])
            if self.chance.random() < 0.2:
                break
            self.stored.pop(0)
        link.end()

    async def _day(self) -> None:
        """Troubles and measurements of one day."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DAY
        while loop.time() < end:
            await asyncio.sleep(self.chance.uniform(600.0, 7200.0))
            trouble = self.chance.random()
            if trouble < 0.15:
                self.radio.unplug()
                await asyncio.sleep(self.chance.uniform(5.0, 900.0))
                self.radio.on = True
            elif trouble < 0.3:
                self.radio.blind = True
                for device in self.straps:
                    if device.link is not None:
                        device.link.end()
            for _ in range(self.chance.randrange(3)):
                self.measured += 1
                self.stored.append(self.measured.to_bytes(4))
            self.cuff.near = True
            await asyncio.sleep(1200.0)
            self.cuff.near = False

    async def run(self, days: int) -> list[int]:
        """Blocks of memory in use at the end of each day."""
        task = asyncio.create_task(self.hub.run())
        used = []
        try:
            for _ in range(days):
                await self._day()
                gc.collect()
                used.append(sys.getallocatedblocks() - len(self.disk.seen))
            self.cuff.near = True
            await asyncio.sleep(1800.0)
            self.tasks = len(asyncio.all_tasks())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return used


async def lived(folder: Path, days: int) -> tuple[Week, list[int]]:
    week = Week(folder)
    return week, await week.run(days)


@pytest.fixture
def quiet_log() -> object:
    """A week's log is of no interest here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield None
    structlog.reset_defaults()


def test_a_week_of_drop_outs_loses_nothing_and_leaves_memory_flat(
    tmp_path: Path, quiet_log: object
) -> None:
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        week, used = runner.run(lived(tmp_path, days=7))
    connections = sum(row.connections for row in week.board.rows.values())
    told = (
        f"{connections} connections, {dict(week.disk.entries)}, {week.radio.resets} resets, blocks"
        f" a day {used}"
    )
    print(told)
    assert week.disk.faults == [], told
    assert dict(week.disk.last) == dict(week.sent), told
    assert week.stored == [], told
    assert week.disk.seen == {number.to_bytes(4).hex() for number in range(1, week.measured + 1)}, (
        told
    )
    assert connections > 1000, told
    assert week.radio.resets > 3, told
    # no task of a connection that has ended
    assert week.tasks <= 3 + 6 * len(week.radio.devices), told
    assert used[-1] - used[0] < ALLOWED, told
