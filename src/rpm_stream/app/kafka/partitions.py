"""The partitions of a topic, asked freshly, and the partition of a key.

A consumer's own view of the partitions can be minutes old.
"""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError, for_code
from aiokafka.partitioner import murmur2
from aiokafka.protocol.metadata import MetadataRequest

from rpm_stream.app.runtime.errors import UsageError


async def partitions_of(admin: AIOKafkaAdminClient, topic: str) -> list[TopicPartition]:
    """Return the partitions in order, or none when there is no such topic.

    The topic is never created. Raises TopicAuthorizationFailedError where this user has no right to
    see it. A list of all topics leaves such a topic out, and a hidden topic must not count as
    missing.
    """
    response = await admin._send_request(MetadataRequest([topic], allow_auto_topic_creation=False))
    [described] = response.to_object()["topics"]
    if for_code(described["error_code"]) is TopicAuthorizationFailedError:
        raise TopicAuthorizationFailedError(topic)
    return sorted(TopicPartition(topic, each["partition"]) for each in described["partitions"])


def not_allowed(error: TopicAuthorizationFailedError) -> UsageError:
    """Return an error with the missing right, in one line."""
    which = error.args[0] if error.args else "a topic"
    return UsageError(
        f"Kafka does not let this user look at {which}: it needs the rights Describe and Read on it"
    )


def home_of(key: bytes, partitions: int) -> int:
    """The partition of ``key``, as Java's and aiokafka's partitioners choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
