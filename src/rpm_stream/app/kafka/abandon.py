"""Stopping a producer at once, whatever is in flight."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

ABANDON_SECONDS = 0.2  # between two checks whether an abandoned producer has ended


async def abandon(producer: AIOKafkaProducer) -> None:
    """Stop at once. Whether the broker has written unacknowledged records is unknown.

    No public door does this: ``producer.stop()`` waits for ever for a broker that is away, or that
    lets a gateway over its quota wait. Once cancelled, the sender begins no more requests and waits
    for those under way. They end with their connections, but one of them then asks who leads its
    partition, and gets no answer any more. The next cancellation ends that wait.
    """
    producer._closed = True
    sender = producer._sender.sender_task  # None if no broker has answered yet
    if sender is None:
        await producer.client.close()
        return
    while not sender.done():
        sender.cancel()
        await producer.client.close()
        await asyncio.wait({sender}, timeout=ABANDON_SECONDS)
    await producer.client.close()
