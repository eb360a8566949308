"""The service's rejects of one gateway's devices, read from the rejects topic."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Set
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError

from rpm_stream.app.gateway.link import KafkaLink, position
from rpm_stream.records import UNREADABLE, Reject

BATCH = 500  # messages read at a time

_log = structlog.get_logger(__name__)
_rejects = msgspec.json.Decoder(Reject)


async def rejects_of(devices: Set[str], link: KafkaLink) -> AsyncGenerator[Reject, None]:
    """Yield the rejects of ``devices``, oldest first, without end.

    ``devices`` is looked at for each message, so it may grow. A reject's position is committed when
    the caller asks for the next one, which costs a round trip each. A caller that stops in the
    middle of thousands does not get those again that it has handled.
    """
    consumer = await link.consumer()
    try:
        while True:
            for messages in (await consumer.getmany(timeout_ms=1000, max_records=BATCH)).values():
                for message in messages:
                    reject = _own(message, devices)
                    if reject is not None:
                        yield reject
                        await _commit(consumer, message)
                await _commit(consumer, messages[-1])
    finally:
        await consumer.stop()


async def _commit(consumer: Any, message: ConsumerRecord) -> None:
    """Commit the position after ``message``.

    A broker that has dropped this reader after a long pause refuses. The messages then come again.
    """
    with suppress(CommitFailedError, IllegalStateError):
        await consumer.commit(dict([position(message)]))


def _own(message: ConsumerRecord, devices: Set[str]) -> Reject | None:
    """Return the reject if it is about one of ``devices``."""
    if message.key is None or message.key.decode(errors="replace") not in devices:
        return None
    try:
        return _rejects.decode(message.value)
    except UNREADABLE:
        # It does not follow the contract. The gateway cannot change that, and must not stop reading
        # for it.
        _log.error("gateway.reject_unreadable", partition=message.partition, offset=message.offset)
        return None
