"""What is written when: outputs at once, states of several slices together, nothing by halves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.slices import MOST_SLICES
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.engine.application import Outgoing

KEYS = [f"key {place}".encode() for place in range(5)]
RECORD_BYTES = 100  # a slice is one record of each key


class NothingHeld(dict[bytes, Any]):
    """Holding as the work sees it while no state is damaged."""

    kept: Mapping[bytes, Any] = {}

    async def announce(self, _keys: Any) -> None:
        return


class World:
    """A producer and a table that answer at once, and what they were given, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.consumer = SimpleNamespace(revoked=False, owns=lambda _: True, next_of=lambda *_: 0)
        self.producer = SimpleNamespace(send_all=self._send)
        self.should_stop = False
        table: Any = SimpleNamespace(source="source", blob=lambda _: None, write=self._write)
        states = KeyedStates[list[int]](
            table, Form(lambda *_: [], msgspec.json.encode, lambda _: None)
        )
        holding: Any = NothingHeld()
        slice_bytes = RECORD_BYTES * len(KEYS)
        policy = TurnPolicy("judge", lambda record: record.key, slice_bytes, RECORD_BYTES)
        app: Any = self
        self.work = BatchWork[list[int]](app, table, policy, StateSteps(states, holding))

    async def _send(self, outputs: list[Outgoing]) -> list[asyncio.Future[None]]:
        await self.stuck.wait()
        self.log += [("output", int(output[2])) for output in outputs]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return [done]

    async def _write(self, _partition: int, states: Mapping[bytes, bytes]) -> None:
        self.log.append(("states", {key: msgspec.json.decode(states[key]) for key in states}))

    def deliver(self, first: int, count: int) -> None:
        """One batch of ``count`` records of each key, with offsets from ``first`` on."""
        records = [
            ConsumerRecord(
                "source",
                0,
                first + place,
                0,
                0,
                KEYS[place % 5],
                bytes(RECORD_BYTES),
                None,
                0,
                0,
                (),
            )
            for place in range(count * len(KEYS))
        ]
        ack = lambda: self.log.append(("ack", records[-1].offset))  # noqa: E731
        self.work.add(SimpleNamespace(value=records, ack=ack), step)

    def sent(self) -> set[int]:
        return {what for kind, what in self.log if kind == "output"}

    def written(self) -> set[int]:
        """The offsets that the written states have applied."""
        return {
            offset
            for kind, states in self.log
            if kind == "states"
            for state in states.values()
            for offset in state
        }

    def count(self, what: str) -> int:
        return sum(kind == what for kind, _ in self.log)

    async def settled(self) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)


def step(state: list[int], record: ConsumerRecord) -> list[Outgoing]:
    state.append(record.offset)
    return [("out", record.key, str(record.offset).encode(), None)]


@pytest.mark.asyncio
async def test_states_of_a_backlog_are_written_together_and_all_before_the_ack() -> None:
    world = World()
    slices = 2 * MOST_SLICES + 3
    world.deliver(0, slices)
    working = asyncio.create_task(world.work.run())
    await world.settled()
    assert world.count("states") == 3
    assert world.count("output") == slices * len(KEYS)
    assert world.log[-1] == ("ack", slices * len(KEYS) - 1)
    written = [states for kind, states in world.log if kind == "states"][-1]
    assert written == {key: [*range(place, slices * 5, 5)] for place, key in enumerate(KEYS)}
    working.cancel()


@pytest.mark.asyncio
async def test_no_state_is_written_before_its_outputs() -> None:
    world = World()
    world.deliver(0, 3 * MOST_SLICES)
    working = asyncio.create_task(world.work.run())
    await world.settled()
    sent: set[int] = set()
    for kind, what in world.log:
        if kind == "output":
            sent.add(what)
        elif kind == "states":
            assert all(sent.issuperset(state) for state in what.values())
    working.cancel()


@pytest.mark.asyncio
async def test_a_lone_record_is_written_and_acked_at_once() -> None:
    world = World()
    working = asyncio.create_task(world.work.run())
    for first in (0, 100, 200):
        world.deliver(first, 1)
        await world.settled()
        assert world.log[-1] == ("ack", first + 4)
    assert world.count("states") == 3
    working.cancel()


@pytest.mark.asyncio
async def test_an_interrupted_slice_leaves_nothing_to_write() -> None:
    """Its states have changed, and its outputs were not sent: those states must not be written."""
    world = World()
    world.deliver(0, MOST_SLICES)
    working = asyncio.create_task(world.work.run())
    while world.count("output") < 2 * len(KEYS):
        await asyncio.sleep(0)
    world.stuck.clear()
    await world.settled()
    working.cancel()
    await asyncio.wait({working})
    world.stuck.set()
    async with world.work.alone():
        pass
    await world.settled()
    assert world.count("states") == world.count("ack") == 0


@pytest.mark.asyncio
async def test_a_tick_finds_all_earlier_work_written() -> None:
    world = World()
    world.deliver(0, MOST_SLICES)
    working = asyncio.create_task(world.work.run())
    while world.count("output") < 2 * len(KEYS):
        await asyncio.sleep(0)
    async with world.work.alone():
        assert world.written() == world.sent()
    working.cancel()


@pytest.mark.asyncio
async def test_what_is_let_go_of_is_written_as_far_as_it_was_done() -> None:
    world = World()
    world.deliver(0, 2 * MOST_SLICES)
    working = asyncio.create_task(world.work.run())
    while world.count("output") < 2 * len(KEYS):
        await asyncio.sleep(0)
    await world.work._let_go()
    sent = world.sent()
    assert world.written() == sent
    assert not world.count("ack")
    await world.settled()
    assert world.sent() == sent
    assert len(sent) < 2 * MOST_SLICES * len(KEYS)
    working.cancel()
