"""Stopping a producer at once, whatever is in flight."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

ABANDON_SECONDS = 0.2  # between two checks whether an abandoned producer has ended


async def abandon(producer: AIOKafkaProducer) -> None:
    """Stop ``producer`` at once. Unacknowledged records may or may not have been written.

    aiokafka has no public call for this. ``producer.stop()`` waits without limit for a broker that
    is away or that throttles a gateway over its quota. Once cancelled, the producer's sender starts
    no more requests and waits for those under way. They end when their connections are closed. One
    of them may then ask for the leader of its partition, and no connection is left to answer. The
    next cancellation ends that wait.
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
