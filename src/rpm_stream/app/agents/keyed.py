"""What both agents do with a batch: pure steps by key, outputs awaited, then state, then the ack.

An interruption at any point repeats the batch from its last written state: offsets that the state has applied are
skipped, later ones give the same bytes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.engine.application import EXIT_STATE, BatchApp, Outgoing, die, settle_collector
from rpm_stream.app.engine.recovery import BytesTable
from rpm_stream.app.metrics import KEYS, STATE_BYTES
from rpm_stream.pipeline.sealed import StateError

SLICE = 64  # messages between two chances for the event loop to send and commit

State = TypeVar("State")


class UnreadableState(Exception):
    """A state in the changelog cannot be restored. Its place there stands for its key, which names a person."""

    def __init__(self, place: tuple[int | None, int | None], fault: str) -> None:
        super().__init__(fault)
        self.partition, self.offset = place
        self.fault = fault


class Form(NamedTuple, Generic[State]):
    """How a state becomes bytes and comes back (without bytes: a fresh one), and how bytes are checked cheaply."""

    unpack: Callable[[bytes | None, str], State]
    pack: Callable[[State], bytes]
    check: Callable[[bytes], None]


class KeyedStates(Generic[State]):
    """States by key: live objects over the table's sealed blobs, dropped at every revocation."""

    def __init__(self, table: BytesTable, form: Form[State]) -> None:
        self._table, self._form = table, form
        self.live: dict[bytes, State] = {}

    def get(self, key: bytes) -> State:
        """The live state of ``key``. Raises UnreadableState."""
        state = self.live.get(key)
        if state is None:
            try:
                state = self.live[key] = self._form.unpack(self._table.blob(key), key.decode(errors="replace"))
            except StateError as error:
                raise UnreadableState(self._table.place_of(key), str(error)) from None
        return state

    def check(self) -> None:
        """Raises UnreadableState if a state cannot be restored: a silent person's would else be missed for long."""
        for key, blob in self._table.restored().items():
            try:
                self._form.check(blob)
            except StateError as error:
                raise UnreadableState(self._table.place_of(key), str(error)) from None

    def pack(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The sealed states of ``keys``."""
        return {key: self._form.pack(self.live[key]) for key in keys}


class BatchWork(Generic[State]):
    """Applies batches of one agent, one at a time."""

    def __init__(self, app: BatchApp, table: BytesTable, states: KeyedStates[State], stage: str) -> None:
        self._app, self._table, self.states, self._stage = app, table, states, stage
        self._settled = False
        table.on_restored = self._check
        self.lock = asyncio.Lock()  # one batch, tick or action at a time: no state is written before its outputs

    async def apply(self, event: Any, step: Callable[[State, ConsumerRecord], list[Outgoing] | None]) -> None:
        """Run ``step`` over the records of one event; None means applied before. Raises what the broker says."""
        partition = event.message.partition
        if not self._settled:  # by the first batch all is loaded: code, tables, registry, the changelog's blobs
            self._settled = True
            settle_collector()
        async with self.lock:
            futures: list[asyncio.Future[Any]] = []
            touched: set[bytes] = set()
            for start in range(0, len(event.value), SLICE):
                outputs: list[Outgoing] = []
                for record in event.value[start : start + SLICE]:
                    key = record.key or b""
                    made = step(self._state(key), record)
                    if made is not None:
                        outputs += made
                        touched.add(key)
                futures += await self._app.producer.send_all(outputs)
                await asyncio.sleep(0)
            await self._write(partition, futures, touched)
            event.ack()

    async def change(self, partition: int, keys: Iterable[bytes], step: Callable[[State], list[Outgoing]]) -> None:
        """Run ``step`` over states without a record (a tick); only what put something out is written.

        Nothing is done for a partition that is no longer ours: another worker may have carried on with it, and our
        state would go behind its own. ``forget`` waits for the lock, so ownership cannot end in the middle.
        """
        async with self.lock:
            if not self._app.consumer.owns(partition):
                return
            futures: list[asyncio.Future[Any]] = []
            touched: set[bytes] = set()
            for key in keys:
                if made := step(self._state(key)):
                    futures += await self._app.producer.send_all(made)
                    touched.add(key)
            await self._write(partition, futures, touched)

    async def forget(self, *_: Any, **__: Any) -> None:
        """Before partitions go to another worker (batches are acked by then): let a tick finish, drop what is live."""
        async with self.lock:
            self.states.live.clear()

    def _check(self) -> None:
        try:
            self.states.check()
        except UnreadableState as error:
            self._end(error)

    def _state(self, key: bytes) -> State:
        try:
            return self.states.get(key)
        except UnreadableState as error:
            self._end(error)

    def _end(self, error: UnreadableState) -> NoReturn:
        die(
            "a state in the changelog cannot be restored; nothing was dropped and nobody begun anew: make it anew "
            "from the topics with 'rpm-stream state rebuild', or start the release that wrote it",
            EXIT_STATE, stage=self._stage, partition=error.partition, offset=error.offset, fault=error.fault,
        )  # fmt: skip

    async def _write(self, partition: int, futures: list[asyncio.Future[Any]], touched: set[bytes]) -> None:
        await asyncio.gather(*futures)
        if touched:
            blobs = self.states.pack(touched)
            await self._table.write(partition, blobs)
            STATE_BYTES.labels(self._stage).set(max(map(len, blobs.values())))
        KEYS.labels(self._stage).set(len(self.states.live))
