"""Finds stages on a machine with a wrong clock, from their messages in the topic of the clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import TopicPartition

from rpm_stream.app.kafka.broker_time import EVERY_SECONDS, OFF, TOPIC, read_look
from rpm_stream.app.kafka.clients import AWAY, consumer

# An older message is of a stage that has ended.
FRESH = timedelta(seconds=4 * EVERY_SECONDS)
POLL_MS = 1000
log = structlog.get_logger("rpm_stream.feed")


class Machines:
    """The newest message of each stage. ``now`` returns the broker's time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last_known: dict[str, tuple[datetime, float]] = {}

    def note(self, value: bytes | None, at: datetime) -> None:
        """Take a message of the topic, received at ``at``.

        Of several workers of a stage the one with the larger error counts.
        """
        look = read_look(value)
        if look is None:
            return
        before = self._last_known.get(look.stage)
        if before is None or abs(look.ahead) >= abs(before[1]) or at - before[0] > FRESH:
            self._last_known[look.stage] = (at, look.ahead)

    def off(self) -> dict[str, int]:
        """Return the stages with a wrong clock, and by how many seconds each is ahead."""
        since = self._now() - FRESH
        return {
            stage: round(ahead)
            for stage, (at, ahead) in sorted(self._last_known.items())
            if at >= since and abs(ahead) > OFF.total_seconds()
        }

    async def follow(self, bootstrap: str) -> None:
        """Read the topic from its end on, until cancelled. A broker that is away only delays."""
        while True:
            try:
                await self._follow(bootstrap)
            except AWAY as error:
                log.warning("feed.clocks_unreachable", error=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def _follow(self, bootstrap: str) -> None:
        async with consumer(bootstrap) as reader:
            place = TopicPartition(TOPIC, 0)
            if place.topic not in await reader.topics():
                return  # it does not exist yet
            reader.assign([place])
            await reader.seek_to_end(place)
            while True:
                for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self.note(
                            record.value, datetime.fromtimestamp(record.timestamp / 1000, UTC)
                        )
