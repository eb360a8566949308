"""Finds the broker's time, and how far this host's clock is from it.

A small message goes to a topic of its own, whose records the broker stamps, and the answer carries
the stamp. The stamp is taken for the middle of the round trip, so it is wrong by half of it at
most. A slow answer therefore changes the clock only by as much as no quicker one contradicts. Each
message carries the last finding of its writer, so that the feed can show which stage runs on a
machine with a wrong clock.

In a cluster the time is that of the broker that leads the topic's only partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from rpm_stream.app.kafka.clients import AWAY, producer
from rpm_stream.app.kafka.state_topic import make_topic
from rpm_stream.app.runtime.clock import Clock, steady, wall
from rpm_stream.app.runtime.end import asked_to_end
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.records import UNREADABLE, Record

TOPIC: Final = "rpm-clock"  # a private topic: no other program should read or write it
CONFIGURATION = {
    "cleanup.policy": "delete",
    "retention.ms": "3600000",
    "segment.ms": "600000",
    "message.timestamp.type": "LogAppendTime",
}
EVERY_SECONDS = 20.0
FIRST_LOOK_SECONDS = 5.0
# From here on it is logged. A synchronised host is right within a second.
OFF = timedelta(seconds=60)
AGREES = timedelta(milliseconds=100)  # so little between two looks is due to the round trip
JUMP = timedelta(seconds=60)
REQUEST_MS = 10_000

AHEAD = Gauge(
    "rpm_clock_offset_seconds", "How far this host's clock is ahead of the broker's", ["stage"]
)
log = structlog.get_logger()


class Look(Record, frozen=True, kw_only=True):
    """A message of the topic.

    ``ahead`` is how many seconds the clock of the stage's host was ahead at its last look.
    """

    stage: str
    ahead: float


_look = msgspec.json.Decoder(Look)


def read_look(value: bytes | None) -> Look | None:
    """Return a message of the topic, or None for any other value."""
    try:
        return _look.decode(value or b"")
    except UNREADABLE:
        return None


class BrokerTime:
    """Keeps ``clock`` on the broker's time.

    ``ahead`` is how far this host's clock is ahead, or None while it is not known.
    """

    def __init__(self, settings: Settings, clock: Clock, stage: str) -> None:
        self._settings = settings
        self._clock = clock
        self._stage = stage
        self.ahead: timedelta | None = None
        self._unsure = timedelta()  # how much the clock may be wrong
        self.known = asyncio.Event()
        self._warned = False

    async def begin(self) -> None:
        """Create the topic, and look once.

        Raises BrokerAway, and UsageError where the broker refuses.
        """
        await make_topic(self._settings, TOPIC, 1, CONFIGURATION)
        try:
            async with self._producer() as producer:
                await self._ask(producer)
        except (KafkaError, OSError) as error:
            raise BrokerAway(
                f"Kafka at {self._settings.bootstrap} did not say what time it is:"
                f" {type(error).__name__}"
            ) from None

    async def try_to_begin(self) -> None:
        """As ``begin``, but keep to this host's clock where the broker gives no time.

        That is so when it does not answer, or when this user may not write.
        """
        with suppress(UsageError, TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self.begin()

    async def run(self, tell: Callable[[], None] = lambda: None) -> None:
        """Look again and again until cancelled. ``tell`` is called after each look.

        While the broker is away the clock goes on as it was.
        """
        warned = False
        while True:
            try:
                if not self.known.is_set():
                    await make_topic(self._settings, TOPIC, 1, CONFIGURATION)
                async with self._producer() as producer:
                    while True:
                        await self._ask(producer)
                        warned = False
                        tell()
                        await asyncio.sleep(EVERY_SECONDS)
            except (*AWAY, UsageError, asyncio.CancelledError) as error:
                if asked_to_end():
                    raise asyncio.CancelledError from None
                if not warned:
                    log.warning(
                        "clock.broker_not_followed",
                        stage=self._stage,
                        error=type(error).__name__,
                    )
                warned = True
                await asyncio.sleep(EVERY_SECONDS)

    @staticmethod
    async def clock_for(settings: Settings, stage: str) -> Clock:
        """Return a clock on the broker's time, for a command that needs it a few times."""
        clock = Clock.of(settings)
        await BrokerTime(settings, clock, stage).try_to_begin()
        return clock

    def _producer(self) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        """A producer that gives up an unanswered message: only the next look counts."""
        return producer(
            self._settings.bootstrap, enable_idempotence=False, request_timeout_ms=REQUEST_MS
        )

    async def _ask(self, producer: AIOKafkaProducer) -> None:
        before = self.ahead.total_seconds() if self.ahead is not None else 0.0
        value = msgspec.json.encode(Look(stage=self._stage, ahead=round(before, 3)))
        began = wall()
        began_at = steady()
        answer = await producer.send_and_wait(TOPIC, value, partition=0, timestamp_ms=0)
        took = steady() - began_at
        if answer.timestamp_type != 1:  # CreateTime: somebody has changed the topic
            log.error("clock.topic_not_stamped", topic=TOPIC)
            return
        stamped = datetime.fromtimestamp(answer.timestamp / 1000, UTC)
        half = timedelta(seconds=took / 2)
        self._note(stamped, began + half, began_at + took / 2, half)

    def _note(
        self, broker: datetime, host: datetime, at: float, unsure: timedelta = timedelta()
    ) -> None:
        """Note that the broker's clock showed ``broker`` when this host's showed ``host``.

        The counter was ``at`` then. Both may be wrong by ``unsure``.
        """
        expected = self._clock.real() - timedelta(seconds=steady() - at)
        apart = abs(broker - expected)
        # the round trip does not explain it
        was_set = apart > self._unsure + unsure + AGREES
        if self.known.is_set() and was_set and apart > JUMP:
            log.error(
                "clock.broker_clock_set",
                stage=self._stage,
                seconds=round((broker - expected).total_seconds()),
            )
        if not self.known.is_set() or was_set or (unsure < self._unsure and apart > AGREES):
            self._clock.follow(broker, at)
            self._unsure = unsure
        else:
            self._unsure = min(self._unsure, unsure + apart)
        self.ahead = host - (self._clock.real() - timedelta(seconds=steady() - at))
        self.known.set()
        AHEAD.labels(self._stage).set(self.ahead.total_seconds())
        self._tell()

    def _tell(self) -> None:
        """Log once when the clock is wrong, and once when it is right again."""
        assert self.ahead is not None
        off = abs(self.ahead) > OFF
        if off and not self._warned:
            log.error(
                "clock.host_clock_wrong",
                stage=self._stage,
                seconds_ahead=round(self.ahead.total_seconds()),
            )
        elif self._warned and not off:
            log.warning("clock.host_clock_right", stage=self._stage)
        self._warned = off
