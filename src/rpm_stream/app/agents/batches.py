"""The work of both agents on deliveries: pure steps, then outputs, then states, then the ack.

The records are taken in slices, whose keys take turns (``turns``). An interruption at any point
repeats the work from the last written states. Offsets that a state has applied are skipped, and
later ones give the same bytes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.fair_queue import QueuedRecord, Turns
from rpm_stream.app.agents.holding import Holding
from rpm_stream.app.agents.states import KeyedStates, UnreadableState
from rpm_stream.app.engine.application import BatchApp, Copy, Outgoing, settle_collector
from rpm_stream.app.engine.recovery import BytesTable
from rpm_stream.app.kafka.moved import headers_of
from rpm_stream.app.runtime.end import guarded
from rpm_stream.app.runtime.metrics import KEYS, STATE_BYTES

AT_ONCE = 64  # messages between two chances of the event loop to send and commit

State = TypeVar("State")
Packed = dict[int, dict[bytes, bytes]]  # sealed states by partition and key


class Slice:
    """The results of one slice: pending outputs, changed keys, and a delivery for each record."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[Any]] = []
        self.touched: dict[int, set[bytes]] = {}  # keys by partition
        self.deliveries: list[Delivery] = []


class TurnPolicy(NamedTuple):
    """The stage, how its records take turns, and the sizes of its slices and turns.

    Records for which ``turn_of`` returns the same value keep their order.

    ``slice_bytes`` is the size in bytes of the values of one slice, about a tenth of a second of
    work. A new record waits for two such slices. Each slice costs two round trips to the broker and
    the packing of each state that it changed. ``turn_bytes`` is the size of one turn.
    """

    stage: str
    turn_of: Callable[[ConsumerRecord], Hashable]
    slice_bytes: int
    turn_bytes: int


class Delivery:
    """One event with the fetched records of a partition, acked when the last of them is done.

    ``step`` returns the outputs for a record, or None for one that was applied before.
    ``has_state`` means that it changes the state of the record's key.
    """

    __slots__ = ("event", "has_state", "left", "step")

    def __init__(
        self, event: Any, step: Callable[[ConsumerRecord], list[Outgoing] | None], has_state: bool
    ) -> None:
        self.event = event
        self.step = step
        self.has_state = has_state
        self.left = len(event.value)


