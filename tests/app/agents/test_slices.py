"""What is written when: outputs at once, states of several slices together, nothing by halves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.slices import ENOUGH_FINISHED, MOST_SLICES
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.engine.application import Outgoing
from rpm_stream.app.runtime import end

KEYS = [f"key {place}".encode() for place in range(5)]
RECORD_BYTES = 100  # a slice is one record of each key


class NothingHeld(dict[bytes, Any]):
    """Holding as the work sees it while no state is damaged."""

    kept: Mapping[bytes, Any] = {}

    async def announce(self, _keys: Any) -> None:
        return


class World:
    """A producer and a table whose answers wait for a gate each, and what happened, in order.

    ``handed`` is an output that the producer was given, ``output`` one that the broker has.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []
        self.takes, self.accepts, self.stores = asyncio.Event(), asyncio.Event(), asyncio.Event()
        for gate in (self.takes, self.accepts, self.stores):
            gate.set()
        self.tasks: list[asyncio.Task[None]] = []
        self.consumer = SimpleNamespace(revoked=False, owns=lambda _: True, next_of=lambda *_: 0)
        self.producer = SimpleNamespace(send_all=self._send)
        self.should_stop = False
        self.let_go: Callable[[], Awaitable[None]]  # the work sets it
        table: Any = SimpleNamespace(source="source", blob=lambda _: None, write=self._write)
        states = KeyedStates[list[int]](
            table, Form(lambda *_: [], msgspec.json.encode, lambda _: None)
        )
        holding: Any = NothingHeld()
        slice_bytes = RECORD_BYTES * len(KEYS)
        policy = TurnPolicy("judge", lambda record: record.key, slice_bytes, RECORD_BYTES)
        app: Any = self
        self.work = BatchWork[list[int]](app, table, policy, StateSteps(states, holding))

    async def _send(self, outputs: list[Outgoing]) -> list[asyncio.Task[None]]:
        await self.takes.wait()
        self.log += [("handed", int(output[2])) for output in outputs]
        self.tasks.append(asyncio.create_task(self._accept(outputs, self.accepts)))
        return self.tasks[-1:]

    async def _accept(self, outputs: list[Outgoing], gate: asyncio.Event) -> None:
        await gate.wait()
        self.log += [("output", int(output[2])) for output in outputs]

    async def _write(self, _partition: int, states: Mapping[bytes, bytes]) -> None:
        await self.stores.wait()
        self.log.append(("states", {key: msgspec.json.decode(states[key]) for key in states}))

    def deliver(self, first: int, count: int) -> None:
        """One batch of ``count`` records of each key, with offsets from ``first`` on."""
        places = range(count * len(KEYS))
        self._add([record(first + place, 0, KEYS[place % len(KEYS)]) for place in places])

    def deliver_lone(self, offset: int) -> None:
        """A batch of one record, in another partition and of a key of its own."""
        self._add([record(offset, 1, f"live {offset}".encode())])

    def _add(self, records: list[ConsumerRecord]) -> None:
        last = ("ack", records[-1].offset)
        self.work.add(SimpleNamespace(value=records, ack=lambda: self.log.append(last)), step)

    def of(self, kind: str) -> list[Any]:
        return [what for each, what in self.log if each == kind]

    def written(self) -> set[int]:
        """The offsets that the written states have applied."""
        return {
            offset for states in self.of("states") for state in states.values() for offset in state
        }

    async def until(self, kind: str, count: int) -> None:
        for _ in range(10_000):
            if len(self.of(kind)) >= count:
                return
            await asyncio.sleep(0)
        pytest.fail(f"never {count} of {kind}")


def record(offset: int, partition: int, key: bytes) -> ConsumerRecord:
    value = bytes(RECORD_BYTES)
    return ConsumerRecord("source", partition, offset, 0, 0, key, value, None, 0, 0, ())


def step(state: list[int], record: ConsumerRecord) -> list[Outgoing]:
    state.append(record.offset)
    return [("out", record.key, str(record.offset).encode(), None)]


async def settled() -> None:
    for _ in range(1000):
        await asyncio.sleep(0)


@asynccontextmanager
async def at_work(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.work.run())
    yield
    if task.done():
        task.result()
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.asyncio
async def test_states_of_a_backlog_are_written_together() -> None:
    world = World()
    slices = 2 * MOST_SLICES + 3
    world.deliver(0, slices)
    async with at_work(world):
        await settled()
    assert len(world.of("output")) == slices * len(KEYS)
    assert [len(states) for states in world.of("states")] == [len(KEYS)] * 3
    assert world.of("states")[-1] == {
        key: [*range(place, slices * len(KEYS), len(KEYS))] for place, key in enumerate(KEYS)
    }
    assert world.log[-1] == ("ack", slices * len(KEYS) - 1)


@pytest.mark.asyncio
async def test_no_state_before_its_outputs_and_no_ack_before_its_states() -> None:
    world = World()
    world.deliver(0, MOST_SLICES)
    world.deliver(1000, 1)
    world.accepts.clear()
    async with at_work(world):
        await settled()
        assert len(world.of("handed")) == (MOST_SLICES + 1) * len(KEYS)
        assert not world.of("states")
        world.stores.clear()
        world.accepts.set()
        await settled()
        assert len(world.of("output")) == (MOST_SLICES + 1) * len(KEYS)
        assert not world.of("ack")
        world.stores.set()
        await settled()
    assert world.written() == set(world.of("output")) == set(world.of("handed"))
    assert len(world.of("ack")) == 2


