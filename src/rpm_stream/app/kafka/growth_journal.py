"""The progress of a growth, as one record on a topic of its own, written after each step.

A stage that finds an unfinished growth does not start. An interrupted growth goes on from this
record.
"""

from __future__ import annotations

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from rpm_stream.app.kafka.names import GROWTH
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.security import kafka_client
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.records import Record

KEY = b"growth"
PLACE = TopicPartition(GROWTH, 0)
PATIENCE_SECONDS = 30.0


class Proof(Record, frozen=True, kw_only=True):
    """The moved records of a compacted topic.

    ``keys`` is their number, and ``digest`` a SHA-256 over each key with the checksum of its newest
    record.
    """

    keys: int
    digest: str


class Growth(Record, frozen=True, kw_only=True):
    """One growth. All maps are by topic, then by partition.

    ``was`` holds the partitions before. ``cuts`` holds offsets: the records before them were there
    before the growth and are moved. ``commits`` holds the committed offsets of the topic's reader
    at that time. ``taken`` lists the queues that are done.

    ``proofs`` holds the compacted topics whose moved records were compared and found equal. Only
    those may be cut off. ``cut_off`` lists those where that is done. ``settings`` holds a topic's
    own configuration while it is changed.
    """

    v: int = 1
    partitions: int
    was: dict[str, int]
    cuts: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    commits: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    taken: tuple[str, ...] = ()
    proofs: dict[str, Proof] = msgspec.field(default_factory=dict)
    settings: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    cut_off: tuple[str, ...] = ()
    done: bool = False


_decode = msgspec.json.Decoder(Growth).decode


async def last_growth(bootstrap: str) -> Growth | None:
    """Return the newest growth of this broker's topics, or None when they never grew.

    Raises the broker's errors, UsageError.
    """
    admin = AIOKafkaAdminClient(**kafka_client(bootstrap))
    try:
        await admin.start()
        if not await partitions_of(admin, GROWTH):
            return None
    finally:
        await admin.close()
    consumer = AIOKafkaConsumer(**kafka_client(bootstrap), group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([PLACE])
        end = (await consumer.end_offsets([PLACE]))[PLACE]
        if not end:
            return None
        consumer.seek(PLACE, end - 1)  # compaction never removes the last record
        found = (await consumer.getmany(PLACE, timeout_ms=int(PATIENCE_SECONDS * 1000))).get(
            PLACE, []
        )
    finally:
        await consumer.stop()
    try:
        return _decode(found[-1].value or b"")
    except (IndexError, msgspec.MsgspecError):
        raise UsageError(
            f"the last record of {GROWTH} cannot be read: a later release or another program wrote"
            " it"
        ) from None


async def write(bootstrap: str, growth: Growth, replication: int) -> None:
    """Make ``growth`` durable. Raises the broker's errors."""
    await _make_topic(bootstrap, replication)
    producer = AIOKafkaProducer(**kafka_client(bootstrap), enable_idempotence=True, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(GROWTH, msgspec.json.encode(growth), key=KEY, partition=0)
    finally:
        await producer.stop()


async def _make_topic(bootstrap: str, replication: int) -> None:
    admin = AIOKafkaAdminClient(**kafka_client(bootstrap))
    try:
        await admin.start()
        if await partitions_of(admin, GROWTH):
            return
        wanted = NewTopic(GROWTH, 1, replication, topic_configs={"cleanup.policy": "compact"})
        for _name, code, *_ in (await admin.create_topics([wanted])).topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                kind: type[KafkaError] = for_code(code)
                raise kind(GROWTH)
    finally:
        await admin.close()
