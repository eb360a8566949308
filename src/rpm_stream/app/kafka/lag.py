"""Measures how far a consumer group is behind on a topic, and how many live members it has.

Both are read from the broker.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.records import Record

FETCH_TIMEOUT_S = 5.0


class GroupLag(Record, frozen=True, kw_only=True):
    """One look at one group and topic.

    ``lag`` counts waiting messages, ``members`` live members, and ``first_waiting`` is the append
    time of the first waiting message. ``begun`` means that the group has read the topic before.
    ``expired`` counts messages that the broker deleted before the group read them.
    """

    group: str
    lag: int
    members: int
    first_waiting: datetime | None
    begun: bool = True
    expired: int = 0


async def observe(
    admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, group: str, topic: str
) -> GroupLag:
    """Look once at ``group`` on ``topic``. In a topic that does not exist nothing waits."""
    members = await live_members(admin, group)
    partitions = await partitions_of(admin, topic)
    if not partitions:
        return GroupLag(group=group, lag=0, members=members, first_waiting=None)
    committed = await commits_of(admin, group, topic)
    ends = await consumer.end_offsets(partitions)
    starts = await consumer.beginning_offsets(partitions)
    waiting: dict[TopicPartition, int] = {}
    lag = expired = 0
    begun = False
    for partition in partitions:
        done = committed[partition].offset if partition in committed else -1
        if done >= 0:
            begun = True
            expired += max(0, starts[partition] - done)
        done = max(done, starts[partition])
        if ends[partition] > done:
            waiting[partition] = done
            lag += ends[partition] - done
    first = await _first_time(consumer, waiting)
    return GroupLag(
        group=group, lag=lag, members=members, first_waiting=first, begun=begun, expired=expired
    )


async def commits_of(
    admin: AIOKafkaAdminClient, group: str, *topics: str
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return what ``group`` has committed in each partition of ``topics``: offset and metadata.

    A partition without a commit is missing.
    """
    found = await admin.list_consumer_group_offsets(group)
    return {
        place: commit
        for place, commit in found.items()
        if place.topic in topics and commit.offset >= 0
    }


async def offsets_of(admin: AIOKafkaAdminClient, group: str, topic: str) -> dict[int, int]:
    """Return the committed offsets of one topic by partition number, without metadata."""
    commits = await commits_of(admin, group, topic)
    return {place.partition: commit.offset for place, commit in commits.items()}


async def _first_time(
    consumer: AIOKafkaConsumer, waiting: dict[TopicPartition, int]
) -> datetime | None:
    """Return the earliest append time among the first waiting records, or None when none waits.

    Raises TimeoutError when no record came in time.
    """
    if not waiting:
        return None
    consumer.assign(list(waiting))
    for partition, offset in waiting.items():
        consumer.seek(partition, offset)
    times: list[datetime] = []
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FETCH_TIMEOUT_S
    left = set(waiting)
    while left and loop.time() < deadline:
        found: dict[TopicPartition, list[Any]] = await consumer.getmany(
            *left, timeout_ms=500, max_records=len(left)
        )
        for partition, records in found.items():
            if records:
                times.append(datetime.fromtimestamp(records[0].timestamp / 1000, UTC))
                left.discard(partition)
    if not times:
        raise TimeoutError("the first waiting record could not be read")
    return min(times)


async def live_members(admin: AIOKafkaAdminClient, group: str) -> int:
    """Return the number of consumers in ``group``, which is 0 for a group that does not exist."""
    for response in await admin.describe_consumer_groups([group]):
        for description in response.groups:
            _error, name, _state, _protocol_type, _protocol, members = description[:6]
            if name == group:
                return len(members)
    return 0
