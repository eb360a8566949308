"""Measures the time until the broker may delete what a stage has not read.

It is the one way in which Kafka loses data by plan. It is watched from the feed, because a stage
that is down cannot report it. A record may be deleted once it is older than its topic's
``retention.ms``. It is deleted with its whole segment, so the measured time is never too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from math import inf

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client import Gauge

from rpm_stream.app.kafka.clients import AWAY, admin, consumer
from rpm_stream.app.kafka.lag import GroupLag, observe
from rpm_stream.app.kafka.names import OPTIONAL_GROUPS, QUEUES
from rpm_stream.app.runtime.clock import wall

EVERY_SECONDS = 60.0
REQUEST_TIMEOUT_MS = 10_000
READ = tuple((group, topic) for topic, group in QUEUES)

LEFT = Gauge(
    "rpm_retention_left_seconds",
    "Until the broker may delete the oldest record that the group has not read; +Inf: nothing"
    " waits; 0: it has",
    ["group", "topic"],
)
log = structlog.get_logger()


def left(observed: GroupLag, retention_seconds: float, now: datetime) -> float:
    """Return the seconds until the oldest unread record may be deleted.

    It is ``inf`` when nothing waits, and 0.0 when an unread record was deleted.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 2, tzinfo=UTC)
    >>> begun = datetime(2026, 1, 1, tzinfo=UTC)
    >>> waits = GroupLag(group="g", lag=3, members=1, first_waiting=begun)
    >>> left(waits, 14 * 86_400, at) / 86_400
    13.0
    """
    if observed.expired:
        return 0.0
    if observed.first_waiting is None:
        return inf
    return max(0.0, retention_seconds - (now - observed.first_waiting).total_seconds())


async def look(
    client: AIOKafkaAdminClient, reader: AIOKafkaConsumer, group: str, topic: str, now: datetime
) -> float | None:
    """Return the time left for ``group`` on ``topic``.

    It is None for a topic that does not exist, or that no group reads.
    """
    retention = await _retention_seconds(client, topic)
    if retention is None:
        return None
    observed = await observe(client, reader, group, topic)
    if group in OPTIONAL_GROUPS and not observed.begun and not observed.members:
        return None
    return left(observed, retention, now)


async def _retention_seconds(client: AIOKafkaAdminClient, topic: str) -> float | None:
    """Return the retention in force for the topic.

    It is None without the topic, and ``inf`` where it keeps all.
    """
    if topic not in await client.list_topics():
        return None
    found: dict[str, str] = {}
    for response in await client.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic)]
    ):
        for _code, _message, _kind, _name, entries in response.resources:
            found |= {entry[0]: entry[1] or "" for entry in entries}
    if "delete" not in found.get("cleanup.policy", "delete"):
        return inf
    milliseconds = int(found.get("retention.ms", "-1"))
    return inf if milliseconds < 0 else milliseconds / 1000


async def watch(
    bootstrap: str, pairs: Iterable[tuple[str, str]] = READ, now: Callable[[], datetime] = wall
) -> None:
    """Look every minute until cancelled. ``now`` returns the broker's time.

    While the broker is away the gauge has no samples.
    """
    pairs = tuple(pairs)
    while True:
        try:
            await _watch(bootstrap, pairs, now)
        except AWAY as error:
            LEFT.clear()
            log.warning("topics.retention_not_watched", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)


async def _watch(
    bootstrap: str, pairs: tuple[tuple[str, str], ...], now: Callable[[], datetime]
) -> None:
    async with admin(bootstrap, REQUEST_TIMEOUT_MS) as client, consumer(bootstrap) as reader:
        while True:
            for group, topic in pairs:
                seconds = await look(client, reader, group, topic, now())
                if seconds is not None:
                    LEFT.labels(group, topic).set(seconds)
                if seconds == 0.0:
                    log.error("topics.unread_data_expired", group=group, topic=topic)
            await asyncio.sleep(EVERY_SECONDS)
