"""Reads the topics into the feed's state, with plain consumers without a group.

They read all partitions and commit nothing. Every start reads the alerts and the registry from the
beginning (both are compacted) and the readings of the last hours. So the feed has no state of its
own to lose.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from rpm_stream.app.feed.read_model import FeedState, is_over
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.clients import admin, consumer, producer
from rpm_stream.app.kafka.follow import follow
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime.errors import BrokerAway
from rpm_stream.knowledge.registry import RegistryError
from rpm_stream.pipeline.holdings import as_message
from rpm_stream.pipeline.order import read_message
from rpm_stream.pipeline.stored_entry import read_entry
from rpm_stream.records import UNREADABLE, Action, Alert, Readings

READ_BACK = timedelta(hours=24)  # of append time, for the charts at a start
READ_BACK_MESSAGES = 100_000  # at most so many a partition, so that a start takes seconds
RETRY_S = 1.0
PRUNE_S = 60.0
ENTER_S = 5.0  # how long a decision may wait for the first contact with the broker

log = structlog.get_logger("rpm_stream.feed")
_alert = msgspec.json.Decoder(Alert)


@dataclass(frozen=True, slots=True)
class Sources:
    """The topics that the feed reads and writes.

    ``groups`` holds the consumer groups that it watches, each with its input topics.
    """

    alerts: str = names.ALERTS
    registry: str = names.REGISTRY
    readings: str = names.READINGS
    actions: str = names.ACTIONS
    groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(names.GROUPS))


def apply_alert(state: FeedState, record: ConsumerRecord[bytes, bytes], now: datetime) -> None:
    """Apply a message of ``rpm.alerts``.

    An unreadable one is counted and shown, because it could be a red alert. An alert that is over
    is not kept, because a long topic holds every alert that ever existed.
    """
    if record.value is None:
        state.remove_alert((record.key or b"").decode(errors="replace"))
        return
    try:
        alert = _alert.decode(record.value)
    except UNREADABLE:
        state.unreadable += 1
        state.touch()
        _log_unreadable(record)
        return
    if is_over(alert, now):
        state.remove_alert(alert.id)
    else:
        state.put_alert(alert)


def apply_entry(state: FeedState, record: ConsumerRecord[bytes, bytes]) -> None:
    """Apply a message of ``rpm.registry``."""
    if record.value is None:
        state.registry.remove((record.key or b"").decode(errors="replace"))
        state.touch()
        return
    try:
        state.put_entry(read_entry(record.value).entry)
    except RegistryError:
        _log_unreadable(record)


def apply_readings(state: FeedState, record: ConsumerRecord[bytes, bytes]) -> None:
    """Apply a message of ``rpm.readings``.

    Readings that a person took back leave the charts, and enter those of the patient that they were
    given to. A decision about an alert draws nothing, because the alert shows its result.
    """
    try:
        message = None if record.value is None else read_message(record.value)
    except UNREADABLE:
        _log_unreadable(record)
        return
    if isinstance(message, Readings):
        state.readings.put(message)
    elif message is not None and message.action.action == "adopt":
        state.readings.put(as_message(message.action, message.patient, message.received_at))
    elif message is not None and message.action.action == "void":
        state.readings.take_back(message.patient, message.action.readings)


def _log_unreadable(record: ConsumerRecord[bytes, bytes]) -> None:
    log.error(
        "feed.unreadable", topic=record.topic, partition=record.partition, offset=record.offset
    )


async def follow_alerts(
    bootstrap: str, topic: str, state: FeedState, now: Callable[[], datetime]
) -> None:
    """Read the alerts from the beginning, for ever.

    ``state.ready`` is set once the records that were there at the start are read.
    """

    def ready() -> None:
        state.ready = True
        state.touch()

    async with _assigned(bootstrap, topic) as reader:
        await follow(reader, lambda record: apply_alert(state, record, now()), ready)


async def follow_registry(bootstrap: str, topic: str, state: FeedState) -> None:
    """Read the registry from the beginning, for ever."""
    async with _assigned(bootstrap, topic) as reader:
        await follow(reader, partial(apply_entry, state))


async def follow_readings(
    bootstrap: str, topic: str, state: FeedState, now: Callable[[], datetime]
) -> None:
    """Read the readings from ``READ_BACK`` ago, for ever.

    At most ``READ_BACK_MESSAGES`` a partition are read back.
    """
    async with _assigned(bootstrap, topic) as reader:
        partitions = reader.assignment()
        since = int((now() - READ_BACK).timestamp() * 1000)
        found = await reader.offsets_for_times(dict.fromkeys(partitions, since))
        ends = await reader.end_offsets(partitions)
        starts = await reader.beginning_offsets(partitions)
        for partition in partitions:
            by_time = found[partition]
            start = by_time.offset if by_time is not None else ends[partition]
            reader.seek(
                partition, max(start, ends[partition] - READ_BACK_MESSAGES, starts[partition])
            )
        await follow(reader, partial(apply_readings, state))


async def prune_for_ever(state: FeedState, now: Callable[[], datetime]) -> None:
    """Forget alerts that are over, once a minute."""
    while True:
        await asyncio.sleep(PRUNE_S)
        state.prune(now())


@asynccontextmanager
async def _assigned(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions of ``topic``, from their beginning on.

    Waits until the broker answers and the topic exists.
    """
    partitions = await _existing(bootstrap, topic)
    async with consumer(bootstrap, isolation_level="read_committed") as reader:
        reader.assign(partitions)
        yield reader


async def _existing(bootstrap: str, topic: str) -> list[TopicPartition]:
    while True:
        try:
            async with admin(bootstrap) as client:
                if partitions := await partitions_of(client, topic):
                    return partitions
            log.warning("feed.no_topic", topic=topic)
        except (BrokerAway, KafkaConnectionError):
            log.warning("feed.no_broker")
        await asyncio.sleep(RETRY_S)


class Actions:
    """Sends people's decisions to ``rpm.actions``, keyed by patient."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        # from the first decision on, and what stops it
        self._producer: AIOKafkaProducer | None = None
        self._open = AsyncExitStack()
        self._starting = asyncio.Lock()
        # an unusable producer, until it has stopped
        self._leaving: asyncio.Task[None] | None = None

    async def send(self, action: Action) -> asyncio.Future[Any]:
        """Enter an action, and return a future that ends when the broker has it.

        After a broker has gone away that may take long. Raises KafkaError where the action could
        not be entered. It is not sent later then either.
        """
        try:
            async with asyncio.timeout(ENTER_S):
                writer = await self._running()
                sent: asyncio.Future[Any] = await writer.send(
                    self._topic, msgspec.json.encode(action), key=action.patient.encode()
                )
        except BrokerAway as error:
            raise KafkaConnectionError(error) from None
        except TimeoutError:
            raise KafkaTimeoutError from None
        sent.add_done_callback(partial(self._ended, writer))
        return sent

    def _ended(self, writer: Any, sent: asyncio.Future[Any]) -> None:
        """Stop a producer whose record failed.

        A failed record leaves a gap in the producer's sequence numbers, and the broker refuses all
        records behind it.
        """
        if self._producer is not writer or not (sent.cancelled() or sent.exception()):
            return
        self._producer = None
        self._leaving = asyncio.create_task(self._open.pop_all().aclose())

    async def stop(self) -> None:
        """Flush and close."""
        await self._open.aclose()

    async def _running(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                self._producer = await self._open.enter_async_context(
                    producer(self._bootstrap, request_timeout_ms=10_000)
                )
            return self._producer
