"""Which partitions a topic has, asked freshly: a consumer's own picture of the cluster can be minutes old."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """The partitions in order; none when there is no such topic. Looks first, because asking by name can create it."""
    if topic not in await admin.list_topics():
        return []
    described = await admin.describe_topics([topic])
    return sorted(TopicPartition(topic, each["partition"]) for each in described[0]["partitions"])
