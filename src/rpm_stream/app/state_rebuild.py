"""States that cannot be restored, or are lost with their changelog: which they are, and each made anew from the topics.

A state is what its key's messages, one after the other, left behind; so the same pure steps over the same messages give
it back, as far as the topics still hold them. Made anew it stands where its agent had committed, or where the agent
began to keep the key's messages: what came later, the agent applies itself. Nothing is put out but the state, and only
for keys that no agent can go on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from heapq import merge
from typing import Literal, Protocol

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.broker_time import BrokerTime
from rpm_stream.app.engine.lost import BEGUN_ANEW, BEGUN_ANEW_KEY, Lost, Note, begun_anew, is_lost, read_note
from rpm_stream.app.moved import origin_of
from rpm_stream.app.names import FRAMES, GROUP_INGEST, GROUP_JUDGE, GROWTH, READINGS
from rpm_stream.app.partitions import home_of, partitions_of
from rpm_stream.app.received import frame_message, received_at
from rpm_stream.app.registry_topic import read
from rpm_stream.app.settings import Settings
from rpm_stream.app.topic_window import Broker, Span, ends, reaching, records, starts, window
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.held import Held, hold, kept_from, read_held
from rpm_stream.pipeline.ingest import DeviceState, Ingest
from rpm_stream.pipeline.replay import Replay
from rpm_stream.pipeline.sealed import StateError, pack_device, unpack_device
from rpm_stream.pipeline.state import unpack_patient
from rpm_stream.records import Record
from rpm_stream.registry import Registry

Stage = Literal["ingest", "judge"]
SOURCES: Mapping[Stage, str] = {"ingest": FRAMES, "judge": READINGS}  # what ingest forwards besides needs no state
GROUP_OF: Mapping[Stage, str] = {"ingest": GROUP_INGEST, "judge": GROUP_JUDGE}
UNPACK: Mapping[Stage, Callable[[bytes, str], object]] = {
    "ingest": lambda blob, _: unpack_device(blob),
    "judge": unpack_patient,
}
SEND_SECONDS = 30


class Broken(Record, frozen=True, kw_only=True):
    """A state that cannot be restored, by its place in the changelog; ``key`` names a device or a person.

    ``held``: what an agent that keeps the key's messages has put in its place; None: no agent has met it yet. ``upto``:
    the offset of the source up to which it is made anew; nothing behind it was passed over by an agent.
    """

    stage: Stage
    partition: int
    offset: int
    fault: str
    key: bytes
    held: Held | None
    upto: int


class Gone(Record, frozen=True, kw_only=True):
    """A partition of a changelog that has less than its agent had written."""

    stage: Stage
    partition: int
    fault: str
    known: Note
    upto: int


class Rebuilt(Record, frozen=True, kw_only=True):
    """What was made: so many states, of so many messages, the first from then; without any they are begun anew."""

    states: int
    messages: int
    since: datetime | None


class Found(Record, frozen=True, kw_only=True):
    """All that is wrong with the states."""

    gone: tuple[Gone, ...]
    broken: tuple[Broken, ...]


def changelog(stage: Stage) -> str:
    """The topic that Faust keeps the stage's state in."""
    return f"{GROUP_OF[stage]}-state-changelog"


async def look(bootstrap: str) -> Found:
    """Every partition whose states are lost, and every state that cannot be restored. Raises UsageError: no broker."""
    gone: list[Gone] = []
    broken: list[Broken] = []
    async with reaching(bootstrap) as broker:
        for stage in SOURCES:
            # Before the states: an agent that meets one now keeps its messages from here on, or from behind it.
            commits = await _commits(broker, stage)
            last: dict[tuple[int, bytes], ConsumerRecord] = {}
            anew: dict[int, int] = {}
            async for batch in records(broker, await window(broker, changelog(stage), None, None), lambda *_: None):
                last.update({(record.partition, record.key or b""): record for record in batch})
                anew.update({record.partition: end for record in batch if (end := begun_anew(record)) is not None})
            states = [record for record in last.values() if record.value is not None]
            now = {tp.partition: end for tp, end in (await ends(broker, changelog(stage))).items()}
            for partition, (offset, known) in sorted(commits.items()):
                mine = [record for record in states if record.partition == partition]
                there = Note(now.get(partition, 0), len(mine))
                if known is not None and is_lost(there, known, anew.get(partition, -1)):
                    fault = Lost(partition, there, known).fault
                    gone.append(Gone(stage=stage, partition=partition, fault=fault, known=known, upto=offset))
            for record in states:
                done, note = commits.get(record.partition, (0, None))
                if one := _broken(stage, record, kept_from(done, note.held if note else None)):
                    broken.append(one)
    return Found(gone=tuple(gone), broken=tuple(broken))


