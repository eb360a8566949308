"""Data that expires unread is announced: on a real broker with a short retention."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from math import inf
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from prometheus_client import REGISTRY

from rpm_stream.app.kafka import retention
from rpm_stream.app.kafka.names import GROUP_SINK

HOUR = 3600.0


def shown(group: str, topic: str) -> float | None:
    """What Prometheus would get."""
    return REGISTRY.get_sample_value("rpm_retention_left_seconds", {"group": group, "topic": topic})


async def _life_of_a_record(bootstrap: str, group: str, topic: str) -> list[float | None]:
    """What is left before anything came, while a record of 50 minutes ago waits, once it is
    read, and once lost.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    place = TopicPartition(topic, 0)
    for client in (admin, consumer, reader, producer):
        await client.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, 2, 1, topic_configs={"retention.ms": "3600000"})]
        )
        reader.assign([place])
        # waits until a broker that has just begun knows who keeps the group's places
        await reader.committed(place)

        async def look() -> float | None:
            return await retention.look(admin, consumer, group, topic, datetime.now(UTC))

        found = [await look()]
        then = int((datetime.now(UTC) - timedelta(minutes=50)).timestamp() * 1000)
        await producer.send_and_wait(topic, b"first", partition=0, timestamp_ms=then)
        await producer.send_and_wait(topic, b"second", partition=0)
        found.append(await look())
        await reader.commit({place: 2})
        found.append(await look())
        await producer.send_and_wait(topic, b"third", partition=0)
        await admin.delete_records({place: RecordsToDelete(before_offset=3)})
        found.append(await look())
        return found
    finally:
        for client in (reader, producer, consumer):
            await client.stop()
        await admin.close()


def test_what_is_left_of_a_short_retention(kafka: str) -> None:
    empty, waiting, read, lost = asyncio.run(
        _life_of_a_record(kafka, f"g-{uuid4()}", f"t-{uuid4()}")
    )
    assert empty == inf
    assert waiting == pytest.approx(HOUR / 6, abs=60)
    assert read == inf
    assert lost == 0.0


def test_it_is_shown_and_what_nobody_reads_is_not(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink that never began is no alarm: there may be no FHIR server."""
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.2)
    group, topic = f"g-{uuid4()}", f"t-{uuid4()}"

    async def story() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"retention.ms": "-1"})])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(topic, b"waits")
        watching = asyncio.create_task(
            retention.watch(kafka, [(GROUP_SINK, topic), (group, topic)])
        )
        try:
            async with asyncio.timeout(30):
                while shown(group, topic) is None:
                    await asyncio.sleep(0.05)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(story())
    assert shown(group, topic) == inf  # it is kept for good
    assert shown(GROUP_SINK, topic) is None


def test_a_broker_that_is_away_leaves_nothing_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last figure would go on saying that all is well."""
    group, topic = f"g-{uuid4()}", f"t-{uuid4()}"
    retention.LEFT.labels(group, topic).set(HOUR)
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)

    async def story() -> None:
        watching = asyncio.create_task(retention.watch("127.0.0.1:9", [(group, topic)]))
        try:
            async with asyncio.timeout(30):
                while shown(group, topic) is not None:
                    await asyncio.sleep(0.05)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(story())
