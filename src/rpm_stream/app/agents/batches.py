"""The work of both agents on deliveries: pure steps, then outputs, then states, then the ack.

The records are taken in slices, whose keys take turns (``fair_queue.py``). Outputs leave with each
slice. While more records wait, some slices are written together (``slices.py``). An interruption at
any point repeats the work from the last written states. Offsets that a state has applied are
skipped, and later ones give the same bytes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.fair_queue import QueuedRecord, Turns
from rpm_stream.app.agents.slices import Delivery, Done, SliceWriter
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.engine.application import BatchApp, Outgoing
from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.runtime.end import guarded

AT_ONCE = 32  # messages between two chances of the event loop to send and commit

State = TypeVar("State")


class TurnPolicy(NamedTuple):
    """The stage, how its records take turns, and the sizes of its slices and turns.

    Records for which ``turn_of`` returns the same value keep their order.

    ``slice_bytes`` is the size in bytes of the values of one slice, about a tenth of a second of
    work. ``turn_bytes`` is the size of one turn. A record whose key had nothing waiting comes
    before the backlogs that had a turn, once a round.
    """

    stage: str
    turn_of: Callable[[ConsumerRecord], Hashable]
    slice_bytes: int
    turn_bytes: int


class BatchWork(Generic[State]):
    """Applies the deliveries of one agent in slices.

    One slice is worked on while earlier ones are written.
    """

    def __init__(
        self, app: BatchApp, table: BytesTable, place: TurnPolicy, steps: StateSteps[State]
    ) -> None:
        self._app = app
        self._table = table
        self._place = place
        self._steps = steps
        self._writer = SliceWriter(place.stage, table, steps.states, steps.holding)
        self._turns: Turns[Delivery] = Turns(place.turn_bytes)
        self._some = asyncio.Event()
        table.on_restored = self._restored
        app.let_go = lambda: guarded(self._let_go, "letting go of partitions")
        self.lock = asyncio.Lock()  # one slice or tick at a time changes states

    def add(
        self, event: Any, step: Callable[[State, ConsumerRecord], list[Outgoing] | None]
    ) -> None:
        """Queue the records of one event for ``step``, which gets each with the state of its key.

        ``step`` returns None for a record that the state has applied before. The records of a held
        key are passed over.
        """
        self._wait(Delivery(event, partial(self._steps.apply, step), has_state=True))

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

    async def run(self) -> None:
        """Work for ever. Raises the broker's errors."""
        while not self._app.should_stop:
            await self._some.wait()
            async with self.lock:
                await self._apply(self._turns.take(self._place.slice_bytes))
            if not self._turns:
                self._some.clear()

    async def _apply(self, taken: list[QueuedRecord[Delivery]]) -> None:
        """Run the steps over one slice, and give what was done to the writer.

        Where it is interrupted, nothing since the last writing is written, and the work must not
        go on. The states have changed then, and some of their outputs were not sent.
        """
        done = self._writer.take()
        for start in range(0, len(taken), AT_ONCE):
            outputs: list[Outgoing] = []
            for delivery, record in taken[start : start + AT_ONCE]:
                passed_on = self._steps.passed_on(record) if delivery.has_state else None
                made = delivery.step(record) if passed_on is None else passed_on
                if made is not None:
                    outputs += made
                    if delivery.has_state and passed_on is None:
                        done.touched.setdefault(record.partition, set()).add(record.key or b"")
                delivery.left -= 1
                if not delivery.left:
                    done.finished.append(delivery)
            done.futures += await self._app.producer.send_all(outputs)
            await asyncio.sleep(0)
        await self._writer.put(done, more_waits=bool(self._turns))

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
            done = Done()
            following = self._app.consumer.next_of(self._table.source, partition)
            for key in keys:
                made = self._steps.change(step, key, partition, following)
                if made is not None:
                    done.futures += await self._app.producer.send_all(made)
                    done.touched.setdefault(partition, set()).add(key)
            await self._writer.write(done)

    async def _let_go(self) -> None:
        """Drop the work that has not begun, finish a slice or tick under way, and write all.

        It runs before partitions go to another worker, which reads the dropped records again from
        the commit. A backlog that were worked off first would hold up the whole group, and Faust
        waits for every message that is still referred to.

        An error ends the process. aiokafka would only log it, and the batches that were not acked
        would then keep their partition closed.
        """
        self._turns.clear()
        async with self.lock:
            self._turns.clear()
            await self._writer.ended()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A context in which nothing else changes states, and all earlier work is written.

        No state may become durable before its outputs.
        """
        async with self.lock:
            await self._writer.ended()
            yield

    async def _restored(self, partitions: set[int]) -> None:
        await self._steps.holding.begin(partitions, self._steps.states.begin(partitions))