async def _commits(broker: Broker, stage: Stage) -> dict[int, tuple[int, Note | None]]:
    """What the stage's group has committed of each partition of its source, and what it says of the changelog."""
    committed = await broker.admin.list_consumer_group_offsets(GROUP_OF[stage])
    mine = {tp: commit for tp, commit in committed.items() if tp.topic == SOURCES[stage]}
    return {tp.partition: (max(0, commit.offset), read_note(commit.metadata)) for tp, commit in mine.items()}


def _broken(stage: Stage, record: ConsumerRecord, upto: int) -> Broken | None:
    """What is wrong with a record of a changelog; None where it is a state, or holds one that is to be caught up."""
    key: bytes = record.key or b""
    held = read_held(record.value)
    try:
        UNPACK[stage](held.blob if held else record.value, key.decode(errors="replace"))
    except StateError as error:
        place = {"stage": stage, "partition": record.partition, "offset": record.offset}
        return Broken(**place, fault=str(error), key=key, held=held, upto=held.offset if held else upto)
    return None


async def rebuild(settings: Settings, knowledge: Knowledge, one: Broken) -> Rebuilt:
    """Make the state anew and write it. Raises UsageError when the broker is away or lacks a topic."""
    making = _making(settings, knowledge, await read(settings.bootstrap), one.stage)
    async with reaching(settings.bootstrap, (SOURCES[one.stage],)) as broker:
        done = await _applied(broker, making, one, one.key)
    clock = await BrokerTime.clock_for(settings, one.stage)
    held = one.held or hold(one.upto, clock.now(), one.fault, b"")
    mended = held.mended(making.state_of(one.key))
    await _write(settings.bootstrap, one, {one.key: mended})
    return done


async def rebuild_all(settings: Settings, knowledge: Knowledge, one: Gone) -> Rebuilt:
    """Make all states of a lost partition anew, write them, and then that it may be gone on with.

    Where messages of somebody were kept then, nobody knows any more whose: what came since is applied once more for all
    of whom there is anything, and put out again as it was.
    """
    making = _making(settings, knowledge, await read(settings.bootstrap), one.stage)
    kept_from = one.upto if one.known.held is None else min(one.upto, one.known.held)
    async with reaching(settings.bootstrap, (SOURCES[one.stage],)) as broker:
        done = await _applied(broker, making, msgspec.structs.replace(one, upto=kept_from), None)
        tp = TopicPartition(SOURCES[one.stage], one.partition)
        later = {record.key or b"" async for record in _messages(broker, tp, (kept_from, one.upto), None)}
    clock = await BrokerTime.clock_for(settings, one.stage)
    states: dict[bytes, bytes] = {}
    for key in dict.fromkeys((*making.keys, *sorted(later))):
        blob = making.state_of(key)
        states[key] = hold(kept_from, clock.now(), one.fault, b"").mended(blob) if key in later else blob
    await _write(settings.bootstrap, one, states, one.known.end)
    return msgspec.structs.replace(done, states=len(states))


class _Making(Protocol):
    """Messages in, states out; ``keys`` in the order in which they came."""

    keys: dict[bytes, None]

    def apply(self, record: ConsumerRecord) -> None:
        """Let one message of the source work on the state of its key."""

    def state_of(self, key: bytes) -> bytes:
        """The sealed state of a key; a fresh one of which nothing came."""


