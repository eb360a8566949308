"""A gateway on a disk of its own that is too small, run in a process.

The broker beside it is there only when the test wants it.

usage: python small_disk.py FOLDER STORY BYTES

FOLDER is the small disk, BYTES the size of a frame.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaConnectionError

from rpm_stream.app.gateway import Gateway, GatewayOptions, SpoolFull, link
from rpm_stream.records import Frame, Measurement

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
OPTIONS = GatewayOptions(catch_up_octets=None, close_within=0, retry_first=0.05, retry_longest=0.2)
DEVICES = 5


class Broker:
    """A producer that takes everything at once while the broker is there."""

    there = False
    taken: list[bytes] = []  # noqa: RUF012 - one broker a process

    def __init__(self, **_: Any) -> None:
        self._sender = SimpleNamespace(sender_task=None)
        self.client = SimpleNamespace(close=self.stop)

    async def start(self) -> None:
        if not Broker.there:
            raise KafkaConnectionError

    async def stop(self) -> None: ...

    async def send(self, topic: str, wire: bytes, key: bytes) -> asyncio.Future[None]:
        Broker.taken.append(wire)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def gateway(folder: Path) -> Gateway:
    return Gateway("nowhere:9", "gw", spool_dir=folder, options=OPTIONS)


async def fill(gateway: Gateway, octets: int, prefix: str) -> list[str]:
    """Store frames until not even a small one fits.

    Return the names of all for which send_frames() returned.
    """
    stored: list[str] = []
    for several, size in ((150, octets), (20, octets), (1, octets), (1, 300)):
        while True:
            names = [f"{prefix}-{size}-{len(stored) + number}" for number in range(several)]
            try:
                await gateway.send_frames(
                    [frame(name, size, len(stored) % DEVICES) for name in names]
                )
            except SpoolFull:
                break
            stored += names
    return stored


def frame(name: str, octets: int, device: int) -> Frame:
    said = Measurement(at=AT, vital="note", value="1" * 16, unit="1")
    many = [said] * max(1, octets // 100)
    return Frame(
        v=1,
        frame=name,
        gateway="gw",
        device=f"d{device}",
        seq=0,
        boot="b",
        sent_at=AT,
        measurements=many,
    )


async def recovers(folder: Path, octets: int) -> None:
    """The disk is full again and again, also over a restart.

    Each time the broker comes and gets everything, and the next frames find room.
    """
    for time in range(3):
        Broker.there = False
        Broker.taken.clear()
        async with gateway(folder) as one:
            wanted = await fill(one, octets, f"a{time}")
        async with gateway(folder) as one:
            assert one.spooled == len(wanted) > 10, (one.spooled, len(wanted))
            Broker.there = True
            assert await one.drain(20), (time, one.spooled)
            sent = [f"live{time}-{number}" for number in range(20)]
            for name in sent:
                await one.send_frame(frame(name, octets, 0))
                assert await one.drain(20), (time, name)
        said = b"\n".join(Broker.taken)
        assert len(Broker.taken) == len(wanted) + len(sent)
        assert all(f'"{name}"'.encode() in said for name in [*wanted, *sent])
        print(f"full with {len(wanted)} frames; {shutil.disk_usage(folder).free} octets free after")


async def live_beside_backlog(folder: Path, octets: int) -> None:
    """While the backlog of a full disk leaves, a new frame finds room before the end."""
    async with gateway(folder) as one:
        wanted = await fill(one, octets, "a")
        Broker.there = True
        waiting = 0
        async with asyncio.timeout(20):
            while not waiting:
                try:
                    await one.send_frame(frame("live", octets, 0))
                    waiting = one.spooled
                except SpoolFull:
                    await asyncio.sleep(0)
        assert waiting > len(wanted) // 10, (waiting, len(wanted))
        assert await one.drain(20)


async def ends_without_a_new_frame(folder: Path, octets: int) -> None:
    """Another program uses all the room, the ballast's too.

    When it gives the room back, the gateway forgets what it has sent.
    """
    async with gateway(folder) as one:
        await fill(one, octets, "a")
        (folder / "gw.spool-ballast").unlink()
        other = folder / "other"
        with other.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        Broker.there = True
        assert not await one.drain(1)
        other.unlink()
        assert await one.drain(20)


STORIES = {one.__name__: one for one in (recovers, live_beside_backlog, ends_without_a_new_frame)}

if __name__ == "__main__":
    link.AIOKafkaProducer = Broker  # type: ignore[misc,assignment]
    asyncio.run(STORIES[sys.argv[2]](Path(sys.argv[1]), int(sys.argv[3])))
