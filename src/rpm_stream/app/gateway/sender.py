"""The one task of a gateway that sends what waits in its spool."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from rpm_stream.app.gateway.backlog import Backlog
from rpm_stream.app.gateway.link import GatewayOptions, KafkaLink
from rpm_stream.app.gateway.meters import Meters
from rpm_stream.app.gateway.pace import Pace
from rpm_stream.app.kafka.abandon import abandon

BATCH = 500  # frames in flight at a time
# Bytes in flight at a time. A live frame waits for what is in flight, also on a slow link.
BATCH_BYTES = 512 * 1024

_log = structlog.get_logger(__name__)


class Sender:
    """Sends the waiting frames of one gateway, each device's in order, the devices in turn."""

    def __init__(
        self, link: KafkaLink, backlog: Backlog, meters: Meters, options: GatewayOptions
    ) -> None:
        """Prepare to send what the open ``backlog`` has. Call ``start`` before any other method."""
        self._link = link
        self._backlog = backlog
        self._meters = meters
        self._options = options
        self._progress = asyncio.Event()

    def start(self, name: str) -> None:
        """Send from now on, in a task of that name."""
        self._task = asyncio.create_task(self._run(), name=name)

    async def stop(self) -> None:
        """Stop sending at once."""
        self._task.cancel()
        await asyncio.wait({self._task})

    def check(self) -> None:
        """Raise if the sending task has ended.

        It ends by itself only after a bug or a broken disk.
        """
        if self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            raise RuntimeError(
                "the gateway's sending task has ended; the spool keeps its frames"
            ) from error

    async def drain(self, within: float | None) -> bool:
        """Wait until the broker has everything and return whether it has."""
        try:
            async with asyncio.timeout(within):
                while self._backlog.count:
                    self.check()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        try:
            while True:
                producer = await self._link.producer()
                try:
                    await self._pump(producer)
                except KafkaError as error:
                    self._meters.failures.inc()
                    _log.warning(
                        "gateway.send_failed",
                        kind=type(error).__name__,
                        spooled=self._backlog.count,
                    )
                    await asyncio.sleep(self._options.retry_first)
                finally:
                    await abandon(producer)
        finally:
            self._progress.set()  # wakes callers of drain(), which then see that sending has ended

    async def _pump(self, producer: AIOKafkaProducer) -> None:
        """Send waiting frames, the devices in turn, until an error is raised.

        Ending at the first failure means that no later frame of a device overtakes a failed one.
        """
        pace = Pace(self._options.catch_up_octets)
        while True:
            self._backlog.came.clear()
            most = pace.allowance(BATCH_BYTES)
            frames = await self._backlog.in_turn(BATCH, most)
            if not frames:
                await self._idle()
                continue
            topic = self._options.topic
            sends = [
                await producer.send(topic, frame.wire, key=frame.device.encode())
                for frame in frames
            ]
            await asyncio.gather(*sends)
            await self._backlog.acknowledged(frames)
            self._progress.set()
            pace.spend(sum(len(frame.wire) for frame in frames))
            await pace.rest(self._backlog.came)

    async def _idle(self) -> None:
        """Wait until there is something to send.

        Deletions for which there was no room are tried again in the meantime.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(
                self._backlog.came.wait(),
                self._options.retry_longest if self._backlog.has_unforgotten else None,
            )
        if self._backlog.has_unforgotten:
            await self._backlog.forget()
            self._progress.set()
