"""The progress of a growth, as one record on a topic of its own, written after each step.

A stage that finds an unfinished growth does not start. An interrupted growth goes on from this
record.
"""

from __future__ import annotations

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from rpm_stream.app.kafka.clients import admin, consumer, producer
from rpm_stream.app.kafka.names import GROWTH
from rpm_stream.app.kafka.partitions import partitions_of
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
    async with admin(bootstrap) as client:
        if not await partitions_of(client, GROWTH):
            return None
    async with consumer(bootstrap) as reader:
        reader.assign([PLACE])
        end = (await reader.end_offsets([PLACE]))[PLACE]
        if not end:
            return None
        reader.seek(PLACE, end - 1)  # compaction never removes the last record
        found = await reader.getmany(PLACE, timeout_ms=int(PATIENCE_SECONDS * 1000))
    try:
        return _decode(found[PLACE][-1].value or b"")
    except (LookupError, msgspec.MsgspecError):
        raise UsageError(
            f"the last record of {GROWTH} cannot be read: a later release or another program wrote"
            " it"
        ) from None


async def write(bootstrap: str, growth: Growth, replication: int) -> None:
    """Make ``growth`` durable. Raises the broker's errors."""
    await _make_topic(bootstrap, replication)
    async with producer(bootstrap) as writer:
        await writer.send_and_wait(GROWTH, msgspec.json.encode(growth), key=KEY, partition=0)


async def _make_topic(bootstrap: str, replication: int) -> None:
    async with admin(bootstrap) as client:
        if await partitions_of(client, GROWTH):
            return
        wanted = NewTopic(GROWTH, 1, replication, topic_configs={"cleanup.policy": "compact"})
        for _name, code, *_ in (await client.create_topics([wanted])).topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                kind: type[KafkaError] = for_code(code)
                raise kind(GROWTH)
