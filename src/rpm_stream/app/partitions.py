"""Which partitions a topic has, asked freshly (a consumer's own picture can be minutes old), and where a key lies."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """The partitions in order; none when there is no such topic. Looks first, because asking by name can create it."""
    if topic not in await admin.list_topics():
        return []
    described = await admin.describe_topics([topic])
    return sorted(TopicPartition(topic, each["partition"]) for each in described[0]["partitions"])


def home_of(key: bytes, partitions: int) -> int:
    """The partition of ``key``, as Java's and aiokafka's partitioner choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