@pytest.mark.asyncio
async def test_states_are_written_as_they_were_although_the_work_goes_on() -> None:
    """One writing is under way; the next group is gathered meanwhile, and stays behind it."""
    world = World()
    world.deliver(0, 2 * MOST_SLICES)
    world.stores.clear()
    async with at_work(world):
        await world.until("handed", 2 * MOST_SLICES * len(KEYS))
        await settled()
        world.stores.set()
        await settled()
    counts = [[len(state) for state in states.values()] for states in world.of("states")]
    assert counts == [[MOST_SLICES] * len(KEYS), [2 * MOST_SLICES] * len(KEYS)]


@pytest.mark.asyncio
async def test_a_writing_waits_for_the_one_before() -> None:
    world = World()
    world.deliver(0, 2 * MOST_SLICES)
    slow = world.accepts
    slow.clear()
    async with at_work(world):
        await world.until("handed", MOST_SLICES * len(KEYS))
        world.accepts = asyncio.Event()
        world.accepts.set()
        await world.until("output", (MOST_SLICES - 1) * len(KEYS))
        await settled()
        assert not world.of("states")
        slow.set()
        await settled()
    assert len(world.of("states")) == 2


@pytest.mark.asyncio
async def test_the_work_waits_for_a_slow_broker_after_two_groups() -> None:
    world = World()
    world.deliver(0, 4 * MOST_SLICES)
    world.stores.clear()
    async with at_work(world):
        await settled()
        assert len(world.of("handed")) == 2 * MOST_SLICES * len(KEYS)
        world.stores.set()
        await settled()
    assert len(world.of("ack")) == 1


@pytest.mark.asyncio
async def test_fewer_finished_batches_are_gathered() -> None:
    world = World()
    world.deliver(0, MOST_SLICES)
    async with at_work(world):
        await world.until("handed", len(KEYS))
        for place in range(ENOUGH_FINISHED - 1):
            world.deliver_lone(place)
        await settled()
    in_home = [states for states in world.of("states") if KEYS[0] in states]
    assert [len(states[KEYS[0]]) for states in in_home] == [MOST_SLICES]


@pytest.mark.asyncio
async def test_what_comes_alone_is_written_and_acked_at_once() -> None:
    world = World()
    async with at_work(world):
        for first in (0, 100, 200):
            world.deliver(first, 1)
            await settled()
            assert world.log[-1] == ("ack", first + len(KEYS) - 1)
    assert len(world.of("states")) == 3


@pytest.mark.asyncio
async def test_a_partition_of_small_batches_does_not_wait_for_the_backlog_of_another() -> None:
    """A partition with so many un-acked batches is not fetched, although all of them are done."""
    world = World()
    world.deliver(0, 100)
    async with at_work(world):
        await world.until("handed", len(KEYS))
        for place in range(ENOUGH_FINISHED):
            world.deliver_lone(place)
        await world.until("ack", ENOUGH_FINISHED)
    first = next(place for place, (kind, _) in enumerate(world.log) if kind == "ack")
    written = [states for kind, states in world.log[:first] if kind == "states"]
    assert sum(len(state) for states in written for state in states.values()) == 2 * len(KEYS)
    assert world.of("ack") == [*range(ENOUGH_FINISHED)]


@pytest.mark.asyncio
async def test_an_interrupted_slice_leaves_nothing_to_write() -> None:
    """Its states have changed, and its outputs were not sent: those states must not be written.

    What was being written before is written.
    """
    world = World()
    world.deliver(0, 2 * MOST_SLICES)
    world.stores.clear()
    async with at_work(world):
        await world.until("handed", (MOST_SLICES + 2) * len(KEYS))
        world.takes.clear()
        await settled()
    world.takes.set()
    world.stores.set()
    async with world.work.alone():
        await settled()
    assert len(world.of("states")) == 1
    assert world.written() == {*range(MOST_SLICES * len(KEYS))}
    assert not world.of("ack")


@pytest.mark.asyncio
async def test_a_tick_changes_states_after_all_earlier_work_is_written() -> None:
    world = World()
    world.deliver(0, MOST_SLICES)
    async with at_work(world):
        await world.until("handed", 2 * len(KEYS))
        before: set[int] = set()

        def tick(state: list[int]) -> list[Outgoing]:
            before.update(world.written())
            assert before == set(world.of("output"))
            state.append(-1)
            return [("out", KEYS[0], b"-1", None)]

        await world.work.change(0, KEYS[:1], tick)
        assert before
        assert world.of("output")[-1] == -1
        assert list(world.of("states")[-1]) == KEYS[:1]
        assert world.of("states")[-1][KEYS[0]][-1] == -1


@pytest.mark.asyncio
async def test_what_is_let_go_of_is_written_as_far_as_it_was_done_and_nothing_later() -> None:
    world = World()
    world.deliver(0, 2 * MOST_SLICES)
    async with at_work(world):
        await world.until("handed", 2 * len(KEYS))
        await world.let_go()
        done = list(world.log)
        await settled()
    assert world.log == done
    assert world.written() == set(world.of("handed"))
    assert not world.of("ack")
    assert len(world.of("handed")) < MOST_SLICES * len(KEYS)


@pytest.mark.asyncio
async def test_an_error_in_letting_go_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebalance that went on after it would leave unacked batches, and the partition closed."""
    world = World()

    def died(event: str, *_: Any, **facts: Any) -> None:
        world.log.append(("died", (event, facts["error"])))

    async def fails() -> None:
        raise ValueError

    monkeypatch.setattr(end, "die", died)
    monkeypatch.setattr(world.work._writer, "ended", fails)
    await world.let_go()
    assert world.log == [("died", ("stage.task_failed", "ValueError"))]
