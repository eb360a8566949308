"""Reads the topics into the feed's state, with plain consumers without a group.

They read all partitions and commit nothing. Every start reads the alerts and the registry from the
beginning (both are compacted) and the readings of the last hours. So the feed has no state of its
own to lose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from rpm_stream.app.feed.read_model import FeedState, is_over
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.security import kafka_client
from rpm_stream.knowledge.registry import RegistryError
from rpm_stream.pipeline.corrections import as_message
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
        state.put_readings(message)
    elif message is not None and message.action.action == "adopt":
        state.put_readings(as_message(message.action, message.patient, message.received_at))
    elif message is not None and message.action.action == "void":
        state.take_back(message.patient, message.action.readings)


def _log_unreadable(record: ConsumerRecord[bytes, bytes]) -> None:
    log.error(
        "feed.unreadable", topic=record.topic, partition=record.partition, offset=record.offset
    )


Apply = Callable[[FeedState, ConsumerRecord[bytes, bytes]], None]


async def follow_alerts(
    bootstrap: str, topic: str, state: FeedState, now: Callable[[], datetime]
) -> None:
    """Read the alerts from the beginning, for ever.

    ``state.ready`` is set once the records that were there at the start are read.
    """
    consumer = await _assigned(bootstrap, topic)
    try:
        partitions = consumer.assignment()
        await consumer.seek_to_beginning(*partitions)
        goal = await consumer.end_offsets(partitions)
        while True:
            await _apply_some(consumer, state, partial(apply_alert, now=now()))
            if not state.ready and all(
                [await consumer.position(p) >= end for p, end in goal.items()]
            ):
                state.ready = True
                state.touch()
    finally:
        await consumer.stop()


async def follow_registry(bootstrap: str, topic: str, state: FeedState) -> None:
    """Read the registry from the beginning, for ever."""
    consumer = await _assigned(bootstrap, topic)
    try:
        await consumer.seek_to_beginning(*consumer.assignment())
        while True:
            await _apply_some(consumer, state, apply_entry)
    finally:
        await consumer.stop()


async def follow_readings(
    bootstrap: str, topic: str, state: FeedState, now: Callable[[], datetime]
) -> None:
    """Read the readings from ``READ_BACK`` ago, for ever.

    At most ``READ_BACK_MESSAGES`` a partition are read back.
    """
    consumer = await _assigned(bootstrap, topic)
    try:
        partitions = consumer.assignment()
        since = int((now() - READ_BACK).timestamp() * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            by_time = found[partition]
            start = by_time.offset if by_time is not None else ends[partition]
            consumer.seek(
                partition, max(start, ends[partition] - READ_BACK_MESSAGES, starts[partition])
            )
        while True:
            await _apply_some(consumer, state, apply_readings)
    finally:
        await consumer.stop()


async def prune_for_ever(state: FeedState, now: Callable[[], datetime]) -> None:
    """Forget alerts that are over, once a minute."""
    while True:
        await asyncio.sleep(PRUNE_S)
        state.prune(now())


async def _apply_some(consumer: AIOKafkaConsumer, state: FeedState, apply: Apply) -> None:
    batches = await consumer.getmany(timeout_ms=500, max_records=200)
    for records in batches.values():
        for record in records:
            apply(state, record)
    await asyncio.sleep(0)  # lets viewers in between two batches of a long backlog


async def _assigned(bootstrap: str, topic: str) -> AIOKafkaConsumer:
    """Return a consumer of all partitions of ``topic``.

    Waits until the broker answers and the topic exists.
    """
    partitions = await _existing(bootstrap, topic)
    consumer = AIOKafkaConsumer(
        **kafka_client(bootstrap),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        await consumer.start()
    except BaseException:  # a cancellation too: the feed may end before the broker has answered
        await consumer.stop()
        raise
    consumer.assign(partitions)
    return consumer


async def _existing(bootstrap: str, topic: str) -> list[TopicPartition]:
    while True:
        admin = AIOKafkaAdminClient(**kafka_client(bootstrap))
        try:
            await admin.start()
            if partitions := await partitions_of(admin, topic):
                return partitions
            log.warning("feed.no_topic", topic=topic)
        except KafkaConnectionError:
            log.warning("feed.no_broker")
        finally:
            await admin.close()
        await asyncio.sleep(RETRY_S)


class Actions:
    """Sends people's decisions to ``rpm.actions``, keyed by patient."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._producer: Any = None  # an AIOKafkaProducer, from the first decision on
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
                producer = await self._running()
                sent: asyncio.Future[Any] = await producer.send(
                    self._topic, msgspec.json.encode(action), key=action.patient.encode()
                )
        except TimeoutError:
            raise KafkaTimeoutError from None
        sent.add_done_callback(partial(self._ended, producer))
        return sent

    def _ended(self, producer: Any, sent: asyncio.Future[Any]) -> None:
        """Stop a producer whose record failed.

        A failed record leaves a gap in the producer's sequence numbers, and the broker refuses all
        records behind it.
        """
        if self._producer is not producer or not (sent.cancelled() or sent.exception()):
            return
        self._producer = None
        self._leaving = asyncio.create_task(producer.stop())

    async def stop(self) -> None:
        """Flush and close."""
        if self._producer is not None:
            await self._producer.stop()

    async def _running(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **kafka_client(self._bootstrap),
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=10_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
