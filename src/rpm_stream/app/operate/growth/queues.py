"""Moves what waits in the queues when the topics grow, in its order over all partitions.

A record waits where its key was before, or where a producer put it that already knew of the new
partitions. Read from there it would meet no state, or overtake earlier records. If any record lies
elsewhere than its key does now, all that waits is therefore copied, in the order in which the
broker got it, each record into the partition of its key. The reader then continues after the
originals.

A decision is not copied if ingest had forwarded it and was killed before it could commit. From
another place it would count a second time, and appear twice in an alert's history.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.frame_record import received_at
from rpm_stream.app.kafka.growth_journal import Growth
from rpm_stream.app.kafka.merged import Reader
from rpm_stream.app.kafka.moved import MovedFrom
from rpm_stream.app.kafka.names import ACTIONS, OPTIONAL_GROUPS, READINGS
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.kafka.range_reader import (
    KafkaClients,
    ReportProgress,
    Spans,
    ends,
    records,
    starts,
    window,
)
from rpm_stream.app.operate.growth.groups_and_copies import (
    commit,
    copied_after,
    copying,
    fits,
    largest_batch,
    too_large,
)
from rpm_stream.records import UNREADABLE

# more than a worker's clock may differ from the broker's: Kafka refuses later times
APART = timedelta(hours=1)


class _Place(msgspec.Struct):
    """The place from which a message of rpm.readings came.

    ``topic`` is set only in messages that hold nothing but an action.
    """

    partition: int
    offset: int
    topic: str | None = None


_place = msgspec.json.Decoder(_Place).decode


class UnreadRecords(NamedTuple):
    """The records that a group has not read, and how many do not lie where their key will be."""

    records: int
    elsewhere: int


def is_read(group: str, commits: dict[int, int]) -> bool:
    """Whether the group reads at all."""
    return bool(commits) or group not in OPTIONAL_GROUPS


def home(record: ConsumerRecord, partitions: int) -> int:
    """Return the partition of a record's key. A record without a key stays where it is."""
    return record.partition if record.key is None else home_of(record.key, partitions)


async def unread(
    broker: KafkaClients, topic: str, commits: dict[int, int], cut: dict[int, int]
) -> Spans:
    """Return the spans between a group's position and ``cut``."""
    found: Spans = {}
    for tp, start in (await starts(broker, topic)).items():
        begin = max(start, commits.get(tp.partition, 0))
        found[tp] = (begin, max(begin, cut.get(tp.partition, begin)))
    return found


async def waiting(
    broker: KafkaClients, spans: Spans, partitions: int, progress: ReportProgress
) -> UnreadRecords:
    """Count what waits in ``spans`` of one topic, and how much of it lies elsewhere.

    Raises ``UsageError`` if the records must be copied and Kafka takes no copy of one of them.
    """
    count = elsewhere = 0
    large: ConsumerRecord | None = None
    most = await largest_batch(broker.admin, next(iter(spans)).topic)
    async for batch in records(broker, spans, progress):
        count += len(batch)
        elsewhere += sum(home(record, partitions) != record.partition for record in batch)
        large = large or next((record for record in batch if not fits(record, most)), None)
    if elsewhere and large is not None:
        raise too_large(large)
    return UnreadRecords(count, elsewhere)


async def take(
    broker: KafkaClients,
    bootstrap: str,
    growth: Growth,
    queue: tuple[str, str],
    progress: ReportProgress,
) -> str:
    """Move what waits in a queue to where its keys are now, and return a line about it."""
    topic, group = queue
    commits = growth.commits.get(topic, {})
    cut = growth.cuts[topic]
    if not is_read(group, commits):
        return f"{topic}: nobody reads it, left as it is"
    spans = await unread(broker, topic, commits, cut)
    found = await waiting(broker, spans, growth.partitions, progress)
    if not found.elsewhere:
        if commits:
            await commit(bootstrap, group, topic, commits)
        return f"{topic}: {found.records} unread records lie where their keys are, left as they are"
    tail = await tail_of(broker, topic, cut)
    done = await copied_after(broker, tail, progress)
    if topic == ACTIONS:
        done |= await forwarded(broker, spans, progress)
    async with AsyncExitStack() as stack, copying(bootstrap, done) as copier:
        async for record in Reader(bootstrap, stack, progress).merged(spans):
            await copier.copy(record, home(record, growth.partitions))
    await commit(bootstrap, group, topic, {tp.partition: end for tp, (_, end) in spans.items()})
    return (
        f"{topic}: {found.records} unread records written once more in their order,"
        f" {found.elsewhere} of them moved"
    )


async def forwarded(broker: KafkaClients, spans: Spans, progress: ReportProgress) -> set[MovedFrom]:
    """Return the places in ``spans`` of rpm.actions whose action is already in rpm.readings."""
    firsts: Spans = {tp: (first, first + 1) for tp, (first, end) in spans.items() if first < end}
    stamps = [
        received_at(record) async for batch in records(broker, firsts, progress) for record in batch
    ]
    found: set[MovedFrom] = set()
    if stamps:
        async for batch in records(
            broker, await window(broker, READINGS, min(stamps) - APART, None), progress
        ):
            for record in batch:
                place = _place_of(record)
                first, end = (
                    spans.get(TopicPartition(ACTIONS, place.partition), (0, 0)) if place else (0, 0)
                )
                if place is not None and place.topic == ACTIONS and first <= place.offset < end:
                    found.add((place.partition, place.offset))
    return found


def _place_of(record: ConsumerRecord) -> _Place | None:
    try:
        return _place(record.value or b"")
    except UNREADABLE:
        return None


async def tail_of(broker: KafkaClients, topic: str, cut: dict[int, int]) -> Spans:
    """Return the spans after ``cut``."""
    found = await ends(broker, topic)
    return {tp: (cut.get(tp.partition, 0), end) for tp, end in found.items()}
