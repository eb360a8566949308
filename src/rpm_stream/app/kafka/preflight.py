"""Checks once, before anything starts, that the broker answers and has the topics.

A failure is one clear line.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from rpm_stream.app.kafka.names import TOPICS
from rpm_stream.app.kafka.partitions import not_allowed, partitions_of
from rpm_stream.app.kafka.refusal import why_not
from rpm_stream.app.kafka.security import kafka_client
from rpm_stream.app.runtime.errors import BrokerAway, UsageError

REQUEST_TIMEOUT_MS = 10_000


async def partition_counts(bootstrap: str, topics: Sequence[str] = TOPICS) -> dict[str, int]:
    """Return the partitions of each of ``topics``.

    Raises BrokerAway, and UsageError when a topic is missing or hidden.
    """
    admin = AIOKafkaAdminClient(**kafka_client(bootstrap), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        counts = {topic: len(await partitions_of(admin, topic)) for topic in topics}
    except ValueError:
        raise UsageError(f"not a Kafka address, host:port[,host:port]: {bootstrap}") from None
    except TopicAuthorizationFailedError as error:
        raise not_allowed(error) from None
    except (KafkaError, OSError) as error:
        if (why := await why_not(bootstrap)) is not None:
            raise BrokerAway(f"Kafka at {bootstrap}: {why}") from None
        raise BrokerAway(
            f"no Kafka answers at {bootstrap} ({type(error).__name__}): start one (rpm-stream"
            " broker), or name it with --bootstrap or RPM_BOOTSTRAP"
        ) from None
    finally:
        await admin.close()
    if missing := [topic for topic, count in counts.items() if not count]:
        raise UsageError(
            f"the broker lacks {', '.join(missing)}: rpm-stream topics apply --bootstrap"
            f" {bootstrap}"
        )
    return counts
