"""Finds states that cannot be restored or were lost with their changelog, and rebuilds them.

A state is what its key's messages, one after the other, left behind. The same pure steps over the
same messages therefore rebuild it, as far as the topics still hold them.

A rebuilt state is at the offset that its agent had committed, or at which the agent began to hold
the key's messages. The agent itself applies what came later. No output is written but the state,
and only for keys with which no agent can continue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Literal

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.engine.lost import (
    BEGUN_ANEW,
    BEGUN_ANEW_KEY,
    Note,
    StateLoss,
    is_lost,
    read_note,
    replaced_end,
)
from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.kafka.clients import producer
from rpm_stream.app.kafka.frame_record import received_at
from rpm_stream.app.kafka.held_alerts import open_ones
from rpm_stream.app.kafka.lag import commits_of
from rpm_stream.app.kafka.merged import Reader
from rpm_stream.app.kafka.moved import MovedFrom, origin_of
from rpm_stream.app.kafka.names import FRAMES, GROUP_INGEST, GROUP_JUDGE, GROWTH, READINGS
from rpm_stream.app.kafka.partitions import home_of, partitions_of
from rpm_stream.app.kafka.range_reader import (
    KafkaClients,
    Span,
    ends,
    reaching,
    records,
    starts,
    window,
)
from rpm_stream.app.operate.state_maker import Making, making_of
from rpm_stream.app.registry.topic import read
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.held import HeldState, hold, kept_from, read_held, with_alert
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.state_envelope import StateError, unpack_device
from rpm_stream.records import Record

StateStage = Literal["ingest", "judge"]
# ingest also forwards records of other topics, but they need no state
SOURCES: Mapping[StateStage, str] = {"ingest": FRAMES, "judge": READINGS}
GROUP_OF: Mapping[StateStage, str] = {"ingest": GROUP_INGEST, "judge": GROUP_JUDGE}
UNPACK: Mapping[StateStage, Callable[[bytes, str], object]] = {
    "ingest": lambda blob, _: unpack_device(blob),
    "judge": unpack_patient,
}
SEND_SECONDS = 30


class Broken(Record, frozen=True, kw_only=True):
    """A state that cannot be restored, by its place in the changelog.

    ``key`` names a device or a person. ``held`` is what an agent that holds the key's messages has
    put in the state's place, and None if no agent has met the state yet. ``upto`` is the offset of
    the source up to which the state is rebuilt. No agent has passed over a message after it.
    """

    stage: StateStage
    partition: int
    offset: int
    fault: str
    key: bytes
    held: HeldState | None
    upto: int


class Gone(Record, frozen=True, kw_only=True):
    """A partition of a changelog that has less than its agent had written."""

    stage: StateStage
    partition: int
    fault: str
    known: Note
    upto: int


class Rebuilt(Record, frozen=True, kw_only=True):
    """The result of a rebuild: the number of states and of the messages that they were made of.

    ``since`` is the time of the first message. If there is no message, the states are empty.
    """

    states: int
    messages: int
    since: datetime | None


class StateFaults(Record, frozen=True, kw_only=True):
    """All lost partitions and all broken states."""

    gone: tuple[Gone, ...]
    broken: tuple[Broken, ...]


def changelog(stage: StateStage) -> str:
    """Return the topic in which Faust keeps the stage's state."""
    return f"{GROUP_OF[stage]}-state-changelog"


