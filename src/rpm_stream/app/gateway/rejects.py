"""What the service refused of one gateway's devices, read back from the rejects topic."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Set
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError

from rpm_stream.app.gateway.link import Link, position
from rpm_stream.records import UNREADABLE, Reject

BATCH = 500  # messages that are read at a time

_log = structlog.get_logger(__name__)
_rejects = msgspec.json.Decoder(Reject)


async def rejects_of(devices: Set[str], link: Link) -> AsyncGenerator[Reject, None]:
    """The rejects of ``devices`` (read anew for each message), oldest first, without end.

    A reject's position is committed when the next is asked for, a round trip each: whoever stops in
    the middle of thousands is given none a second time that it had done with.
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
    """Note that all up to ``message`` are done with, unless the broker has given up a reader that
    was away for long: then they come again.
    """
    with suppress(CommitFailedError, IllegalStateError):
        await consumer.commit(dict([position(message)]))


def _own(message: ConsumerRecord, devices: Set[str]) -> Reject | None:
    """The reject, if it is about one of ``devices``."""
    if message.key is None or message.key.decode(errors="replace") not in devices:
        return None
    try:
        return _rejects.decode(message.value)
    except UNREADABLE:
        # Not what the contract says; the gateway can do nothing about it, and must not stop reading
        # for it.
        _log.error("gateway.reject_unreadable", partition=message.partition, offset=message.offset)
        return None
