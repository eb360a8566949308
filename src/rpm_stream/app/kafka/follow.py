"""Reading a topic on and on, and how far it was read: to the end that it had at the start, first.

What is kept of a compacted topic is right once that end is reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

POLL_MS = 200
BATCH = 200  # so that others are let in soon

Apply: TypeAlias = Callable[[ConsumerRecord], None]


def _nothing() -> None:
    """Nobody waits for the end."""


async def follow(
    consumer: AIOKafkaConsumer, apply: Apply, at_end: Callable[[], None] = _nothing
) -> NoReturn:
    """Give every record of the partitions that ``consumer`` has to ``apply``, for ever; call
    ``at_end`` once, when all that was there at the start is applied.
    """
    ends = await consumer.end_offsets(consumer.assignment())
    is_at_end = False
    while True:
        if not is_at_end and await reached(consumer, ends):
            is_at_end = True
            at_end()
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
        for records in found.values():
            for record in records:
                apply(record)
        await asyncio.sleep(0)  # let others in between two batches of a long backlog


async def reached(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    """Whether all before ``ends`` was read."""
    return all([await consumer.position(place) >= end for place, end in ends.items()])
