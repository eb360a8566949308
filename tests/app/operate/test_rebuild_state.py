"""A state is made anew of each message once, wherever that lay before: of none that the agent
applies itself later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.engine.lost import Note
from rpm_stream.app.kafka import held_alerts, merged
from rpm_stream.app.kafka.moved import headers_of
from rpm_stream.app.kafka.names import ALERTS, GROWTH
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.operate import rebuild_state as module
from rpm_stream.app.operate.rebuild_state import SOURCES, Broken, Gone, StateStage
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.held import alert_of, ended, hold, opened, read_held, with_alert

COUNT = 4
KEYS = tuple(
    next(name for n in range(99) if home_of(name := b"k%d" % n, COUNT) == here)
    for here in range(COUNT)
)
AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = st.lists(
    st.tuples(st.sampled_from(KEYS[:2]), st.integers(0, COUNT - 1), st.integers(0, 3)),
    min_size=1,
    max_size=25,
)


class World:
    """The lanes of one source after a growth, and how far its agent has committed each.

    Values name the messages.
    """

    def __init__(self, stage: StateStage, has_grown: bool = True) -> None:
        self.stage, self.has_grown = stage, has_grown
        self.lanes: list[list[ConsumerRecord]] = [[] for _ in range(COUNT)]
        self.alerts: list[list[ConsumerRecord]] = [[] for _ in range(COUNT)]
        self.commits = [0] * COUNT
        self.time = 0
        self.written: dict[bytes, bytes] = {}

    def append(self, partition: int, key: bytes, value: bytes, headers: Any = ()) -> None:
        self.time += 1
        place = (
            SOURCES[self.stage],
            partition,
            len(self.lanes[partition]),
            self.time,
            1,
            key,
            value,
        )
        self.lanes[partition].append(ConsumerRecord(*place, None, 0, len(value), tuple(headers)))

    def work(self, partition: int, count: int) -> None:
        """The agent goes on: what is not at home is written there once more."""
        for record in self.lanes[partition][self.commits[partition] :][:count]:
            self.commits[partition] += 1
            if (home := home_of(record.key or b"", COUNT)) != partition and self.has_grown:
                self.append(home, record.key or b"", record.value or b"", headers_of(record))


class Noted:
    """In place of the pure steps: which messages came, in their order."""

    def __init__(self) -> None:
        self.keys: dict[bytes, None] = {}
        self.came: list[bytes] = []

    def apply(self, record: ConsumerRecord) -> None:
        self.keys[record.key or b""] = None
        self.came.append(record.value or b"")

    def state_of(self, key: bytes) -> bytes:
        return b"state of " + key


@contextmanager
def broker(world: World, making: Noted) -> Iterator[None]:
    """What making anew asks of a broker."""

    @asynccontextmanager
    async def reaching(*_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(admin=None)

    async def partitions_of(_admin: Any, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, 0)] if topic == GROWTH and world.has_grown else []

    async def commits(_broker: Any, _stage: StateStage) -> dict[int, tuple[int, None]]:
        return {partition: (done, None) for partition, done in enumerate(world.commits)}

    async def starts(_broker: Any, topic: str) -> dict[TopicPartition, int]:
        return {TopicPartition(topic, partition): 0 for partition in range(COUNT)}

    async def ends(_broker: Any, topic: str) -> dict[TopicPartition, int]:
        lanes = world.alerts if topic == ALERTS else world.lanes
        return {TopicPartition(topic, partition): len(lane) for partition, lane in enumerate(lanes)}

    async def records(
        _broker: Any, spans: Any, _progress: Any
    ) -> AsyncIterator[list[ConsumerRecord]]:
        for tp, (first, last) in spans.items():
            lane = (world.alerts if tp.topic == ALERTS else world.lanes)[tp.partition]
            for start in range(first, last, 3):
                yield lane[start : min(start + 3, last)]

    async def write(
        _bootstrap: str, _one: Any, states: dict[bytes, bytes], _end: int | None = None
    ) -> None:
        world.written.update(states)

    async def read(_bootstrap: str) -> None:
        return None

    fakes = {
        "reaching": reaching,
        "partitions_of": partitions_of,
        "_commits": commits,
        "starts": starts,
        "ends": ends,
        "records": records,
        "_write": write,
        "read": read,
        "making_of": lambda *_: making,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, fake in fakes.items():
            patch.setattr(module, name, fake)
        for name in ("starts", "ends", "records"):
            patch.setattr(held_alerts, name, fakes[name])
        patch.setattr(merged, "records", records)
        patch.setattr(merged, "reaching", reaching)
        yield


@pytest.mark.parametrize("stage", ["ingest", "judge"])
@given(EVENTS, st.integers(0, 6), st.booleans())
def test_after_a_growth_each_message_is_applied_once_by_the_rebuild_or_by_the_agent(
    stage: StateStage, events: list[tuple[bytes, int, int]], kept: int, is_of_all: bool
) -> None:
    """The key is held from somewhere on, while strays are still passed on: their copies wait
    with what is kept.
    """
    world, making, key = World(stage), Noted(), KEYS[0]
    for number, (whose, partition, worked) in enumerate(events):
        world.append(partition, whose, b"%d" % number)
        world.work((partition + number) % COUNT, worked)
    home = home_of(key, COUNT)
    upto = max(0, world.commits[home] - kept)
    with broker(world, making):
        if is_of_all:
            gone = Gone(
                stage=stage,
                partition=home,
                fault="x",
                known=Note(9, 1, upto),
                upto=world.commits[home],
            )
            asyncio.run(module.rebuild_all(Settings(), shipped(), gone))
        else:
            held = hold(upto, AT, "x", b"")
            one = Broken(
                stage=stage, partition=home, offset=0, fault="x", key=key, held=held, upto=upto
            )
            asyncio.run(module.rebuild(Settings(), shipped(), one))
    by_agent = [each.value for each in world.lanes[home][upto:] if each.key == key]
    waiting = [
        each.value
        for partition, lane in enumerate(world.lanes)
        if partition != home
        for each in lane[world.commits[partition] :]
        if each.key == key
    ]
    sent = [b"%d" % number for number, (whose, _, _) in enumerate(events) if whose == key]
    assert sorted(making.came + by_agent + waiting) == sorted(sent)
    assert {key: key in world.written for key in KEYS[1:]} == dict.fromkeys(KEYS[1:], False), (
        "of another partition"
    )
    if is_of_all and any(each.key == key for each in world.lanes[home][upto : world.commits[home]]):
        assert read_held(world.written[key]) is not None, "it begins behind what is kept"


@pytest.mark.parametrize("has_grown", [False, True])
def test_a_stray_s_state_is_not_written_where_it_only_passed(has_grown: bool) -> None:
    """Without any growth a device has its state wherever it comes to."""
    world, making = World("ingest", has_grown), Noted()
    for key in (KEYS[1], KEYS[1], KEYS[2], KEYS[1]):
        world.append(1, key, b"")
    world.work(1, 4)
    with broker(world, making):
        gone = Gone(stage="ingest", partition=1, fault="x", known=Note(9, 2, 1), upto=4)
        asyncio.run(module.rebuild_all(Settings(), shipped(), gone))
    assert set(world.written) == ({KEYS[1]} if has_grown else {KEYS[1], KEYS[2]})
    assert all(read_held(blob) is not None for blob in world.written.values())


def test_the_alert_of_a_held_state_that_is_lost_too_is_handed_to_whoever_ends_it() -> None:
    """Of the changelog nothing is left, or of what stood there for the state: the alert stands
    in its topic alone.
    """
    named, other, mended, of_device = KEYS[1], b"k-silent", b"k-mended", b"k-device"
    begun = {key: opened(key.decode(), 1, hold(2, AT, "x", b"")) for key in (named, other, mended)}
    newer = opened(named.decode(), 1, hold(3, AT + timedelta(hours=1), "x", b""))
    elsewhere = msgspec.structs.replace(
        newer, id="e", patient=of_device.decode(), rule="device.silent@1"
    )
    told = [*begun.values(), newer, elsewhere, ended(begun[mended], AT, is_whole=True)]
    for at_end, stage in ((2, "judge"), (4, "judge"), (4, "ingest")):
        world, making = World(stage, has_grown=False), Noted()  # type: ignore[arg-type]
        for number in range(4):
            world.append(1, named, b"%d" % number)
        world.commits[1] = 4
        for offset, alert in enumerate(told):
            value = (ALERTS, 1, offset, offset, 1, alert.id.encode(), msgspec.json.encode(alert))
            world.alerts[1].append(ConsumerRecord(*value, None, 0, 0, ()))
        with broker(world, making):
            gone = Gone(stage=world.stage, partition=1, fault="x", known=Note(9, 2, at_end), upto=4)
            asyncio.run(module.rebuild_all(Settings(), shipped(), gone))
        found = {key: read_held(blob) for key, blob in world.written.items()}
        if stage == "ingest":
            assert found == {named: None}
            continue
        assert {key: held and (held.offset, alert_of(held)) for key, held in found.items()} == {
            named: (at_end, newer),
            other: (at_end, begun[other]),
        }

    for held in (None, with_alert(hold(2, AT, "x", b""), begun[named]), hold(2, AT, "x", b"")):
        world.stage = "judge"
        with broker(world, Noted()):
            one = Broken(
                stage="judge", partition=1, offset=0, fault="x", key=named, held=held, upto=2
            )
            asyncio.run(module.rebuild(Settings(), shipped(), one))
        kept = read_held(world.written[named])
        assert kept is not None
        assert alert_of(kept) == (begun[named] if held is not None and held.alert else newer)