async def look(bootstrap: str) -> StateFaults:
    """Return every partition whose states are lost, and every state that cannot be restored.

    Raises ``UsageError`` if no broker answers.
    """
    gone: list[Gone] = []
    broken: list[Broken] = []
    async with reaching(bootstrap) as broker:
        for stage in SOURCES:
            # The commits are read before the states. An agent that meets a broken state in between
            # holds its messages from this commit on, or from a later one.
            commits = await _commits(broker, stage)
            last: dict[tuple[int, bytes], ConsumerRecord] = {}
            replaced: dict[int, int] = {}
            async for batch in records(
                broker, await window(broker, changelog(stage), None, None), lambda *_: None
            ):
                last.update({(record.partition, record.key or b""): record for record in batch})
                replaced.update(
                    {
                        record.partition: end
                        for record in batch
                        if (end := replaced_end(record)) is not None
                    }
                )
            states = [record for record in last.values() if record.value is not None]
            now = {tp.partition: end for tp, end in (await ends(broker, changelog(stage))).items()}
            for partition, (offset, known) in sorted(commits.items()):
                mine = [record for record in states if record.partition == partition]
                there = Note(now.get(partition, 0), len(mine))
                if known is not None and is_lost(there, known, replaced.get(partition, -1)):
                    fault = StateLoss(partition, there, known).fault
                    gone.append(
                        Gone(
                            stage=stage, partition=partition, fault=fault, known=known, upto=offset
                        )
                    )
            for record in states:
                done, note = commits.get(record.partition, (0, None))
                if one := _broken(stage, record, kept_from(done, note.held if note else None)):
                    broken.append(one)
    return StateFaults(gone=tuple(gone), broken=tuple(broken))


async def _commits(broker: KafkaClients, stage: StateStage) -> dict[int, tuple[int, Note | None]]:
    """Return the group's committed offset and its note on the changelog, by source partition."""
    commits = await commits_of(broker.admin, GROUP_OF[stage], SOURCES[stage])
    return {
        tp.partition: (commit.offset, read_note(commit.metadata)) for tp, commit in commits.items()
    }


def _broken(stage: StateStage, record: ConsumerRecord, upto: int) -> Broken | None:
    """Return what is wrong with a record of a changelog.

    It is None for a state, and for a held state that has been rebuilt and only has to be caught up.
    """
    key: bytes = record.key or b""
    held = read_held(record.value)
    try:
        UNPACK[stage](held.blob if held else record.value, key.decode(errors="replace"))
    except StateError as error:
        place = {"stage": stage, "partition": record.partition, "offset": record.offset}
        return Broken(
            **place, fault=str(error), key=key, held=held, upto=held.offset if held else upto
        )
    return None


async def rebuild(settings: Settings, knowledge: Knowledge, one: Broken) -> Rebuilt:
    """Rebuild one state and write it.

    Raises ``UsageError`` when the broker is away or lacks a topic.
    """
    making = making_of(settings, knowledge, await read(settings.bootstrap), one.stage == "ingest")
    async with reaching(settings.bootstrap, (SOURCES[one.stage],)) as broker:
        done = await _applied(broker, settings.bootstrap, making, one, one.key)
        alerts = await open_ones(broker, one.partition) if one.stage == "judge" else {}
    clock = await BrokerTime.clock_for(settings, one.stage)
    held = one.held or hold(one.upto, clock.now(), one.fault, b"")
    held = with_alert(held, alerts[one.key]) if one.key in alerts and not held.alert else held
    await _write(settings.bootstrap, one, {one.key: held.mended(making.state_of(one.key))})
    return done


async def rebuild_all(settings: Settings, knowledge: Knowledge, one: Gone) -> Rebuilt:
    """Rebuild all states of a lost partition, write them, and then allow the agent to continue.

    Messages may have been held for some keys when the partition was lost, and it is no longer known
    for which keys. Later messages are therefore applied again for every key that has any, and their
    outputs are written again as they were. An alert about the loss ends when the agent has done
    that.
    """
    making = making_of(settings, knowledge, await read(settings.bootstrap), one.stage == "ingest")
    kept_from = one.upto if one.known.held is None else min(one.upto, one.known.held)
    async with reaching(settings.bootstrap, (SOURCES[one.stage],)) as broker:
        done = await _applied(
            broker, settings.bootstrap, making, msgspec.structs.replace(one, upto=kept_from), None
        )
        tp = TopicPartition(SOURCES[one.stage], one.partition)
        is_here = await _whose(broker, one)
        kept = _messages(broker, tp, (kept_from, one.upto), None)
        later = {key async for each in kept if is_here(key := each.key or b"")}
        alerts = await open_ones(broker, one.partition) if one.stage == "judge" else {}
    clock = await BrokerTime.clock_for(settings, one.stage)
    states: dict[bytes, bytes] = {}
    for key in dict.fromkeys((*making.keys, *sorted({*later, *alerts}))):
        blob = making.state_of(key)
        if key in later or key in alerts:
            held = hold(kept_from, clock.now(), one.fault, b"")
            blob = (with_alert(held, alerts[key]) if key in alerts else held).mended(blob)
        states[key] = blob
    await _write(settings.bootstrap, one, states, one.known.end)
    return msgspec.structs.replace(done, states=len(states))


