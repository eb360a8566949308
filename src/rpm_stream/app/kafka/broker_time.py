"""What the broker's clock shows, and how far this host's is from it.

A small message goes to a topic of its own whose records the broker stamps; the answer names the
stamp. It was stamped on the way there and back, so it is taken for half of that, and half of that
is as much as it can be wrong: what a slow answer says is believed only as far as no quicker one
knows better. Each message says what its writer found before, so that the feed can tell which stage
runs on a machine with a wrong clock.

In a cluster it is the clock of the broker that leads the topic's only partition.
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

TOPIC: Final = "rpm-clock"  # not one of the public ones: nobody else is to read or write it
CONFIGURATION = {
    "cleanup.policy": "delete",
    "retention.ms": "3600000",
    "segment.ms": "600000",
    "message.timestamp.type": "LogAppendTime",
}
EVERY_SECONDS = 20.0
FIRST_LOOK_SECONDS = 5.0
# from here on it is told: a host whose clock is kept is right within a second
OFF = timedelta(seconds=60)
AGREES = timedelta(milliseconds=100)  # so little between two looks is the way there and back
JUMP = timedelta(seconds=60)
REQUEST_MS = 10_000

AHEAD = Gauge(
    "rpm_clock_offset_seconds", "How far this host's clock is ahead of the broker's", ["stage"]
)
log = structlog.get_logger()


class Look(Record, frozen=True, kw_only=True):
    """A message of the topic: how many seconds ahead the clock of the stage's host was at its
    last look.
    """

    stage: str
    ahead: float


_look = msgspec.json.Decoder(Look)


def read_look(value: bytes | None) -> Look | None:
    """A message of the topic; None for what is none."""
    try:
        return _look.decode(value or b"")
    except UNREADABLE:
        return None


class BrokerTime:
    """Keeps ``clock`` on the broker's time.

    ``ahead``: how far this host's clock is ahead; None: not known yet.
    """

    def __init__(self, settings: Settings, clock: Clock, stage: str) -> None:
        self._settings = settings
        self._clock = clock
        self._stage = stage
        self.ahead: timedelta | None = None
        self._unsure = timedelta()  # how much the clock may be wrong by what is known
        self.known = asyncio.Event()
        self._told = False

    async def begin(self) -> None:
        """Make the topic, and look once. Raises BrokerAway, UsageError where the broker refuses."""
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
        """As ``begin``; where the broker does not answer, or this user may not write, this
        host's clock has to do.
        """
        with suppress(UsageError, TimeoutError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self.begin()

    async def run(self, tell: Callable[[], None] = lambda: None) -> None:
        """Look again and again until cancelled; ``tell`` is called after each. While the broker is
        away the clock goes on as it was."""
        said = False
        while True:
            try:
                if not self.known.is_set():
                    await make_topic(self._settings, TOPIC, 1, CONFIGURATION)
                async with self._producer() as producer:
                    while True:
                        await self._ask(producer)
                        said = False
                        tell()
                        await asyncio.sleep(EVERY_SECONDS)
            except (*AWAY, UsageError, asyncio.CancelledError) as error:
                if asked_to_end():
                    raise asyncio.CancelledError from None
                if not said:
                    log.warning(
                        "the broker's clock is not followed",
                        stage=self._stage,
                        error=type(error).__name__,
                    )
                said = True
                await asyncio.sleep(EVERY_SECONDS)

    @staticmethod
    async def clock_for(settings: Settings, stage: str) -> Clock:
        """A clock on the broker's time, for what looks at it a few times and ends."""
        clock = Clock.of(settings)
        await BrokerTime(settings, clock, stage).try_to_begin()
        return clock

    def _producer(self) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        """One that gives a message up: a later look is worth more than an old one."""
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
            log.error("the broker does not stamp the topic: its clock is not followed", topic=TOPIC)
            return
        stamped = datetime.fromtimestamp(answer.timestamp / 1000, UTC)
        half = timedelta(seconds=took / 2)
        self._note(stamped, began + half, began_at + took / 2, half)

    def _note(
        self, broker: datetime, host: datetime, at: float, unsure: timedelta = timedelta()
    ) -> None:
        """The broker's clock showed ``broker`` when this host's showed ``host`` and the counter was
        ``at``, or both were up to ``unsure`` less or more.
        """
        expected = self._clock.real() - timedelta(seconds=steady() - at)
        apart = abs(broker - expected)
        # the way there and back does not explain it
        was_set = apart > self._unsure + unsure + AGREES
        if self.known.is_set() and was_set and apart > JUMP:
            log.error(
                "the broker's clock was set",
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
        """Once when it is wrong, once when it is right again."""
        assert self.ahead is not None
        off = abs(self.ahead) > OFF
        if off and not self._told:
            log.error(
                "this host's clock is wrong: the broker's time counts",
                stage=self._stage,
                seconds_ahead=round(self.ahead.total_seconds()),
            )
        elif self._told and not off:
            log.warning("this host's clock is right again", stage=self._stage)
        self._told = off
