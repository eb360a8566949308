"""The frames of a gateway that wait for the broker: the spool in a thread of its own, and counted.

The event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from rpm_stream.app.gateway.meters import Meters
from rpm_stream.app.gateway.spool import Spool, Spooled
from rpm_stream.app.gateway.spool_disk import SpoolFull

Result = TypeVar("Result")

_log = structlog.get_logger(__name__)


class _Sent(msgspec.Struct):
    """The send time of a spooled frame."""

    sent_at: datetime


_sent = msgspec.json.Decoder(_Sent).decode


class Backlog:
    """The waiting frames of one gateway, from storing them to deleting what was acknowledged."""

    def __init__(self, path: Path, max_bytes: int | None, meters: Meters) -> None:
        """Prepare the spool at ``path``. Call ``open`` before any other method."""
        self.count = 0  # frames on disk that the broker has not acknowledged
        self.devices: set[str] = set()  # all for which this gateway has ever sent
        self._path = path
        self._max_bytes = max_bytes
        self._meters = meters
        # per device: the last spool id that is acknowledged but not yet deleted
        self._sent: dict[str, int] = {}
        self._unforgotten = 0  # number of frames that are acknowledged but not yet deleted

    async def open(self) -> None:
        """Open the spool. Raises ``SpoolInUse``, or ``OSError`` for one that cannot be used."""
        self._loop = asyncio.get_running_loop()
        self.came = asyncio.Event()  # set after each frame that was stored
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-spool")
        async with AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown, wait=False)
            self._spool = await self._disk(lambda: Spool(self._path, self._max_bytes))
            stack.push_async_callback(self._disk, self._spool.close)
            self.count = await self._disk(self._spool.count)
            self.devices = await self._disk(self._spool.devices)
            await self._disk(self._show)
            self._opened = stack.pop_all()

    async def close(self) -> None:
        """Close the spool and end its thread."""
        await self._opened.aclose()

    @property
    def boot(self) -> str:
        """The name of this lifetime of the spool."""
        return self._spool.boot

    async def put(self, device: str, makers: Sequence[Callable[[int], bytes]]) -> None:
        """Store frames of ``device`` under new numbers. See ``Spool.put``."""
        await self._store(lambda: self._spool.put(device, makers), {device})

    async def put_ready(self, frames: Sequence[tuple[str, bytes]]) -> None:
        """Store pairs of device and JSON as they are. See ``Spool.put_ready``."""
        await self._store(lambda: self._spool.put_ready(frames), {device for device, _ in frames})

    async def in_turn(self, limit: int, most: int) -> list[Spooled]:
        """Return the next frames to send. See ``Spool.in_turn``."""
        return await self._disk(partial(self._spool.in_turn, self._sent, limit, most))

    async def acknowledged(self, frames: Sequence[Spooled]) -> None:
        """Delete frames that the broker has. If there is no room for that, ``forget`` does it."""
        self._sent |= {frame.device: frame.id for frame in frames}
        self._unforgotten += len(frames)
        self._meters.acknowledged.inc(len(frames))
        await self.forget()

    @property
    def has_unforgotten(self) -> bool:
        """Whether acknowledged frames are still on disk."""
        return self._unforgotten > 0

    async def forget(self) -> None:
        """Delete the acknowledged frames if there is room for that."""
        await self._disk(self._forget)

    # --- in the thread of the spool ---------------------------------------------------------------

    async def _disk(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in the one thread that owns the spool."""
        return await self._loop.run_in_executor(self._thread, work)

    async def _store(self, put: Callable[[], int], devices: set[str]) -> None:
        # Counted in the thread: a caller that is cancelled in between has still stored its frames.
        def stored() -> None:
            try:
                self.count += put()
            except SpoolFull:
                self._meters.refused.inc()
                raise
            self.devices |= devices
            self._show()
            self._loop.call_soon_threadsafe(self.came.set)

        await self._disk(stored)

    def _forget(self) -> None:
        try:
            self._spool.forget(self._sent)
        except SpoolFull:
            # Acknowledged frames stay on the disk until there is room to delete them. After a crash
            # they go out twice.
            _log.warning("gateway.spool_full", spooled=self.count)
            return
        self._sent.clear()
        self.count -= self._unforgotten
        self._unforgotten = 0
        self._show()

    def _show(self) -> None:
        """Update the metrics about waiting frames."""
        oldest = self._spool.oldest()
        self._meters.spooled.set(self.count)
        self._meters.spool_bytes.set(self._spool.size())
        self._meters.waits_since(None if oldest is None else _sent(oldest).sent_at)
