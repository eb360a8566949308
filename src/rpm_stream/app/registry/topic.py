"""Reading and writing ``rpm.registry`` from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from aiokafka.errors import InvalidTimestampError, KafkaError

from rpm_stream.app.kafka.clients import gone, producer
from rpm_stream.app.kafka.layout import REGISTRY_WRITER, layout_of
from rpm_stream.app.kafka.names import REGISTRY
from rpm_stream.app.kafka.preflight import partition_counts
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge.registry import Registry, RegistryError, entry_key, parse_entry
from rpm_stream.records import RegistryEntry

PATIENCE_SECONDS = 30.0


def _away(bootstrap: str, error: BaseException) -> UsageError:
    if isinstance(error, UsageError):
        return error
    if isinstance(error, InvalidTimestampError):
        return UsageError(
            "Kafka refused it: the clock of this machine is over an hour ahead of Kafka's"
        )
    return gone(bootstrap, error)


async def write(bootstrap: str, entries: Iterable[RegistryEntry]) -> None:
    """Write entries durably.

    Raises UsageError when the broker is away or lacks the topic, or when an entry is unreadable. It
    also refuses while the topics grow or would have to grow, because an old entry would overtake
    one in the wrong partition.
    """
    sent = [(entry_key(entry), msgspec.json.encode(entry)) for entry in entries]
    try:
        for _, value in sent:
            parse_entry(value)
    except RegistryError as error:
        raise UsageError(f"not a registry entry: {error}") from None
    await partition_counts(bootstrap, (REGISTRY,))
    await layout_of(bootstrap, REGISTRY_WRITER)
    try:
        async with producer(bootstrap) as writer:
            futures = [await writer.send(REGISTRY, value, key=key.encode()) for key, value in sent]
            await asyncio.wait_for(asyncio.gather(*futures), PATIENCE_SECONDS)
    except (KafkaError, TimeoutError) as error:
        raise _away(bootstrap, error) from None


async def read(bootstrap: str) -> Registry:
    """Return the present registry. Raises UsageError when the broker is away or lacks the topic."""
    await partition_counts(bootstrap, (REGISTRY,))
    reader = RegistryReader(bootstrap)
    task = asyncio.create_task(reader.run())
    ready = asyncio.create_task(reader.ready.wait())
    try:
        await asyncio.wait(
            [task, ready], timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not reader.ready.is_set():
            ended = task.done() and not task.cancelled()
            raise _away(bootstrap, (task.exception() if ended else None) or TimeoutError())
    finally:
        ready.cancel()
        task.cancel()
        await asyncio.gather(task, ready, return_exceptions=True)
    return reader.registry
