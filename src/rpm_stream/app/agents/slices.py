"""The results of slices of work, made durable: outputs, then states, then the ack.

Each writing costs two round trips to the broker and the packing of each changed state. So while
more records wait, some slices are written together. One writing is under way at a time, in the
order of the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.holding import Holding
from rpm_stream.app.agents.states import KeyedStates
from rpm_stream.app.engine.application import Outgoing
from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.delivery import MOST_BATCHES
from rpm_stream.app.runtime.end import guarded
from rpm_stream.app.runtime.metrics import KEYS, STATE_BYTES

# Slices that are written together. An interruption repeats twice as many at most: some are being
# written while others are gathered.
MOST_SLICES = 8
# Finished deliveries that are not left unwritten: their acks open a full partition again.
ENOUGH_FINISHED = MOST_BATCHES // 2

State = TypeVar("State")
Packed = dict[int, dict[bytes, bytes]]  # sealed states by partition and key


class Delivery:
    """One event with the fetched records of a partition, acked when all of them are written.

    ``step`` returns the outputs for a record, or None for one that was applied before.
    ``has_state`` means that it changes the state of the record's key. ``left`` is the number of
    records without their step.
    """

    __slots__ = ("event", "has_state", "left", "step")

    def __init__(
        self, event: Any, step: Callable[[ConsumerRecord], list[Outgoing] | None], has_state: bool
    ) -> None:
        self.event = event
        self.step = step
        self.has_state = has_state
        self.left = len(event.value)


class Done:
    """The unwritten results of some slices.

    They are the pending outputs, the changed keys, and the deliveries whose last step is done.
    """

    def __init__(self) -> None:
        self.slices = 0
        self.futures: list[asyncio.Future[Any]] = []
        self.touched: dict[int, set[bytes]] = {}  # keys by partition
        self.finished: list[Delivery] = []


class SliceWriter(Generic[State]):
    """Writes the slices of one agent, in their order."""

    def __init__(
        self, stage: str, table: BytesTable, states: KeyedStates[State], holding: Holding
    ) -> None:
        self._stage = stage
        self._table = table
        self._states = states
        self._holding = holding
        self._unwritten = Done()
        self._writing: asyncio.Task[None] | None = None

    def take(self) -> Done:
        """Return the unwritten results, to which a slice adds its own."""
        done, self._unwritten = self._unwritten, Done()
        return done

    async def put(self, done: Done, more_waits: bool) -> None:
        """Take back the results with those of one more slice, and write them if that is due.

        It is due when no more records wait, and after some slices or finished deliveries.
        """
        done.slices += 1
        self._unwritten = done
        if not more_waits or done.slices >= MOST_SLICES or len(done.finished) >= ENOUGH_FINISHED:
            await self._begin()

    async def _begin(self) -> None:
        """Begin a writing. Returns when the one before has ended."""
        done = self.take()
        states = self._packed(done)  # as of these slices; the next one changes them
        before = self._writing
        self._writing = asyncio.create_task(
            guarded(lambda: self._finish(before, done, states), "writing slices")
        )
        await _ended(before)

    async def ended(self) -> None:
        """Wait until all that was put is written."""
        if self._unwritten.slices:
            await self._begin()
        await _ended(self._writing)

    async def write(self, done: Done) -> None:
        """Write what was changed without a delivery. All that was put must have ended."""
        await self._write(done, self._packed(done))

    async def _finish(self, before: asyncio.Task[None] | None, done: Done, states: Packed) -> None:
        await _ended(before)
        await self._write(done, states)
        for delivery in done.finished:
            delivery.event.ack()

    def _packed(self, done: Done) -> Packed:
        return {partition: self._packed_states(keys) for partition, keys in done.touched.items()}

    def _packed_states(self, keys: set[bytes]) -> dict[bytes, bytes]:
        held = {key for key in keys if key in self._holding}
        return self._states.pack(keys - held) | {key: self._holding.packed(key) for key in held}

    async def _write(self, done: Done, states: Packed) -> None:
        await asyncio.gather(*done.futures)
        await asyncio.gather(
            *(self._table.write(partition, blobs) for partition, blobs in states.items())
        )
        if states:
            await self._holding.announce(key for blobs in states.values() for key in blobs)
            STATE_BYTES.labels(self._stage).set(
                max(len(blob) for blobs in states.values() for blob in blobs.values())
            )
        KEYS.labels(self._stage).set(len(self._states.live))


async def _ended(writing: asyncio.Task[None] | None) -> None:
    """Wait until a writing has ended. A cancelled waiter does not cancel the writing.

    Raises CancelledError if the writing itself was cancelled, because nothing may be written after
    it.
    """
    if writing is not None:
        await asyncio.wait({writing})
        if writing.cancelled():
            raise asyncio.CancelledError
