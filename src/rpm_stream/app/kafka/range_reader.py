"""Reads a fixed span of some topics once, without a consumer group.

Nothing is committed, and no other reader is disturbed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.clients import admin, answering, consumer
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.preflight import partition_counts
from rpm_stream.app.runtime.errors import UsageError

POLL_MS = 300
BATCH = 2000
POLLS_WITHOUT_ANSWER = 100  # half a minute

Span: TypeAlias = tuple[int, int]  # first offset, and the one behind the last
Spans: TypeAlias = dict[TopicPartition, Span]
ReportProgress: TypeAlias = Callable[[str, int, int], None]  # topic, records read, records in all


class KafkaClients(NamedTuple):
    """An open consumer and admin client of one Kafka."""

    consumer: AIOKafkaConsumer
    admin: AIOKafkaAdminClient


@asynccontextmanager
async def reaching(bootstrap: str, topics: Iterable[str] = ()) -> AsyncIterator[KafkaClients]:
    """A Kafka that has ``topics``. Raises UsageError when it is away, at the start or later."""
    if topics:
        await partition_counts(bootstrap, tuple(topics))
    async with answering(bootstrap), consumer(bootstrap) as reader, admin(bootstrap) as client:
        yield KafkaClients(reader, client)


async def ends(broker: KafkaClients, topic: str) -> dict[TopicPartition, int]:
    """Return the present end of each partition of ``topic``."""
    found: dict[TopicPartition, int] = await broker.consumer.end_offsets(
        await partitions_of(broker.admin, topic)
    )
    return found


async def starts(broker: KafkaClients, topic: str) -> dict[TopicPartition, int]:
    """Return the present beginning of each partition of ``topic``."""
    partitions = await partitions_of(broker.admin, topic)
    found: dict[TopicPartition, int] = await broker.consumer.beginning_offsets(partitions)
    return found


async def at_time(
    broker: KafkaClients, upto: Mapping[TopicPartition, int], at: datetime
) -> dict[TopicPartition, int]:
    """Return the first offset of each partition whose record is from ``at`` or later.

    It is that of ``upto`` where there is none.
    """
    stamp = max(0, int(at.timestamp() * 1000))
    found = await broker.consumer.offsets_for_times(dict.fromkeys(upto, stamp))
    return {
        tp: end if found.get(tp) is None else min(end, found[tp].offset) for tp, end in upto.items()
    }


async def window(
    broker: KafkaClients, topic: str, since: datetime | None, until: datetime | None
) -> Spans:
    """Return the spans of ``topic`` with records from [since, until), by the records' times."""
    last = await ends(broker, topic)
    first = await (starts(broker, topic) if since is None else at_time(broker, last, since))
    if until is not None:
        last = await at_time(broker, last, until)
    return {tp: (first[tp], max(first[tp], end)) for tp, end in last.items()}


async def records(
    broker: KafkaClients, spans: Spans, progress: ReportProgress
) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield the records of ``spans`` in batches of one partition, in its order."""
    reader = broker.consumer
    left = {tp: span for tp, span in spans.items() if span[0] < span[1]}
    if not left:
        return
    reader.assign(list(left))
    for tp, (first, _) in left.items():
        reader.seek(tp, first)
    topic = next(iter(left)).topic
    done = 0
    total = sum(end - first for first, end in left.values())
    idle = 0
    while left:
        found = await reader.getmany(timeout_ms=POLL_MS, max_records=BATCH)
        idle = 0 if found else idle + 1
        if idle > POLLS_WITHOUT_ANSWER:
            raise UsageError(f"Kafka gives no more records of {topic}")
        for tp, batch in found.items():
            if wanted := [record for record in batch if tp in left and record.offset < left[tp][1]]:
                done += len(wanted)
                progress(topic, done, total)
                yield wanted
        for tp in [tp for tp, (_, end) in left.items() if await reader.position(tp) >= end]:
            del left[tp]
            reader.pause(tp)
