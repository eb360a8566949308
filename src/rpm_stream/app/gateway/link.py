"""The gateway's Kafka clients: an exact producer and a consumer of the rejects.

The producer neither loses nor duplicates frames. Starting a client waits without limit for a broker
that is away. In the meantime the spool holds what there is to send.
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
    """The settings of a gateway that a deployment may change.

    ``kafka`` is passed to aiokafka as it is (``security_protocol``, ``sasl_mechanism``, …).
    """

    topic: str = FRAMES
    rejects_topic: str = REJECTS
    # Most bytes of the spool file. None: as much as the disk has. A ballast of at most 8 MiB is
    # kept beside the file.
    max_spool_bytes: int | None = None
    # Bytes a second at which a backlog is sent, beside one frame of each device at once. The
    # default is half of what one worker takes, so that a backlog of a day from one gateway delays
    # no other gateway. None: as fast as the broker takes it.
    catch_up_octets: int | None = 512 * 1024
    # seconds for which leaving the context waits for the broker; the rest stays in the spool
    close_within: float = 10.0
    retry_first: float = 0.2  # seconds
    retry_longest: float = 15.0  # seconds
    metrics_host: str = "127.0.0.1"
    # port of /metrics; None: no port (``Gateway.meters`` has the values)
    metrics_port: int | None = None
    clock: Callable[[], datetime] = _wall_clock
    # value texts that the service's placeholders.toml names; they are sent as they are
    placeholders: frozenset[str] = frozenset()
    kafka: Mapping[str, Any] = field(default_factory=dict)


# for simulated and recorded data, where no live value waits beside a backlog
AT_FULL_SPEED = GatewayOptions(catch_up_octets=None)


class KafkaLink:
    """Creates and starts producers and consumers for one gateway."""

    def __init__(self, bootstrap: str, name: str, options: GatewayOptions) -> None:
        """``name`` is the client id and the consumer group."""
        self._bootstrap = bootstrap
        self._name = name
        self._options = options

    async def producer(self) -> AIOKafkaProducer:
        """Return a started idempotent producer.

        With idempotence aiokafka never gives up a batch that it has accepted.
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
        """Return a started consumer of the rejects.

        It starts at the oldest reject and commits only when the caller asks for it.
        """
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
                _log.warning("gateway.broker_away", kind=type(error).__name__, retry_s=wait)
            except BaseException:
                await client.stop()
                raise
            else:
                return client
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, self._options.retry_longest)


def position(message: ConsumerRecord) -> tuple[TopicPartition, int]:
    """Return the partition and the offset to commit once ``message`` is done with."""
    return TopicPartition(message.topic, message.partition), message.offset + 1
