"""A gateway that floods is slowed by the broker, and nobody else is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.kafka.quotas import limit_client

from rpm_stream.app.gateway import Gateway, GatewayOptions
from rpm_stream.records import Notification

AT = datetime(2026, 1, 1, 8, tzinfo=UTC)
PULSE = Notification(at=AT, characteristic="2A37", payload="0048")
QUOTA = 20_000  # octets a second; Kafka counts over some 10 s, so the first 200 kB pass at once
FRAMES = 40  # of 40 kB, which no compression makes smaller than 20


async def flood(bootstrap: str, topic: str, folder: Path, other: asyncio.Event) -> int:
    """Uplink a megabyte and more; how many frames were not through when the other gateway was
    done.
    """
    chance = Random(0)
    options = GatewayOptions(topic=topic, close_within=0.0)
    async with Gateway(bootstrap, f"flood-{topic}", spool_dir=folder, options=options) as gateway:
        for _ in range(FRAMES):
            noise = [
                Notification(at=AT, characteristic="2A37", payload=chance.randbytes(40).hex())
                for _ in range(250)
            ]
            await gateway.send("strap", notifications=noise)
        await other.wait()
        return gateway.spooled


async def polite(bootstrap: str, topic: str, folder: Path, other: asyncio.Event) -> float:
    """Thirty small frames one after the other; the seconds that all of them took."""
    try:
        options = GatewayOptions(topic=topic)
        async with Gateway(
            bootstrap, f"polite-{topic}", spool_dir=folder, options=options
        ) as gateway:
            began = monotonic()
            for _ in range(30):
                await gateway.send("cuff", notifications=[PULSE])
                assert await gateway.drain(30)
                await asyncio.sleep(0.05)
            return monotonic() - began
    finally:
        other.set()


def test_a_flood_is_slowed_and_others_are_not(kafka: str, tmp_path: Path) -> None:
    """Kafka's quota by client id: the flood takes its time, whoever else sends does not notice."""
    topic = f"t-{uuid4().hex}"

    async def story() -> tuple[float, float, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 1, 1)])
        await admin.close()
        alone = await polite(kafka, topic, tmp_path / "alone", asyncio.Event())
        done = asyncio.Event()
        waiting, beside = await asyncio.gather(
            flood(kafka, topic, tmp_path / "flood", done),
            polite(kafka, topic, tmp_path / "beside", done),
        )
        return alone, beside, waiting

    limit_client(kafka, f"rpm-gateway-flood-{topic}", QUOTA)
    alone, beside, waiting = asyncio.run(asyncio.wait_for(story(), 90))
    assert waiting > FRAMES // 2
    assert beside < 2 * alone + 1
