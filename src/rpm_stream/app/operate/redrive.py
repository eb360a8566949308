"""Sends refused frames again: the same bytes under the same key, at the end of ``rpm.frames``.

That is safe to repeat, because ingest tracks what it has read of a device. Parts that had become
readings are duplicates. Parts that are refused again are duplicates too. Only parts that can be
read by now, because the registry or a table was corrected, are new.

Rejects of the judge are not sent again. Their frames had been read, so they would be all
duplicates.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from rpm_stream.app.kafka.clients import producer
from rpm_stream.app.kafka.names import FRAMES, REDRIVEN, REJECTS
from rpm_stream.app.kafka.range_reader import reaching, records, window
from rpm_stream.records import UNREADABLE, Record, Reject

PATIENCE_SECONDS = 30.0  # to wait for a record that is known to be there
NEAR = 1_000  # offsets that are read over instead of seeking: about one fetch
# Bytes of one message: more than the broker takes, so that this client never refuses one itself.
MOST_BYTES = 8 * 1024 * 1024

_rejects = msgspec.json.Decoder(Reject)


class Redriven(Record, frozen=True, kw_only=True):
    """The result of a redrive.

    - ``rejects``: rejects in the selection.
    - ``frames``: frames that were sent again.
    - ``gone``: frames that the topic has dropped.
    - ``judge``: rejects of the judge, for which sending a frame again does not help.
    """

    rejects: int
    frames: int
    gone: int
    judge: int


async def redrive(bootstrap: str, selection: Iterable[Reject]) -> Redriven:
    """Send the frame of each reject again, each frame once and in the original order.

    Raises ``UsageError`` when the broker is away, lacks the topic, or stops answering.
    """
    rejects = judge = 0
    wanted: dict[int, set[int]] = {}
    for reject in selection:
        rejects += 1
        if reject.position.topic != FRAMES:
            judge += 1
        else:
            wanted.setdefault(reject.position.partition, set()).add(reject.position.offset)
    frames = 0
    if wanted:
        writing = producer(bootstrap, max_request_size=MOST_BYTES)
        async with reaching(bootstrap, (FRAMES,)) as broker, writing as writer:
            for partition, offsets in sorted(wanted.items()):
                place = TopicPartition(FRAMES, partition)
                frames += await _resend(broker.consumer, writer, place, sorted(offsets))
    return Redriven(
        rejects=rejects, frames=frames, gone=sum(map(len, wanted.values())) - frames, judge=judge
    )


async def rejects_where(
    bootstrap: str,
    chosen: Callable[[Reject], bool],
    device: str | None = None,
    since: datetime | None = None,
) -> list[Reject]:
    """Return every ``chosen`` reject in ``rpm.rejects``, each id once, oldest first in a partition.

    ``device`` limits the result to the rejects of one device, and ``since`` to those written from
    that time on. Raises ``UsageError`` when the broker is away or lacks the topic.
    """
    key = None if device is None else device.encode()
    found: dict[str, Reject] = {}
    async with reaching(bootstrap, (REJECTS,)) as broker:
        async for batch in records(
            broker, await window(broker, REJECTS, since, None), lambda *_: None
        ):
            for record in batch:
                reject = _decoded(record) if key in (None, record.key) else None
                if reject is not None and chosen(reject):
                    found.setdefault(reject.id, reject)
    return list(found.values())


def _decoded(record: ConsumerRecord) -> Reject | None:
    """Return the reject, None for a record that is none.

    Only the service writes this topic. A record of another program names no frame.
    """
    try:
        return _rejects.decode(record.value or b"")
    except UNREADABLE:
        return None


async def _resend(
    consumer: AIOKafkaConsumer,
    writer: AIOKafkaProducer,
    partition: TopicPartition,
    offsets: list[int],
) -> int:
    """Produce the records at ``offsets`` of one partition again, and return how many were there.

    The broker stamps them. They go into the partition in which they were, because ingest's state of
    the device is there. The partitioner of this client may differ from the gateway's.
    """
    sent = 0
    async for record in _at(consumer, partition, offsets):
        headers = [*(each for each in record.headers if each[0] != REDRIVEN), (REDRIVEN, b"")]
        place = {"partition": partition.partition, "headers": headers}
        send = writer.send_and_wait(partition.topic, record.value, key=record.key, **place)
        await asyncio.wait_for(send, PATIENCE_SECONDS)
        sent += 1
    return sent


async def _at(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offsets: list[int]
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records at ``offsets`` (ascending) that the topic still has."""
    consumer.assign([partition])
    first = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    left = [offset for offset in offsets if first <= offset < end]
    position = None
    while left:
        if position is None or left[0] - position > NEAR:
            consumer.seek(partition, left[0])
        for record in await _fetched(consumer, partition):
            position = record.offset + 1
            while left and left[0] < record.offset:  # a hole: dropped during the reading
                del left[0]
            if left and left[0] == record.offset:
                del left[0]
                yield record


async def _fetched(consumer: AIOKafkaConsumer, partition: TopicPartition) -> list[ConsumerRecord]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if batch := (await consumer.getmany(partition, timeout_ms=500)).get(partition):
                return list(batch)
