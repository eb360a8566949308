"""Checks once, before anything starts, that the broker answers and has the topics.

A failure is one clear line.
"""

from __future__ import annotations

from collections.abc import Sequence

from rpm_stream.app.kafka.clients import admin, answering
from rpm_stream.app.kafka.names import TOPICS
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime.errors import UsageError

REQUEST_TIMEOUT_MS = 10_000


async def partition_counts(bootstrap: str, topics: Sequence[str] = TOPICS) -> dict[str, int]:
    """Return the partitions of each of ``topics``.

    Raises BrokerAway, and UsageError when a topic is missing or hidden.
    """
    async with answering(bootstrap), admin(bootstrap, REQUEST_TIMEOUT_MS) as client:
        counts = {topic: len(await partitions_of(client, topic)) for topic in topics}
    if missing := [topic for topic, count in counts.items() if not count]:
        raise UsageError(
            f"the broker lacks {', '.join(missing)}: rpm-stream topics apply --bootstrap"
            f" {bootstrap}"
        )
    return counts
