"""The gateway's side of Kafka: a producer that neither loses nor doubles, a consumer of the
rejects, and patience.

Starting waits for a broker that is away, without end: the spool holds what there is to send
meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from rpm_stream.app.kafka.names import FRAMES, REJECTS

Client = TypeVar("Client", AIOKafkaProducer, AIOKafkaConsumer)

_log = structlog.get_logger(__name__)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """What a deployment may set.

    ``kafka`` goes to aiokafka as it is (``security_protocol``, ``sasl_mechanism``, …).
    """

    topic: str = FRAMES
    rejects_topic: str = REJECTS
    # None: as much as the disk has; beside it a ballast, 8 MiB at most
    max_spool_bytes: int | None = None
    # What waits goes out at so many octets a second, beside one frame of each device at once: half
    # of what one worker takes, so that a day that one gateway stored delays nobody else. None: as
    # fast as the broker takes it.
    catch_up_octets: int | None = 512 * 1024
    # seconds that leaving the context waits for the broker; the rest stays in the spool
    close_within: float = 10.0
    retry_first: float = 0.2  # seconds
    retry_longest: float = 15.0  # seconds
    metrics_host: str = "127.0.0.1"
    # where /metrics shows the spool; None: nowhere (``Gateway.meters`` has it)
    metrics_port: int | None = None
    clock: Callable[[], datetime] = _wall_clock
    # values that the service's placeholders.toml names: they go as they are
    placeholders: frozenset[str] = frozenset()
    kafka: Mapping[str, Any] = field(default_factory=dict)


# of simulated and recorded data: nobody waits beside it
AT_FULL_SPEED = GatewayOptions(catch_up_octets=None)


class Link:
    """Makes started producers and consumers for one gateway."""

    def __init__(self, bootstrap: str, name: str, options: GatewayOptions) -> None:
        """``name`` is the client id and the consumer group."""
        self._bootstrap = bootstrap
        self._name = name
        self._options = options

    async def producer(self) -> AIOKafkaProducer:
        """An idempotent producer, started: with idempotence aiokafka never gives up a batch that
        it has taken.
        """
        return await self._started(
            lambda: AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._name,
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                linger_ms=5,
                **self._options.kafka,
            )
        )

    async def consumer(self) -> AIOKafkaConsumer:
        """A consumer of the rejects, started; it begins at the oldest and commits when told."""
        return await self._started(
            lambda: AIOKafkaConsumer(
                self._options.rejects_topic,
                bootstrap_servers=self._bootstrap,
                group_id=self._name,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                **self._options.kafka,
            )
        )

    async def _started(self, make: Callable[[], Client]) -> Client:
        wait = self._options.retry_first
        while True:
            client = make()
            try:
                await client.start()
            except (KafkaError, OSError) as error:
                await client.stop()
                _log.warning("gateway_broker_away", kind=type(error).__name__, retry_s=wait)
            except BaseException:
                await client.stop()
                raise
            else:
                return client
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, self._options.retry_longest)


def position(message: ConsumerRecord) -> tuple[TopicPartition, int]:
    """What to commit once ``message`` is done with."""
    return TopicPartition(message.topic, message.partition), message.offset + 1
