"""The Faust application of one agent, with its settings, transport and table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

import faust
from faust.transport.drivers import aiokafka as driver

from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.consumer import BatchConsumer
from rpm_stream.app.engine.delivery import BatchSchema
from rpm_stream.app.engine.pulse import Pulse
from rpm_stream.app.engine.recovery import BatchTableManager
from rpm_stream.app.kafka.security import security
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.end import EXIT_STUCK, die
from rpm_stream.app.runtime.private import private_folder
from rpm_stream.app.runtime.settings import Settings

SESSION_SECONDS = 10.0  # with Faust's 60 s the patients of a killed worker wait a minute
HEARTBEAT_SECONDS = 2.0
# A spare worker has nothing to poll. `watch` notices a worker that should poll and does not.
MAX_IDLE_SECONDS = 7 * 86_400.0
# the session runs from the last heartbeat
STILL_SECONDS = SESSION_SECONDS - HEARTBEAT_SECONDS - 1.0

# topic, key, value, partition (None: by key)
Outgoing = tuple[str, bytes | None, bytes, int | None]


class Copy(tuple[str, bytes | None, bytes, int | None]):
    """An ``Outgoing`` with headers, for a record that is copied within its topic."""

    headers: list[tuple[str, bytes]]

    def __new__(cls, record: Outgoing, headers: list[tuple[str, bytes]]) -> Copy:
        """``record`` with ``headers``."""
        made = super().__new__(cls, record)
        made.headers = headers
        return made


class IdempotentProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer made idempotent, so a retry writes no second copy.

    Batches do not expire under retries.
    """

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send_all(self, records: Iterable[Outgoing]) -> list[asyncio.Future[Any]]:
        """Hand records over. The futures carry the answers of the broker."""
        self.app.pulse.check()
        self.app.consumer.end_if_outside()
        producer = self._ensure_producer()
        # the broker refuses a stamp of more than an hour from now
        stamp = self.app.clock.stamp()
        return [
            await producer.send(
                record[0],
                value=record[2],
                key=record[1],
                partition=record[3],
                timestamp_ms=stamp,
                headers=record.headers if isinstance(record, Copy) else None,
            )
            for record in records
        ]


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Faust's transport with the consumer and the producer of this package."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer


class BatchApp(faust.App):  # type: ignore[misc]
    """Faust's application with ``BatchTransport``.

    Once its ``pulse`` has begun, a process that stood still for too long writes nothing more.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.pulse = Pulse(STILL_SECONDS, _stood_still)
        # drops the waiting records, and returns when all others are written
        self.let_go: Callable[[], Awaitable[None]] = _nothing_held
        self.clock = Clock()  # stamps records and dates held states
        self.states: BytesTable | None = None
        super().__init__(*args, **kwargs)

    async def _stop_consumer(self) -> None:
        """Drop the deliveries that have not begun, then stop.

        Faust waits here for all deliveries. Those that are dropped are read again.
        """
        if self._consumer is not None:
            await self._consumer.let_go()
        await super()._stop_consumer()

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return BatchTransport(self.conf.broker_producer, self)


def new_app(group: str, partitions: int, settings: Settings) -> BatchApp:
    """A Faust application whose consumer group is ``group``."""
    # Faust needs a folder, but the memory store writes nothing into it.
    scratch = settings.data_dir / "faust" / group
    private_folder(scratch)
    return BatchApp(
        group,
        broker=";".join(f"kafka://{host.strip()}" for host in settings.bootstrap.split(",")),
        broker_credentials=security().faust(),
        store="memory://",
        Table=BytesTable,
        TableManager=BatchTableManager,
        datadir=scratch,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        consumer_group_instance_id=f"{group}-{settings.instance}" if settings.instance else None,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=MAX_IDLE_SECONDS,
        broker_max_poll_records=500,
        stream_buffer_maxsize=65_536,
        stream_wait_empty=True,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=1_048_576,
        producer_max_request_size=4_194_304,
        producer_compression_type="zstd",
        table_standby_replicas=0,
        topic_partitions=partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        web_enabled=False,
    )


def source(app: BatchApp, topic: str, partitions: int) -> Any:
    """A topic that an agent reads, as whole fetches without decoding."""
    schema = BatchSchema(
        key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
    return app.topic(topic, schema=schema, partitions=partitions)


def state_table(app: BatchApp, topic: str, partitions: int) -> BytesTable:
    """The table of an agent's states by key of ``topic``, each a sealed blob.

    Its changelog is compacted often, so recovery is short.
    """
    table: BytesTable = app.Table(
        "state",
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        extra_topic_configs={
            "segment.bytes": "16777216",
            "segment.ms": "60000",
            "min.cleanable.dirty.ratio": "0.1",
        },
    )
    table.source = topic
    app.states = table
    return table


async def _nothing_held() -> None:
    """Let go of nothing: the default of an application without work."""


def _stood_still() -> NoReturn:
    die(
        "engine.stood_still",
        EXIT_STUCK,
    )
