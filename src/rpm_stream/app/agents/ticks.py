"""Finds the moments at which time without data may be judged in a partition (CONTRACT 3).

At a moment T the ends of rpm.frames and rpm.actions are noted. When ingest has committed up to
them, the ends of this judge's partitions of rpm.readings are noted. When those are applied too,
nothing from before T can still come, and the patients tick at T. So a slow or dead ingest makes no
patient silent, and no acknowledged alert escalates because of it. Steady traffic does not keep the
ticks away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from rpm_stream.app.engine.application import BatchApp
from rpm_stream.app.kafka.clients import AWAY, admin, consumer
from rpm_stream.app.kafka.lag import commits_of
from rpm_stream.app.kafka.names import GROUP_INGEST, GROUPS, READINGS
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.settings import Settings

log = structlog.get_logger()

POLL_SECONDS = 0.5
CLOCKS_APART = timedelta(seconds=2)  # the broker's clock stamps receipts, this clock gives T
EACH_PATIENT = timedelta(seconds=15)  # how often a patient ticks, in wall time


class Barrier:
    """Yields (partition, T) whenever a partition of rpm.readings has seen all from before T."""

    def __init__(self, app: BatchApp, settings: Settings, clock: Clock) -> None:
        self._app = app
        self._settings = settings
        self._clock = clock
        self._ticked: dict[bytes, datetime] = {}

    def due(self, keys: Iterable[bytes], at: datetime) -> list[bytes]:
        """Return the patients of ``keys`` that did not tick lately, and note them as ticked."""
        apart = EACH_PATIENT * self._clock.speed
        found = [key for key in keys if key not in self._ticked or at - self._ticked[key] >= apart]
        self._ticked.update(dict.fromkeys(found, at))
        return found

    async def passed(self) -> AsyncIterator[tuple[int, datetime]]:
        """Yield for ever.

        A broker that cannot answer delays the ticks, so no patient becomes silent meanwhile.
        """
        warned = False
        while True:
            try:
                async for partition, at in self._passed():
                    warned = False
                    yield partition, at
            except AWAY as error:
                if not warned:
                    log.warning("judge.ticks_paused", error=type(error).__name__)
                warned = True
                await asyncio.sleep(POLL_SECONDS)

    async def _passed(self) -> AsyncIterator[tuple[int, datetime]]:
        bootstrap = self._settings.bootstrap
        async with consumer(bootstrap) as reader, admin(bootstrap) as client:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                at = self._clock.now() - CLOCKS_APART * self._clock.speed
                await self._ingested(reader, client)
                for partition in await self._judged():
                    yield partition, at

    async def _ingested(self, reader: AIOKafkaConsumer, client: AIOKafkaAdminClient) -> None:
        """Wait until ingest has applied every present frame and forwarded every present action."""
        topics = GROUPS[GROUP_INGEST]
        partitions = [tp for topic in topics for tp in await partitions_of(client, topic)]
        ends: dict[Any, int] = await reader.end_offsets(partitions)
        starts: dict[Any, int] = await reader.beginning_offsets(partitions)
        while True:
            committed = await commits_of(client, GROUP_INGEST, *topics)
            if all(
                end <= max(starts[tp], committed[tp].offset if tp in committed else 0)
                for tp, end in ends.items()
            ):
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _judged(self) -> list[int]:
        """Wait until this judge has applied every present reading, and return its partitions.

        Returns none after a rebalance.
        """
        app = self._app
        if app.rebalancing or app.in_recovery:
            return []
        generation = app.consumer_generation_id
        ends = {tp: end for tp, end in (await app.consumer.ends()).items() if tp.topic == READINGS}
        while app.consumer_generation_id == generation and not app.rebalancing:
            applied = app.consumer.applied_positions()
            if all(applied.get(tp, 0) >= end for tp, end in ends.items()):
                return [tp.partition for tp in ends]
            await asyncio.sleep(POLL_SECONDS / 5)
        return []
