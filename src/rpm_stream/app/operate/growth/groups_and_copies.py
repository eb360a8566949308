"""The requests of a growth to the broker: groups, commits, partitions, copies and deletion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from time import monotonic

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.codec import gzip_encode
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, PolicyViolationError, for_code
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from rpm_stream.app.kafka.clients import consumer, producer
from rpm_stream.app.kafka.lag import live_members, offsets_of
from rpm_stream.app.kafka.moved import MovedFrom, headers_of, origin_of
from rpm_stream.app.kafka.range_reader import KafkaClients, ReportProgress, Spans, records
from rpm_stream.app.runtime.errors import UsageError

SHOWN_SECONDS = 15.0
POLL_SECONDS = 0.2
AT_ONCE = 500  # copies between two waits for the broker
# Bytes of a message before it is compressed: above what a broker takes or a client packs.
MOST_BYTES = 64 * 1024 * 1024
# Bytes, more than Kafka adds to a record with this header: 61 for the batch, and some lengths.
BATCH_BYTES = 512
SET_ON_TOPIC = 1  # Kafka's ConfigSource DYNAMIC_TOPIC_CONFIG


async def living(admin: AIOKafkaAdminClient, groups: Iterable[str], seconds: float) -> list[str]:
    """Return those of ``groups`` that have members and still have them after ``seconds``.

    By then the broker has given up a member that was killed.
    """
    end = monotonic() + seconds
    while True:
        found = [group for group in groups if await live_members(admin, group)]
        if not found or monotonic() > end:
            return found
        await asyncio.sleep(1.0)


async def groups_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, dict[int, int]]:
    """Return the commits of every group that has any in ``topic``, by group and partition."""
    found = {}
    for name in sorted({each[0] for each in await admin.list_consumer_groups()}):
        if commits := await offsets_of(admin, name, topic):
            found[name] = commits
    return found


async def commit(bootstrap: str, group: str, topic: str, places: Mapping[int, int]) -> None:
    """Set the offsets from which ``group`` continues. The broker refuses while it has members.

    The commit has no metadata. The position in a changelog's partition that an agent noted there is
    no longer right after a growth.
    """
    async with consumer(bootstrap, group_id=group) as member:
        member.assign([TopicPartition(topic, number) for number in places])
        await member.commit(
            {
                TopicPartition(topic, number): OffsetAndMetadata(offset, "")
                for number, offset in places.items()
            }
        )


async def add_partitions(broker: KafkaClients, wanted: Mapping[str, int]) -> None:
    """Give each topic as many partitions as wanted.

    Returns when both the broker and this process's consumer show them.
    """
    admin = broker.admin
    for topic, count in wanted.items():
        await admin.create_partitions({topic: NewPartitions(count)})
    async with asyncio.timeout(SHOWN_SECONDS):
        while True:
            described = {
                each["topic"]: each["partitions"] for each in await admin.describe_topics()
            }
            led = {
                topic: sum(part["leader"] >= 0 for part in described.get(topic, ()))
                for topic in wanted
            }
            if all(led[topic] >= count for topic, count in wanted.items()):
                break
            await asyncio.sleep(POLL_SECONDS)
    # The consumer's metadata may be minutes old and lack all the new partitions.
    await broker.consumer._client.force_metadata_update()


class Copier:
    """Writes copies of records into given partitions, with their time and their former place."""

    def __init__(self, writer: AIOKafkaProducer, copied: set[MovedFrom]) -> None:
        """Use ``writer``. ``copied`` holds the places that an earlier run has copied already."""
        self._writer = writer
        self._copied = copied
        self._sent: list[tuple[ConsumerRecord, asyncio.Future[object]]] = []
        self.count = 0

    async def copy(self, record: ConsumerRecord, partition: int) -> None:
        """Write a copy of ``record``, unless that was done already.

        Raises ``UsageError`` if the broker takes no copy of it.
        """
        if (record.partition, record.offset) in self._copied:
            return
        try:
            sent = await self._writer.send(
                record.topic,
                record.value,
                key=record.key,
                partition=partition,
                timestamp_ms=record.timestamp,
                headers=headers_of(record),
            )
        except MessageSizeTooLargeError:
            raise too_large(record) from None
        self._sent.append((record, sent))
        self.count += 1
        if len(self._sent) >= AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        """Return when the broker has all copies. Raises ``UsageError`` like ``copy``."""
        sent = self._sent
        self._sent = []
        found = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        for (record, _), result in zip(sent, found, strict=True):
            if isinstance(result, MessageSizeTooLargeError):
                raise too_large(record)
            if isinstance(result, BaseException):
                raise result


@asynccontextmanager
async def copying(bootstrap: str, copied: set[MovedFrom]) -> AsyncIterator[Copier]:
    """Yield a copier. All of its records are durable when the block ends."""
    async with producer(
        bootstrap, max_request_size=MOST_BYTES, linger_ms=5, compression_type="gzip"
    ) as writer:
        copier = Copier(writer, copied)
        yield copier
        await copier.flush()


async def copied_after(
    broker: KafkaClients, tail: Spans, progress: ReportProgress
) -> set[MovedFrom]:
    """Return the former places of the copies in ``tail``."""
    found: set[MovedFrom] = set()
    async for batch in records(broker, tail, progress):
        found.update(origin for origin in map(origin_of, batch) if origin is not None)
    return found


def too_large(record: ConsumerRecord) -> UsageError:
    """Return the error that names what a person must do before a growth can take ``record``."""
    return UsageError(
        f"{record.topic}: the record at {record.partition}:{record.offset} has"
        f" {len(record.value or b'')} bytes, and Kafka would take no copy of it: raise"
        f" max.message.bytes of {record.topic}, then run it again"
    )


def fits(record: ConsumerRecord, most: int) -> bool:
    """Whether a topic with batches of at most ``most`` bytes takes a compressed copy of it."""
    value = record.value or b""
    rest = BATCH_BYTES + len(record.key or b"")
    rest += sum(len(name) + len(content or b"") for name, content in record.headers)
    if rest + len(value) <= most:
        return True
    return len(value) <= MOST_BYTES - rest and rest + len(gzip_encode(value)) <= most


async def largest_batch(admin: AIOKafkaAdminClient, topic: str) -> int:
    """Return the most bytes of a batch of ``topic``.

    Raises the broker's error, or ``UsageError`` if the broker does not report the setting.
    """
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for code, message, _kind, _name, entries in response.resources:
            _raise_for(code, f"{topic}: {message}")
            for entry in entries:
                if entry[0] == "max.message.bytes":
                    return int(entry[1])
    raise UsageError(f"{topic}: Kafka does not report its max.message.bytes")


async def own_settings(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """Return the settings that are set on the topic itself."""
    found: dict[str, str] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for code, message, _kind, _name, entries in response.resources:
            _raise_for(code, f"{topic}: {message}")
            found |= {entry[0]: entry[1] or "" for entry in entries if entry[3] == SET_ON_TOPIC}
    return found


async def configure(admin: AIOKafkaAdminClient, topic: str, settings: Mapping[str, str]) -> None:
    """Replace all settings that are set on the topic itself."""
    for response in await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))]
    ):
        for code, message, *_ in response.resources:
            _raise_for(code, f"{topic}: {message}")


async def cut_off(admin: AIOKafkaAdminClient, topic: str, before: Mapping[int, int]) -> None:
    """Delete the records before an offset of each partition.

    The topic must allow deletion (see ``deletable``).
    """
    end = monotonic() + SHOWN_SECONDS
    places = {
        TopicPartition(topic, number): RecordsToDelete(offset)
        for number, offset in before.items()
        if offset
    }
    while places:
        try:
            await admin.delete_records(places)
        except PolicyViolationError:  # the broker has not seen the new configuration yet
            if monotonic() > end:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


def deletable(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with which Kafka deletes on request only, and nothing by itself."""
    return {
        **settings,
        "cleanup.policy": "compact,delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }


def _raise_for(code: int, text: str) -> None:
    if code:
        kind: type[KafkaError] = for_code(code)
        raise kind(text)
