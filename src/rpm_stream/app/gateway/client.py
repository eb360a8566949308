"""The gateway client that a gateway developer imports.

It loses no uplink and never sends one uplink under two ids.

``send`` returns when the frame is safe on this machine's disk (see ``spool``), not when the broker
has it. A broker that is away for a week therefore costs disk space and nothing else.

One task sends the waiting frames: each device's frames in order, the devices in turn. It uses an
idempotent producer with ``acks=all``, the device as the key and no timestamp, because the broker's
append time counts. A frame is deleted only after the broker has acknowledged it. After a crash a
frame may be sent again under the same id and ``seq``, and the service drops the second copy.

    async with Gateway("kafka.example.org:9092", "gw-17", spool_dir=Path("/var/lib/gw")) as gateway:
        beat = Notification(at=now, characteristic="2A37", payload="0048")
        await gateway.send("strap-3", notifications=[beat])
        async for reject in gateway.rejects():
            ...
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from rpm_stream.app.gateway.link import GatewayOptions, KafkaLink
from rpm_stream.app.gateway.meters import Meters
from rpm_stream.app.gateway.pace import Pace
from rpm_stream.app.gateway.rejects import rejects_of
from rpm_stream.app.gateway.spool import Spool, SpoolFull
from rpm_stream.app.gateway.wire import FrameEntries, check_values, chunks, encode_frame, frame_id
from rpm_stream.app.kafka.abandon import abandon
from rpm_stream.records import Frame, Measurement, Notification, Reject

Result = TypeVar("Result")

GATEWAY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # it names a file and a consumer group
BATCH = 500  # frames in flight at a time
# Bytes in flight at a time. A live frame waits for what is in flight, also on a slow link.
BATCH_BYTES = 512 * 1024

_log = structlog.get_logger(__name__)


class _Sent(msgspec.Struct):
    """The send time of a spooled frame."""

    sent_at: datetime


_sent = msgspec.json.Decoder(_Sent).decode


class Gateway:
    """One gateway, as an asynchronous context manager.

    Do not share an instance between event loops or processes.
    """

    def __init__(
        self,
        bootstrap: str,
        gateway_id: str,
        *,
        spool_dir: Path,
        options: GatewayOptions | None = None,
    ) -> None:
        """Prepare the gateway ``gateway_id`` with its spool file in ``spool_dir``.

        ``gateway_id`` has 1 to 64 letters, digits, dots, underscores or hyphens. It is written into
        each frame and names the spool file. Raises ``ValueError`` for any other id.
        """
        if not GATEWAY_ID.fullmatch(gateway_id):
            raise ValueError(
                "a gateway id has 1 to 64 letters, digits, dots, underscores or hyphens"
            )
        self.gateway_id = gateway_id
        # where the gateway is, such as "+02:00"; written into each frame
        self.utc_offset: str | None = None
        self._path = spool_dir / f"{gateway_id}.spool"
        self._options = options or GatewayOptions()
        self.meters = Meters(self._options.clock)
        self._link = KafkaLink(bootstrap, f"rpm-gateway-{gateway_id}", self._options)
        self._spooled = 0
        # per device: the last spool id that is acknowledged but not yet deleted
        self._sent: dict[str, int] = {}
        self._unforgotten = 0  # number of frames that are acknowledged but not yet deleted
        self._devices: set[str] = set()

    async def __aenter__(self) -> Self:
        """Open the spool and start to send what waits in it.

        Raises ``SpoolInUse``, or ``OSError`` for a spool or a metrics port that cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway-spool")
        self._unlisten: Callable[[], None] | None = None
        try:
            if self._options.metrics_port is not None:
                self._unlisten = self.meters.serve(
                    self._options.metrics_host, self._options.metrics_port
                )
            self._spool = await self._disk(lambda: Spool(self._path, self._options.max_spool_bytes))
        except BaseException:
            self._end()
            raise
        self._spooled = await self._disk(self._spool.count)
        self._devices = await self._disk(self._spool.devices)
        await self._disk(self._show)
        self._task = asyncio.create_task(self._run(), name=f"gateway {self.gateway_id}")
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Stop sending, after at most ``close_within`` seconds of waiting for the broker.

        After an exception it does not wait. Frames that were not sent stay in the spool.
        """
        try:
            if kind is None:
                await self.drain(self._options.close_within)
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self._disk(self._spool.close)
            self._end()
            if self._spooled:
                _log.warning("gateway.closed_with_spool", spooled=self._spooled)

    def _end(self) -> None:
        self._thread.shutdown(wait=False)
        if self._unlisten is not None:
            self._unlisten()

    @property
    def spooled(self) -> int:
        """Number of frames on disk that the broker has not acknowledged."""
        return self._spooled

    async def send(
        self,
        device: str,
        *,
        notifications: Sequence[Notification] | None = None,
        measurements: Sequence[Measurement] | None = None,
        resources: Sequence[dict[str, Any]] | None = None,
    ) -> list[str]:
        """Store entries of ``device`` for sending and return the ids of their frames.

        Give exactly one kind of entries. The call returns once the frames are safe on disk. More
        than 1,000 entries or 256 KiB become several frames.

        In resources a ``Decimal`` keeps its digits (``json.loads(text, parse_float=Decimal)``). A
        float may lose trailing zeros.

        Raises ``BadFrame``, ``FrameTooLarge`` (both ``ValueError``) or ``SpoolFull``. After an
        error nothing of the call was stored.
        """
        kinds = {
            "notifications": notifications,
            "measurements": measurements,
            "resources": resources,
        }
        given: dict[str, FrameEntries] = {
            name: entries for name, entries in kinds.items() if entries is not None
        }
        if len(given) != 1 or not all(given.values()):
            raise ValueError(
                "give exactly one of notifications, measurements, resources, and at least one entry"
            )
        [(kind, entries)] = given.items()
        check_values(entries, self._options.placeholders)
        sent_at = self._options.clock()
        ids: list[str] = []

        def maker(chunk: list[Any]) -> Callable[[int], bytes]:
            def make(seq: int) -> bytes:
                frame = self._frame(device, seq, sent_at, {kind: chunk})
                ids.append(frame.frame)
                return encode_frame(frame)

            return make

        makers = [maker(chunk) for chunk in chunks(entries)]
        await self._store(lambda: self._spool.put(device, makers), {device})
        return ids

    async def send_frame(self, frame: Frame) -> None:
        """Send a ready frame as it is. Raises the same errors as ``send``."""
        await self.send_frames([frame])

    async def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send ready frames in order, all or none, with one write to the disk.

        Raises the same errors as ``send``.
        """
        ready = [(frame.device, encode_frame(frame)) for frame in frames]
        await self._store(lambda: self._spool.put_ready(ready), {device for device, _ in ready})

    async def drain(self, within: float | None = None) -> bool:
        """Wait until the broker has everything and return whether it has.

        Waits at most ``within`` seconds, or without limit for None.
        """
        try:
            async with asyncio.timeout(within):
                while self._spooled:
                    self._check()
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    def rejects(self) -> AsyncGenerator[Reject, None]:
        """Yield the service's rejects of this gateway's devices, oldest first, without end.

        A reject counts as read when the caller asks for the next one. The broker keeps the position
        in the consumer group ``rpm-gateway-<id>``, so a restarted gateway continues after the last
        reject that it has read.
        """
        return rejects_of(self._devices, self._link)

    # --- inside -----------------------------------------------------------------------------------

    def _frame(self, device: str, seq: int, sent_at: datetime, entries: dict[str, Any]) -> Frame:
        boot = self._spool.boot
        return Frame(
            v=1,
            frame=frame_id(self.gateway_id, device, boot, seq),
            gateway=self.gateway_id,
            device=device,
            seq=seq,
            boot=boot,
            sent_at=sent_at,
            utc_offset=self.utc_offset,
            **entries,
        )

    async def _disk(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in the one thread that owns the spool.

        The event loop then never waits for the disk.
        """
        return await self._loop.run_in_executor(self._thread, work)

    async def _store(self, put: Callable[[], int], devices: set[str]) -> None:
        self._check()

        # Counted in the thread: a caller that is cancelled in between has still stored its frames.
        def stored() -> None:
            try:
                self._spooled += put()
            except SpoolFull:
                self.meters.refused.inc()
                raise
            self._devices |= devices
            self._show()
            self._loop.call_soon_threadsafe(self._wake.set)

        await self._disk(stored)

    def _check(self) -> None:
        """Raise if the sending task has ended.

        It ends by itself only after a bug or a broken disk.
        """
        if self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            raise RuntimeError(
                "the gateway's sending task has ended; the spool keeps its frames"
            ) from error

    async def _run(self) -> None:
        try:
            while True:
                producer = await self._link.producer()
                try:
                    await self._pump(producer)
                except KafkaError as error:
                    self.meters.failures.inc()
                    _log.warning(
                        "gateway.send_failed", kind=type(error).__name__, spooled=self._spooled
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
            self._wake.clear()
            most = pace.allowance(BATCH_BYTES)
            frames = await self._disk(partial(self._spool.in_turn, self._sent, BATCH, most))
            if not frames:
                await self._idle()
                continue
            topic = self._options.topic
            sends = [
                await producer.send(topic, frame.wire, key=frame.device.encode())
                for frame in frames
            ]
            await asyncio.gather(*sends)
            self._sent |= {frame.device: frame.id for frame in frames}
            self._unforgotten += len(frames)
            self.meters.acknowledged.inc(len(frames))
            await self._disk(self._forget)
            self._progress.set()
            pace.spend(sum(len(frame.wire) for frame in frames))
            await pace.rest(self._wake)

    async def _idle(self) -> None:
        """Wait until there is something to send.

        Deletions for which there was no room are tried again in the meantime.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(
                self._wake.wait(), self._options.retry_longest if self._unforgotten else None
            )
        if self._unforgotten:
            await self._disk(self._forget)
            self._progress.set()

    def _forget(self) -> None:
        try:
            self._spool.forget(self._sent)
        except SpoolFull:
            # Acknowledged frames stay on the disk until there is room to delete them. After a crash
            # they go out twice.
            _log.warning("gateway.spool_full", spooled=self._spooled)
            return
        self._sent.clear()
        self._spooled -= self._unforgotten
        self._unforgotten = 0
        self._show()

    def _show(self) -> None:
        """Update the metrics about waiting frames. Runs in the spool's thread."""
        oldest = self._spool.oldest()
        self.meters.spooled.set(self._spooled)
        self.meters.spool_bytes.set(self._spool.size())
        self.meters.waits_since(None if oldest is None else _sent(oldest).sent_at)
