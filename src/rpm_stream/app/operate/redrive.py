"""Refused frames once more: the same octets under the same key, at the end of ``rpm.frames``.

That is safe to repeat. Ingest knows what it has read of a device: parts that became readings are
duplicates, parts that are refused again are so too, and only what can be read by now (the registry
or a table was mended) is new. What the judge refused is not re-driven: its readings were read, so
the frame would be all duplicates.
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

PATIENCE_SECONDS = 30.0  # without a record that is known to be there
NEAR = 1_000  # offsets that are read over rather than sought: about one fetch
# of one message: above what the broker takes, so that it is never we who refuse
MOST_BYTES = 8 * 1024 * 1024

_rejects = msgspec.json.Decoder(Reject)


class Redriven(Record, frozen=True, kw_only=True):
    """What became of a selection: ``rejects`` in it, ``frames`` sent again, ``gone`` frames that
    the topic has dropped, ``judge`` rejects of the judge, for which a frame is no help.
    """

    rejects: int
    frames: int
    gone: int
    judge: int


async def redrive(bootstrap: str, selection: Iterable[Reject]) -> Redriven:
    """Send the frame of each reject again, each frame once, in the order in which they came.

    Raises UsageError when the broker is away, lacks the topic, or stops answering.
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
    """Every reject that is in ``rpm.rejects`` now and ``chosen``, each id once, oldest first within
    a partition.

    With ``device`` only those of its own, with ``since`` only those that were written from then on.
    Raises UsageError when the broker is away or lacks the topic.
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
    """None for what is no reject: only the service writes this topic, and a stranger's record
    names no frame.
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
    """Produce the records at ``offsets`` of one partition again; how many were still there. No
    timestamp of ours.

    Into the partition where they lay: what ingest knows of the device is there, wherever our own
    partitioner, which the gateway's may not be, would put its key.
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
    """The records at ``offsets`` (ascending) as far as the topic still has them."""
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
            while left and left[0] < record.offset:  # a hole: dropped while we read
                del left[0]
            if left and left[0] == record.offset:
                del left[0]
                yield record


async def _fetched(consumer: AIOKafkaConsumer, partition: TopicPartition) -> list[ConsumerRecord]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if batch := (await consumer.getmany(partition, timeout_ms=500)).get(partition):
                return list(batch)