class BatchWork(Generic[State]):
    """Applies the deliveries of one agent in slices.

    One slice is worked on while the one before is written.

    ``elsewhere`` returns the outputs that replace the step, for a record whose key's state is in
    another partition. ``too_large`` does so for a record that is too large to be copied.
    """

    def __init__(
        self,
        app: BatchApp,
        table: BytesTable,
        states: KeyedStates[State],
        place: TurnPolicy,
        holding: Holding[State],
    ) -> None:
        self._app = app
        self._table = table
        self.states = states
        self._place = place
        self._holding = holding
        holding.work = self
        self._turns: Turns[Delivery] = Turns(place.turn_bytes)
        self._some = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        table.on_restored = self._restored
        app.let_go = self._let_go
        self.elsewhere: Callable[[ConsumerRecord], list[Outgoing] | None] = lambda _: None
        self.too_large: Callable[[ConsumerRecord], list[Outgoing] | None] = lambda _: None
        self.lock = asyncio.Lock()  # one slice or tick at a time changes states

    def add(
        self, event: Any, step: Callable[[State, ConsumerRecord], list[Outgoing] | None]
    ) -> None:
        """Queue the records of one event for ``step``, which gets each with the state of its key.

        ``step`` returns None for a record that the state has applied before. The records of a held
        key are passed over.
        """

        def on_state(record: ConsumerRecord) -> list[Outgoing] | None:
            if (key := record.key or b"") in self._holding:
                return self._holding.pass_over(record)
            try:
                state = self.states.get(key, record.partition)
            except UnreadableState as one:  # a fault that the check of its seal did not find
                self._holding.hold(one, record.offset)
                return self._holding.pass_over(record) or []
            return step(state, record)

        self._wait(Delivery(event, on_state, has_state=True))

    def pass_on(self, event: Any, step: Callable[[ConsumerRecord], list[Outgoing]]) -> None:
        """Queue an event for a step without state.

        As with ``add`` it takes turns and is acked after its outputs, but no state is written.
        """
        self._wait(Delivery(event, step, has_state=False))

    def _wait(self, delivery: Delivery) -> None:
        if self._app.consumer.revoked:
            # It was delivered at the moment of the revocation. The next owner reads it again from
            # the commit.
            return
        by_turn: dict[Hashable, list[QueuedRecord[Delivery]]] = {}
        for record in delivery.event.value:
            by_turn.setdefault(self._place.turn_of(record), []).append(
                QueuedRecord(delivery, record)
            )
        for turn, waiting in by_turn.items():
            self._turns.add(turn, waiting)
        self._some.set()

    def _passed_on(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs that replace the step, or None for a record in its key's partition.

        The kept messages of a held key are known by the offsets of one partition. So a message in
        another partition is copied there too.
        """
        kept = self._holding.kept.get(record.key or b"")
        if kept is None:
            return self.elsewhere(record)
        if kept.partition == record.partition:
            return None
        place = (record.topic, record.key, record.value or b"", kept.partition)
        return self.too_large(record) or [Copy(place, headers_of(record))]

    async def run(self) -> None:
        """Work for ever. Raises the broker's errors."""
        await self._some.wait()
        settle_collector()  # all is loaded by now: code, tables, registry, blobs
        while not self._app.should_stop:
            await self._some.wait()
            async with self.lock:
                await self._apply(self._turns.take(self._place.slice_bytes))
            if not self._turns:
                self._some.clear()

    async def _apply(self, taken: list[QueuedRecord[Delivery]]) -> None:
        """Run the steps over one slice and begin to write it.

        Returns when the slice before is written.
        """
        done = Slice()
        for start in range(0, len(taken), AT_ONCE):
            outputs: list[Outgoing] = []
            for delivery, record in taken[start : start + AT_ONCE]:
                passed_on = self._passed_on(record) if delivery.has_state else None
                made = delivery.step(record) if passed_on is None else passed_on
                if made is not None:
                    outputs += made
                    if delivery.has_state and passed_on is None:
                        done.touched.setdefault(record.partition, set()).add(record.key or b"")
                done.deliveries.append(delivery)
            done.futures += await self._app.producer.send_all(outputs)
            await asyncio.sleep(0)
        states = self._packed(done)  # as of this slice; the next one changes them
        before = self._writing
        self._writing = asyncio.create_task(
            guarded(lambda: self._finish(before, done, states), "writing a slice")
        )
        await _ended(before)

    async def change(
        self, partition: int, keys: Iterable[bytes], step: Callable[[State], list[Outgoing]]
    ) -> None:
        """Run ``step`` over states without a record (a tick). Only states with outputs are written.

        Nothing is done for a partition that another worker owns by now. That worker may have
        carried on, and our state would come behind its own. ``_let_go`` waits for the lock, so
        ownership cannot end in the middle.
        """
        async with self.alone():
            if not self._app.consumer.owns(partition):
                return
            done = Slice()
            for key in keys:
                if key in self._holding:
                    continue
                try:
                    made = step(self.states.get(key, partition))
                except UnreadableState as one:
                    # no delivered and unapplied message is before this offset
                    self._holding.hold(
                        one, self._app.consumer.next_of(self._table.source, partition)
                    )
                    made = []
                if made or key in self._holding:
                    done.futures += await self._app.producer.send_all(made)
                    done.touched.setdefault(partition, set()).add(key)
            await self._write(done, self._packed(done))

    async def _let_go(self) -> None:
        """Drop the work that has not begun, and finish a slice or tick under way.

        It runs before partitions go to another worker, which reads the dropped records again from
        the commit. A backlog that were worked off first would hold up the whole group, and Faust
        waits for every message that is still referred to.
        """
        self._turns.clear()
        async with self.lock:
            self._turns.clear()
            await _ended(self._writing)

    async def _finish(self, before: asyncio.Task[None] | None, done: Slice, states: Packed) -> None:
        await _ended(before)
        await self._write(done, states)
        for delivery in done.deliveries:
            delivery.left -= 1
            if not delivery.left:
                delivery.event.ack()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A context in which nothing else changes states, and all earlier work is written.

        No state may become durable before its outputs.
        """
        async with self.lock:
            await _ended(self._writing)
            yield

    async def _restored(self, partitions: set[int]) -> None:
        await self._holding.begin(partitions, self.states.begin(partitions))

    def _packed(self, done: Slice) -> Packed:
        return {partition: self._packed_states(keys) for partition, keys in done.touched.items()}

    def _packed_states(self, keys: set[bytes]) -> dict[bytes, bytes]:
        held = {key for key in keys if key in self._holding}
        return self.states.pack(keys - held) | {key: self._holding.packed(key) for key in held}

    async def _write(self, done: Slice, states: Packed) -> None:
        await asyncio.gather(*done.futures)
        await asyncio.gather(
            *(self._table.write(partition, blobs) for partition, blobs in states.items())
        )
        if states:
            await self._holding.announce(key for blobs in states.values() for key in blobs)
            STATE_BYTES.labels(self._place.stage).set(
                max(len(blob) for blobs in states.values() for blob in blobs.values())
            )
        KEYS.labels(self._place.stage).set(len(self.states.live))


async def _ended(writing: asyncio.Task[None] | None) -> None:
    """Wait until a slice is written. A cancelled waiter does not cancel the writing.

    Raises CancelledError if the writing itself was cancelled, because nothing may be written after
    it.
    """
    if writing is not None:
        await asyncio.wait({writing})
        if writing.cancelled():
            raise asyncio.CancelledError
