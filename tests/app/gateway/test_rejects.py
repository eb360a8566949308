"""Where a gateway goes on reading its rejects after a stop in the middle of many."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from support.rejects import reject_of

from rpm_stream.app.gateway import Gateway, GatewayOptions, link
from rpm_stream.records import Notification, Position, Reject

NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens
AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
PLACE = TopicPartition("rejects", 0)


def reject(number: int) -> Reject:
    place = Position(topic="frames", partition=0, offset=number)
    return reject_of(AT, id=str(number), device="strap", position=place)


class Partition:
    """One partition of four rejects and what a group has committed, with aiokafka's consumer's
    doors.
    """

    def __init__(self) -> None:
        values = [msgspec.json.encode(reject(number)) for number in range(4)]
        self.messages = [
            SimpleNamespace(
                topic=PLACE.topic, partition=0, offset=offset, key=b"strap", value=value
            )
            for offset, value in enumerate(values)
        ]
        self.committed = self.next = 0

    async def start(self) -> None:
        self.next = self.committed

    async def stop(self) -> None: ...

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """All that is left at once, as a real one does."""
        found, self.next = self.messages[self.next :], len(self.messages)
        return {PLACE: found} if found else {}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed = offsets[PLACE]


def test_a_stop_in_the_middle_gives_no_reject_twice_that_was_done_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four that came together two were done with: the next start gives the third, which was
    not, and the fourth.
    """
    partition = Partition()
    monkeypatch.setattr(link, "AIOKafkaConsumer", lambda *_, **__: partition)

    async def read(count: int) -> list[str]:
        async with Gateway(
            NOWHERE, "gw", spool_dir=tmp_path, options=GatewayOptions(close_within=0)
        ) as gateway:
            await gateway.send(
                "strap", notifications=[Notification(at=AT, characteristic="2A37", payload="0048")]
            )
            reading = gateway.rejects()
            try:
                return [(await anext(reading)).id for _ in range(count)]
            finally:
                await reading.aclose()

    assert asyncio.run(read(3)) == ["0", "1", "2"]
    assert asyncio.run(read(2)) == ["2", "3"]
