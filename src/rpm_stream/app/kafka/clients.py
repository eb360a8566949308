"""Makes the service's Kafka clients, but for those of the agents and of the gateway.

A client signs in by the settings ``RPM_KAFKA_*``, is started, and is always stopped. aiokafka's own
contexts leave a client open that is cancelled while it starts, and an admin client has none. A
client that does not start raises BrokerAway or UsageError, always in the same words::

    async with admin(bootstrap) as client:
        await client.list_topics()

A client that has started raises aiokafka's own errors. ``answering`` turns those into one line too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from traceback import walk_tb
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from rpm_stream.app.kafka.abandon import abandon
from rpm_stream.app.kafka.partitions import not_allowed
from rpm_stream.app.kafka.refusal import not_started
from rpm_stream.app.kafka.security import Security, security
from rpm_stream.app.runtime.end import asked_to_end
from rpm_stream.app.runtime.errors import BrokerAway

# what to catch before another try: a client did not start, or lost its broker later
AWAY: Final = (BrokerAway, KafkaError, OSError)
STOPPING: Final[set[asyncio.Task[None]]] = set()  # holds them, as the loop does not


class _Client(Protocol):
    async def start(self) -> None: ...


@asynccontextmanager
async def consumer(bootstrap: str, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of all that is in ``topics``, or of what is assigned to it later.

    It commits nothing by itself. ``options``: aiokafka's own (``group_id``, …).
    """
    known = security()
    defaults = {"group_id": None, "enable_auto_commit": False, "auto_offset_reset": "earliest"}
    client = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, **known.arguments(), **(defaults | options)
    )
    try:
        await _start(client, bootstrap, known)
        yield client
    finally:
        await _stop(client.stop())


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer that neither loses nor doubles. ``options``: aiokafka's own.

    The end of the block waits until all is sent. After an error nothing more is sent: the broker
    may be away, and an idempotent producer would wait for it for ever.
    """
    known = security()
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        **known.arguments(),
        **({"enable_idempotence": True} | options),  # and so acks=all
    )
    try:
        await _start(client, bootstrap, known)
        yield client
        await client.stop()
    except BaseException:
        await abandon(client)
        raise


@asynccontextmanager
async def admin(
    bootstrap: str, request_timeout_ms: int = 40_000, known: Security | None = None
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client. ``known``: how it signs in; None: by the settings."""
    known = known or security()
    client = AIOKafkaAdminClient(
        bootstrap_servers=bootstrap, request_timeout_ms=request_timeout_ms, **known.arguments()
    )
    try:
        await _start(client, bootstrap, known)
        yield client
    finally:
        await _stop(client.close())


async def _start(client: _Client, bootstrap: str, known: Security) -> None:
    try:
        await client.start()
    except asyncio.CancelledError as error:
        _close_first(error)
        if asked_to_end():
            raise
        raise await not_started(bootstrap, error, known) from None
    except (KafkaError, OSError, ValueError) as error:
        raise await not_started(bootstrap, error, known) from None


async def _stop(stopping: Coroutine[Any, Any, None]) -> None:
    """Wait for a stop, which goes on in the background when the caller is cancelled meanwhile."""
    task = asyncio.create_task(stopping)
    STOPPING.add(task)
    task.add_done_callback(STOPPING.discard)
    await asyncio.shield(task)


def _close_first(error: asyncio.CancelledError) -> None:
    """Close the first connection of a client that was cancelled while it asked for the brokers.

    aiokafka holds that connection in a local variable alone, so that ``stop`` does not close it.
    """
    for frame, _ in walk_tb(error.__traceback__):
        connection = frame.f_locals.get("bootstrap_conn")
        if isinstance(connection, AIOKafkaConnection):
            connection.close()


@asynccontextmanager
async def answering(bootstrap: str) -> AsyncIterator[None]:
    """Raise BrokerAway when a client inside the block loses its broker, and UsageError for a topic
    that is hidden from this user.

    A client that loses its broker cancels the futures of unanswered requests. The caller gets an
    error of the broker instead of that cancellation, because its own task was not cancelled.
    """
    try:
        yield
    except TopicAuthorizationFailedError as error:
        raise not_allowed(error) from None
    except (KafkaError, OSError) as error:
        raise gone(bootstrap, error) from None
    except asyncio.CancelledError as error:
        if asked_to_end():  # Ctrl-C, or the end of the program
            raise
        raise gone(bootstrap, error) from None


def gone(bootstrap: str, error: BaseException) -> BrokerAway:
    """Return the error to raise when a started client lost its broker."""
    return BrokerAway(
        f"Kafka at {bootstrap} does not answer any more ({type(error).__name__}): run it again"
        " when it is back"
    )
