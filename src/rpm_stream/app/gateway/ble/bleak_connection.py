"""Requests over a bleak connection, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from bleak import BleakClient

from rpm_stream.app.gateway.ble.bleak_errors import RAISED, of_link
from rpm_stream.app.gateway.ble.radio import LinkLost, NotPaired

Answer = TypeVar("Answer")

ANSWER_SECONDS = 30.0  # ATT's limit: after it no more requests are allowed on the connection
CLOSE_SECONDS = 5.0
# Values that came before the end may still be on their way, because they travel by another socket.
DRAIN_SECONDS = 0.1


class BleakConnection:
    """A connected ``BleakClient`` that answers in time or has ended.

    An end has two moments: from the first on no more requests are allowed, but values that still
    arrive are delivered. At the second ``gone`` is set.
    """

    def __init__(self, client: BleakClient, gone: asyncio.Event) -> None:
        """Wrap ``client``. ``gone`` is set when all is over."""
        self.refused_for_keys = False  # whether the device ever wanted a pairing
        self._client = client
        self._gone = gone
        self._dying = False
        self._released: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise ``LinkLost`` if no more requests are allowed."""
        if self._dying:
            raise LinkLost("the connection has ended")

    def ended(self) -> None:
        """Mark the connection as ended, after bleak has delivered all earlier values.

        bleak's resources are released in the background. Otherwise each lost connection would keep
        a D-Bus connection and a watcher, and later values would arrive once for each of them.
        """
        self._dying = True
        if not self._gone.is_set():
            self._gone.set()
            self._released = self._released or asyncio.ensure_future(self._release())

    def lost(self) -> None:
        """Mark the connection as lost when another source reports it.

        Such a source is the adapter that went away, or a request that got no answer. Values may
        still be on their way.
        """
        if not self._dying:
            self._dying = True
            self._released = asyncio.ensure_future(self._drained())

    async def _drained(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._gone.wait()
        await self._release()

    async def _release(self) -> None:
        try:
            with suppress(*RAISED):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._client.disconnect()
        finally:
            self._gone.set()

    async def close(self) -> None:
        """Disconnect within at most five seconds. Never raises for a link that is gone."""
        self._dying = True
        self._released = self._released or asyncio.ensure_future(self._release())
        await asyncio.shield(self._released)

    async def ask(
        self, request: Coroutine[Any, Any, Answer], within: float | None = None
    ) -> Answer:
        """Return the answer to ``request``. Raises the errors of ``radio.py``.

        BlueZ answers nothing on a connection that has just ended. The request is therefore raced
        against the end of the connection.
        """
        task = asyncio.ensure_future(request)
        ended = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait(
                {task, ended}, timeout=within or ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if ended.done():
                raise LinkLost("the connection has ended")
            raise TimeoutError
        except RAISED as error:
            fault = of_link(error, self._client.is_connected and not self._dying)
            self.refused_for_keys = self.refused_for_keys or isinstance(fault, NotPaired)
            if isinstance(fault, LinkLost):
                self.lost()
            raise fault from error
        finally:
            task.cancel()
            ended.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)