class _Devices(_Making):
    def __init__(self, ingest: Ingest) -> None:
        self.keys = {}
        self._ingest, self._states = ingest, dict[bytes, DeviceState]()

    def apply(self, record: ConsumerRecord) -> None:
        key = record.key or b""
        self.keys[key] = None
        state = self._states.setdefault(key, DeviceState())
        self._ingest.step(state, frame_message(record))
        state.applied[record.partition] = record.offset

    def state_of(self, key: bytes) -> bytes:
        return pack_device(self._states.get(key, DeviceState()))


class _Patients(_Making):
    def __init__(self, run: Replay) -> None:
        self.keys = {}
        self._run = run

    def apply(self, record: ConsumerRecord) -> None:
        self.keys[record.key or b""] = None
        for _ in self._run.message(record.value or b""):
            pass  # it was put out when the message was applied first

    def state_of(self, key: bytes) -> bytes:
        return self._run.state_of(key.decode(errors="replace"))


def _making(settings: Settings, knowledge: Knowledge, registry: Registry, stage: Stage) -> _Making:
    if stage == "ingest":
        return _Devices(Ingest(knowledge, registry, recorded_time=settings.time == "recorded"))
    return _Patients(Replay(knowledge, registry, emit=()))


async def _applied(broker: Broker, making: _Making, one: Broken | Gone, key: bytes | None) -> Rebuilt:
    """Apply what the source still holds of one key, or of all (None), up to where it is made anew."""
    messages, since = 0, None
    async for record in _history(broker, one, key):
        making.apply(record)
        messages, since = messages + 1, since or received_at(record)
    return Rebuilt(states=len(making.keys) if key is None else 1, messages=messages, since=since)


async def _history(broker: Broker, one: Broken | Gone, key: bytes | None) -> AsyncIterator[ConsumerRecord]:
    """The messages of one key, or of all of the partition (None), in their order, up to where it is made anew.

    Before a growth of the topics a key was elsewhere: what was committed there comes in the order of time, and what was
    moved counts where it was moved to.
    """
    tp = TopicPartition(SOURCES[one.stage], one.partition)
    if not await partitions_of(broker.admin, GROWTH):
        async for record in _messages(broker, tp, (0, one.upto), key):
            yield record
        return
    commits = await _commits(broker, one.stage)
    firsts = await starts(broker, tp.topic)
    lanes: list[list[ConsumerRecord]] = []
    for place in firsts:
        upto = one.upto if place == tp else commits.get(place.partition, (0, None))[0]
        found = _messages(broker, place, (0, upto), key)
        lanes.append([each async for each in found if home_of(each.key or b"", len(firsts)) == one.partition])
    moved = {origin_of(record) for lane in lanes for record in lane}
    left = [[each for each in lane if (each.partition, each.offset) not in moved] for lane in lanes]
    for record in merge(*left, key=lambda each: each.timestamp):
        yield record


async def _messages(broker: Broker, tp: TopicPartition, span: Span, key: bytes | None) -> AsyncIterator[ConsumerRecord]:
    """The messages of a stretch that are still there, in their order, of one key or of all."""
    first = max(span[0], (await starts(broker, tp.topic))[tp])
    async for batch in records(broker, {tp: (first, max(first, span[1]))}, lambda *_: None):
        for record in batch:
            if key is None or (record.key or b"") == key:
                yield record


async def _write(
    bootstrap: str, one: Broken | Gone, states: Mapping[bytes, bytes], lost_end: int | None = None
) -> None:
    """Write states; behind them, where a changelog was lost, that it was made anew for the one which ended there."""
    place = {"topic": changelog(one.stage), "partition": one.partition}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all") as producer:
        sent = [await producer.send(value=blob, key=key, **place) for key, blob in states.items()]
        await asyncio.wait_for(asyncio.gather(*sent), SEND_SECONDS)
        if lost_end is not None:
            headers = [(BEGUN_ANEW, b"%d" % lost_end)]
            made = producer.send_and_wait(key=BEGUN_ANEW_KEY, headers=headers, **place)
            await asyncio.wait_for(made, SEND_SECONDS)
