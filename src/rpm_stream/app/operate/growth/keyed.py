"""Moves the compacted topics of a growth.

What counts of each key is written into the key's new partition and compared, and then the old
records are deleted. Of alerts every record moves, and of the other topics the newest of each key.

No record of a key may stay in the old partition. A later reader would take the last record there
for new. A record without a value behind it would end an alert that is open elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.growth_journal import Growth, Proof
from rpm_stream.app.kafka.merged import Reader
from rpm_stream.app.kafka.moved import MovedFrom, origin_of
from rpm_stream.app.kafka.names import ALERTS, REGISTRY, STATE_INGEST, STATE_JUDGE
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.kafka.range_reader import KafkaClients, ReportProgress, Spans, records, starts
from rpm_stream.app.operate.growth.groups_and_copies import copied_after, copying
from rpm_stream.app.operate.growth.queues import tail_of
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.pipeline.held import read_held
from rpm_stream.pipeline.patient_codec import check_patient
from rpm_stream.pipeline.state_envelope import StateError, check_device

KEYED = (REGISTRY, ALERTS, STATE_INGEST, STATE_JUDGE)
EVERY_RECORD = (ALERTS,)  # for 7 days every transition can be read (topics/README.md)

CHECKS: Mapping[str, Callable[[bytes], None]] = {
    STATE_INGEST: check_device,
    STATE_JUDGE: check_patient,
}


class _Whose(msgspec.Struct):
    patient: str


_whose = msgspec.json.Decoder(_Whose).decode


class NewestRecord(NamedTuple):
    """The newest record of a key.

    ``partition`` and ``offset`` are its place. ``home`` is the partition to which the key belongs.
    """

    partition: int
    offset: int
    timestamp: int
    home: int
    crc: int
    alive: bool  # whether the newest record has a value
    whole: bool = True  # whether a state can be restored; true for other records
    # whether a damaged state has been rebuilt as a held one and its agent has not caught up yet
    mended: bool = False


Index = dict[bytes, NewestRecord]


async def index(
    bootstrap: str, broker: KafkaClients, spans: Spans, partitions: int, progress: ReportProgress
) -> Index:
    """Return the newest record of each key in ``spans`` of one topic."""
    found: Index = {}
    async with AsyncExitStack() as stack:
        async for record in _stream(bootstrap, broker, spans, stack, progress):
            key = record.key or b""
            held = held_with(found.get(key), record, partitions)
            if held is not None:
                found[key] = held
    return found


async def _stream(
    bootstrap: str,
    broker: KafkaClients,
    spans: Spans,
    stack: AsyncExitStack,
    progress: ReportProgress,
) -> AsyncIterator[ConsumerRecord]:
    """Yield all records, those of one key in their order.

    They are merged by time only if every record counts, because that costs more.
    """
    if next(iter(spans)).topic in EVERY_RECORD:
        async for record in Reader(bootstrap, stack, progress).merged(spans):
            yield record
    else:
        async for batch in records(broker, spans, progress):
            for record in batch:
                yield record


def held_with(
    before: NewestRecord | None, record: ConsumerRecord, partitions: int
) -> NewestRecord | None:
    """Return the key's entry after one more record.

    It is None for a record that is older than the entry and lies in another partition.
    """
    if (
        before is not None
        and before.partition != record.partition
        and record.timestamp < before.timestamp
    ):
        return None
    return NewestRecord(
        record.partition,
        record.offset,
        record.timestamp,
        belongs(record, before, partitions),
        crc32(record.value or b""),
        record.value is not None,
        _is_whole(record.topic, record.value),
        _is_mended(record),
    )


def _is_whole(topic: str, value: bytes | None) -> bool:
    try:
        if value is not None and topic in CHECKS:
            CHECKS[topic](value)
    except StateError:
        return False
    return True


def _is_mended(record: ConsumerRecord) -> bool:
    held = read_held(record.value) if record.topic in CHECKS else None
    return held is not None and _is_whole(record.topic, held.blob)


def check_whole(topic: str, held: Index) -> None:
    """Raise ``UsageError`` if a state is damaged. The text names what to do first."""
    broken = [each for each in held.values() if each.alive and not each.whole]
    if damaged := sum(not each.mended for each in broken):
        raise UsageError(
            f"{topic}: {damaged} states cannot be restored: first run rpm-stream state rebuild"
        )
    if broken:
        raise UsageError(
            f"{topic}: {len(broken)} states are rebuilt, but the messages held since are not"
            " applied yet: start the stages and let them catch up, until their rpm_held_states is"
            " 0, and stop them again"
        )


def belongs(record: ConsumerRecord, before: NewestRecord | None, partitions: int) -> int:
    """Return the partition of a key.

    An alert belongs to the partition of its patient. An unreadable alert stays where it is.
    """
    if record.topic != ALERTS:
        return home_of(record.key or b"", partitions)
    try:
        return home_of(_whose(record.value or b"").patient.encode(), partitions)
    except msgspec.MsgspecError:
        return before.home if before is not None else record.partition


def counting(held: Index) -> Index:
    """Return the entries without the deleted keys."""
    return {key: each for key, each in held.items() if each.alive}


def proof(held: Index) -> Proof:
    """Return a checksum that must be equal before and after the deletion."""
    digest = sha256()
    for key in sorted(held):
        digest.update(b"%d %b %d\n" % (len(key), key, held[key].crc))
    return Proof(keys=len(held), digest=digest.hexdigest())


class Moved(NamedTuple):
    """The result of a move.

    ``wanted`` keys were to be moved, and ``wrong`` ones of them are missing or differ. ``found`` is
    the proof of what is there.
    """

    wanted: int
    wrong: int
    found: Proof


async def before_cut(broker: KafkaClients, topic: str, cut: dict[int, int]) -> Spans:
    """Return the spans before ``cut``."""
    return {
        tp: (start, max(start, cut.get(tp.partition, start)))
        for tp, start in (await starts(broker, topic)).items()
    }


async def move(
    broker: KafkaClients, bootstrap: str, growth: Growth, topic: str, progress: ReportProgress
) -> Moved:
    """Write what counts of each key into its partition, and compare the newest record of each.

    A record that an earlier run copied may exist only as that copy: a copy in the same partition
    lets Kafka drop the original.
    """
    cut = growth.cuts[topic]
    spans = await before_cut(broker, topic, cut)
    held = counting(await index(bootstrap, broker, spans, growth.partitions, progress))
    copied = await copied_after(broker, await tail_of(broker, topic, cut), progress)
    async with AsyncExitStack() as stack, copying(bootstrap, copied) as copier:
        async for record in _stream(bootstrap, broker, spans, stack, progress):
            each = held.get(record.key or b"")
            if each is not None and (
                topic in EVERY_RECORD or (record.partition, record.offset) == each[:2]
            ):
                await copier.copy(record, each.home)
    found = await moved(broker, bootstrap, growth, topic, progress)
    wrong = sum(key not in found or found[key].crc != each.crc for key, each in held.items())
    return Moved(len(held), wrong, proof(found))


async def moved(
    broker: KafkaClients, bootstrap: str, growth: Growth, topic: str, progress: ReportProgress
) -> Index:
    """Return the entries of the copies after the cut that lie in the partition of their key."""
    tail = await tail_of(broker, topic, growth.cuts[topic])
    found: Index = {}
    seen: set[MovedFrom] = set()
    async with AsyncExitStack() as stack:
        async for record in _stream(bootstrap, broker, tail, stack, progress):
            origin = origin_of(record)
            key = record.key or b""
            if origin is None or origin in seen:
                continue
            seen.add(origin)
            held = held_with(found.get(key), record, growth.partitions)
            if held is not None and held.home == held.partition:
                found[key] = held
    return found


async def astray(
    broker: KafkaClients, bootstrap: str, partitions: int, topic: str, progress: ReportProgress
) -> int:
    """Return how many keys have a record outside of their partition."""
    spans = {tp: (0, end) for tp, (_, end) in (await tail_of(broker, topic, {})).items()}
    first = await starts(broker, topic)
    spans = {tp: (first[tp], end) for tp, (_, end) in spans.items()}
    wrong: set[bytes] = set()
    async with AsyncExitStack() as stack:
        known: Index = {}
        async for record in _stream(bootstrap, broker, spans, stack, progress):
            key = record.key or b""
            home = belongs(record, known.get(key), partitions)
            known[key] = NewestRecord(
                record.partition, record.offset, record.timestamp, home, 0, True
            )
            if home != record.partition:
                wrong.add(key)
    return len(wrong)
