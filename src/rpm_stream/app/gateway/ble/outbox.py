"""What one device sent, on its way into frames: in order, what came together in one frame, nothing
before it is safe.

One outbox a device for the life of the gateway: what had arrived when a link broke is sent all the
same.
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
# entries in memory while the disk is full: then the oldest go, and the operator is told
KEPT = 50_000
RETRY_SECONDS = 5.0
# a glucose value waits so long for its context: ingest joins them in one frame
CONTEXT_SECONDS = 2.0
GLUCOSE = "2A18"
CONTEXT = "2A34"
CONTEXT_FOLLOWS = 0b10000

_log = structlog.get_logger(__name__)


class Send(Protocol):
    """``Gateway.send``, as far as it is needed here."""

    def __call__(self, device: str, *, notifications: Sequence[Notification]) -> Awaitable[object]:
        """Returns once the frames are safe on disk; ``OSError`` when there is no room."""
        ...


@dataclass
class _Entry:
    notification: Notification
    due: float  # in the loop's time
    held: float  # not to be sent before, nor anything behind it
    sequence: bytes | None  # of a glucose value whose context is to follow


class Outbox:
    """The entries of one device that are not yet on the gateway's disk."""

    def __init__(self, device: str, send: Send, clock: Callable[[], datetime]) -> None:
        """``clock`` gives the moment of an entry; what is due follows the event loop's own time."""
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
        """Take a value at the moment of its arrival; it may wait ``gather`` seconds for others
        of its kind.
        """
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
        """How many found no room since this was asked last."""
        dropped = self._dropped
        self._dropped = 0
        return dropped

    def __len__(self) -> int:
        return len(self._entries)

    async def flush(self) -> None:
        """Until all that was put is safe; nothing waits for company any more."""
        for entry in self._entries:
            entry.due = entry.held = 0.0
        self._wake.set()
        await self._calm.wait()

    async def run(self) -> None:
        """Send for ever. When it is cancelled, what is being written is written all the same."""
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
        """What to send now, or when to look again (None: at the next entry)."""
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
                batch.pop()  # its context is behind it
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
    """The sequence number of a glucose value that says that its context follows."""
    if characteristic != GLUCOSE or len(payload) < 3 or not payload[0] & CONTEXT_FOLLOWS:
        return None
    return payload[1:3]
