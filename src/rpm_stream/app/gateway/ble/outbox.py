"""Collects the values of one device into frames.

The values keep their order. Values that came together share a frame. A value leaves the outbox only
when it is safe on disk.

A device has one outbox for the life of the gateway. Values that had arrived when a link broke are
therefore sent all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from rpm_stream.records import Notification

BATCH = 500  # entries of one frame; half of what a frame may have
# Entries kept in memory while the disk is full. Beyond that the oldest are dropped and logged.
KEPT = 50_000
RETRY_SECONDS = 5.0
# time for which a glucose value waits for its context, because ingest joins them within one frame
CONTEXT_SECONDS = 2.0
GLUCOSE = "2A18"
CONTEXT = "2A34"
CONTEXT_FOLLOWS = 0b10000

_log = structlog.get_logger(__name__)


class Send(Protocol):
    """The part of ``Gateway.send`` that an outbox needs."""

    def __call__(self, device: str, *, notifications: Sequence[Notification]) -> Awaitable[object]:
        """Store the frames and return once they are safe. Raises ``OSError`` without room."""
        ...


@dataclass
class _Entry:
    notification: Notification
    due: float  # in the loop's time
    held: float  # earliest time to send it and the entries behind it
    sequence: bytes | None  # number of a glucose value whose context is to follow


class Outbox:
    """The entries of one device that are not yet on the gateway's disk."""

    def __init__(self, device: str, send: Send, clock: Callable[[], datetime]) -> None:
        """Prepare an empty outbox.

        ``clock`` gives the time in an entry. Waiting uses the event loop's own time.
        """
        self.device = device
        self._dropped = 0
        self._send = send
        self._clock = clock
        self._entries: deque[_Entry] = deque()
        self._sending = False
        self._wake = asyncio.Event()
        self._calm = asyncio.Event()
        self._calm.set()

    def put(self, characteristic: str, payload: bytes, gather: float = 0.0) -> None:
        """Take a value when it arrives. It may wait ``gather`` seconds for others of its kind."""
        now = asyncio.get_running_loop().time()
        notification = Notification(
            at=self._clock(), characteristic=characteristic, payload=payload.hex()
        )
        sequence = _awaits_context(characteristic, payload)
        held = now if sequence is None else now + CONTEXT_SECONDS
        self._entries.append(_Entry(notification, now + gather, held, sequence))
        if characteristic == CONTEXT:
            self._release(payload[1:3])
        if len(self._entries) > KEPT:
            self._entries.popleft()
            self._dropped += 1
        self._calm.clear()
        self._wake.set()

    def _release(self, sequence: bytes) -> None:
        for entry in self._entries:
            if entry.sequence == sequence:
                entry.held = 0.0

    def take_dropped(self) -> int:
        """Return how many values were dropped since the last call."""
        dropped = self._dropped
        self._dropped = 0
        return dropped

    def __len__(self) -> int:
        return len(self._entries)

    async def flush(self) -> None:
        """Send everything without further waiting, and return once it is safe."""
        for entry in self._entries:
            entry.due = entry.held = 0.0
        self._wake.set()
        await self._calm.wait()

    async def run(self) -> None:
        """Send for ever. A frame that is being written at a cancellation is still written."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            batch, again = self._ready(loop.time())
            if batch:
                await self._store(batch)
                continue
            if not self._entries:
                self._calm.set()
            try:
                async with asyncio.timeout_at(again):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _ready(self, now: float) -> tuple[list[_Entry], float | None]:
        """Return what to send now, or when to look again (None: at the next entry)."""
        free: list[_Entry] = []
        again: list[float] = []
        for entry in self._entries:
            if entry.held > now:
                again.append(entry.held)
                break
            free.append(entry)
            if len(free) > BATCH:
                break
        if any(entry.due <= now for entry in free):
            batch = free[:BATCH]
            while len(batch) > 1 and len(free) > BATCH and batch[-1].sequence is not None:
                batch.pop()  # its context is behind it, so they go into the next frame
            return batch, None
        again += [entry.due for entry in free]
        return [], min(again, default=None)

    async def _store(self, batch: list[_Entry]) -> None:
        for _ in batch:
            self._entries.popleft()
        try:
            await self._send(self.device, notifications=[entry.notification for entry in batch])
        except OSError as error:
            self._entries.extendleft(reversed(batch))
            _log.error("ble.spool_refuses", kind=type(error).__name__, waiting=len(self._entries))
            await asyncio.sleep(RETRY_SECONDS)


def _awaits_context(characteristic: str, payload: bytes) -> bytes | None:
    """Return the sequence number of a glucose value that announces a context, else None."""
    if characteristic != GLUCOSE or len(payload) < 3 or not payload[0] & CONTEXT_FOLLOWS:
        return None
    return payload[1:3]
