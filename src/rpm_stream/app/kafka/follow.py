"""Reads topics for ever, and reports when the end of the start is reached.

Once all that was there at the start is applied, what is kept of a compacted topic is current.
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
    """Do nothing at the end."""


async def follow(
    consumer: AIOKafkaConsumer, apply: Apply, at_end: Callable[[], None] = _nothing
) -> NoReturn:
    """Call ``apply`` with every record of the consumer's partitions, for ever.

    Calls ``at_end`` once, when all that was there at the start is applied.
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
    """Return whether the consumer has read all before ``ends``."""
    return all([await consumer.position(place) >= end for place, end in ends.items()])
