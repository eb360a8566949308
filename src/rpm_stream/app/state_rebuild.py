"""States in the changelogs that cannot be restored: which they are, and each made anew from the topics.

A state is what its key's messages, one after the other, left behind; so the same pure steps over the same messages give
it back, as far as the topics still hold them. Made anew it stands where its agent had committed: what came later, the
agent applies itself. Nothing is put out but the state, and only for keys that no agent can go on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from heapq import merge
from typing import Literal

from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.moved import origin_of
from rpm_stream.app.names import FRAMES, GROUP_INGEST, GROUP_JUDGE, READINGS
from rpm_stream.app.received import frame_message, received_at
from rpm_stream.app.registry_topic import read
from rpm_stream.app.settings import Settings
from rpm_stream.app.topic_window import Broker, Spans, reaching, records, starts, window
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.ingest import DeviceState, Ingest
from rpm_stream.pipeline.replay import Replay
from rpm_stream.pipeline.sealed import StateError, pack_device, unpack_device
from rpm_stream.pipeline.state import unpack_patient
from rpm_stream.records import Record

Stage = Literal["ingest", "judge"]
SOURCES: Mapping[Stage, str] = {"ingest": FRAMES, "judge": READINGS}  # what ingest forwards besides needs no state
GROUP_OF: Mapping[Stage, str] = {"ingest": GROUP_INGEST, "judge": GROUP_JUDGE}
UNPACK: Mapping[Stage, Callable[[bytes, str], object]] = {
    "ingest": lambda blob, _: unpack_device(blob),
    "judge": unpack_patient,
}


class Broken(Record, frozen=True, kw_only=True):
    """A state that cannot be restored, by its place in the changelog; ``key`` names a device or a person."""

    stage: Stage
    partition: int
    offset: int
    fault: str
    key: bytes


class Rebuilt(Record, frozen=True, kw_only=True):
    """What a state was made of: so many messages, the first from then; none: its key is begun anew."""

    messages: int
    since: datetime | None


def changelog(stage: Stage) -> str:
    """The topic that Faust keeps the stage's state in."""
    return f"{GROUP_OF[stage]}-state-changelog"


async def broken(bootstrap: str) -> list[Broken]:
    """Every state that cannot be restored. Raises UsageError when the broker is away."""
    found: list[Broken] = []
    async with reaching(bootstrap) as broker:
        for stage in SOURCES:
            last: dict[tuple[int, bytes], ConsumerRecord] = {}
            async for batch in records(broker, await window(broker, changelog(stage), None, None), lambda *_: None):
                last.update({(record.partition, record.key or b""): record for record in batch})
            for (partition, key), record in last.items():
                try:
                    if record.value is not None:
                        UNPACK[stage](record.value, key.decode(errors="replace"))
                except StateError as error:
                    one = Broken(stage=stage, partition=partition, offset=record.offset, fault=str(error), key=key)
                    found.append(one)
    return found


async def rebuild(settings: Settings, knowledge: Knowledge, one: Broken) -> Rebuilt:
    """Make the state anew and write it. Raises UsageError when the broker is away or lacks a topic."""
    registry = await read(settings.bootstrap)
    async with reaching(settings.bootstrap, (SOURCES[one.stage],)) as broker:
        span = await _applied(broker, one)
        messages = await _messages(broker, span, one.key)
    if one.stage == "ingest":
        blob = _device(Ingest(knowledge, registry, recorded_time=settings.time == "recorded"), messages)
    else:
        blob = _patient(Replay(knowledge, registry, emit=()), messages, one)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        await asyncio.wait_for(
            producer.send_and_wait(changelog(one.stage), blob, key=one.key, partition=one.partition), 30
        )
    finally:
        await producer.stop()
    return Rebuilt(messages=len(messages), since=received_at(messages[0]) if messages else None)


async def _applied(broker: Broker, one: Broken) -> Spans:
    """What the agents have committed of the source and the topic still holds: a key was elsewhere before a growth."""
    committed = await broker.admin.list_consumer_group_offsets(GROUP_OF[one.stage])
    firsts = await starts(broker, SOURCES[one.stage])
    return {tp: (first, max(first, committed[tp].offset if tp in committed else 0)) for tp, first in firsts.items()}


async def _messages(broker: Broker, span: Spans, key: bytes) -> list[ConsumerRecord]:
    """The key's messages in their order: by partition, and where there are several, by time; a moved one as a copy."""
    found: dict[int, list[ConsumerRecord]] = {}
    async for batch in records(broker, span, lambda *_: None):
        for record in batch:
            if record.key == key:
                found.setdefault(record.partition, []).append(record)
    moved = {origin_of(record) for lane in found.values() for record in lane}
    lanes = [[one for one in lane if (one.partition, one.offset) not in moved] for lane in found.values()]
    return list(merge(*lanes, key=lambda record: record.timestamp))


def _device(ingest: Ingest, messages: list[ConsumerRecord]) -> bytes:
    state = DeviceState()
    for record in messages:
        ingest.step(state, frame_message(record))
        state.applied[record.partition] = record.offset
    return pack_device(state)


def _patient(run: Replay, messages: list[ConsumerRecord], one: Broken) -> bytes:
    name = one.key.decode(errors="replace")
    for record in messages:
        for _ in run.message(record.value or b""):
            pass  # it was put out when the message was applied first
    return run.state_of(name)