async def _applied(
    broker: KafkaClients, bootstrap: str, making: Making, one: Broken | Gone, key: bytes | None
) -> Rebuilt:
    """Apply the source's messages of ``key``, or of all keys (None), up to ``one.upto``."""
    messages = 0
    since = None
    async for record in _history(broker, bootstrap, one, key):
        making.apply(record)
        messages = messages + 1
        since = since or received_at(record)
    return Rebuilt(states=len(making.keys) if key is None else 1, messages=messages, since=since)


async def _whose(broker: KafkaClients, one: Broken | Gone) -> Callable[[bytes], bool]:
    """Return a function that tests whether the state of a key belongs to the partition.

    Before any growth every key that came there has its state there.
    """
    if not await partitions_of(broker.admin, GROWTH):
        return lambda _: True
    partitions = len(await starts(broker, SOURCES[one.stage]))
    return lambda key: home_of(key, partitions) == one.partition


async def _history(
    broker: KafkaClients, bootstrap: str, one: Broken | Gone, key: bytes | None
) -> AsyncIterator[ConsumerRecord]:
    """Yield the messages of one key, or of the whole partition (None), in order up to ``one.upto``.

    Before a growth of the topics the key was in another partition. What was committed there is
    merged in the order of time. A moved message counts at the place to which it was moved. If that
    place is after the end, the agent applies it.
    """
    tp = TopicPartition(SOURCES[one.stage], one.partition)
    if not await partitions_of(broker.admin, GROWTH):
        async for record in _messages(broker, tp, (0, one.upto), key):
            yield record
        return
    commits = await _commits(broker, one.stage)
    is_here = await _whose(broker, one)
    first = await starts(broker, tp.topic)
    last = await ends(broker, tp.topic)
    moved: set[MovedFrom] = set()
    async for batch in records(
        broker, {place: (first[place], last[place]) for place in first}, lambda *_: None
    ):
        mine = (each for each in batch if _is_of(each, key) and is_here(each.key or b""))
        moved.update(origin for each in mine if (origin := origin_of(each)) is not None)
    upto = {
        place: one.upto if place == tp else commits.get(place.partition, (0, None))[0]
        for place in first
    }
    async with AsyncExitStack() as stack:
        spans = {place: (first[place], max(first[place], upto[place])) for place in first}
        async for record in Reader(bootstrap, stack, lambda *_: None).merged(spans):
            is_mine = _is_of(record, key) and is_here(record.key or b"")
            if is_mine and (record.partition, record.offset) not in moved:
                yield record


def _is_of(record: ConsumerRecord, key: bytes | None) -> bool:
    return key is None or (record.key or b"") == key


async def _messages(
    broker: KafkaClients, tp: TopicPartition, span: Span, key: bytes | None
) -> AsyncIterator[ConsumerRecord]:
    """Yield the messages of ``span`` that are still there, in order, of one key or of all."""
    first = max(span[0], (await starts(broker, tp.topic))[tp])
    async for batch in records(broker, {tp: (first, max(first, span[1]))}, lambda *_: None):
        for record in batch:
            if _is_of(record, key):
                yield record


async def _write(
    bootstrap: str, one: Broken | Gone, states: Mapping[bytes, bytes], lost_end: int | None = None
) -> None:
    """Write states.

    For a lost changelog, then write the record that it was rebuilt. ``lost_end`` is the end of the
    lost one.
    """
    place = {"topic": changelog(one.stage), "partition": one.partition}
    async with producer(bootstrap) as writer:
        sent = [await writer.send(value=blob, key=key, **place) for key, blob in states.items()]
        await asyncio.wait_for(asyncio.gather(*sent), SEND_SECONDS)
        if lost_end is not None:
            headers = [(BEGUN_ANEW, b"%d" % lost_end)]
            made = writer.send_and_wait(key=BEGUN_ANEW_KEY, headers=headers, **place)
            await asyncio.wait_for(made, SEND_SECONDS)
