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

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import structlog

from rpm_stream.app.gateway.backlog import Backlog
from rpm_stream.app.gateway.link import GatewayOptions, KafkaLink
from rpm_stream.app.gateway.meters import Meters
from rpm_stream.app.gateway.rejects import rejects_of
from rpm_stream.app.gateway.sender import Sender
from rpm_stream.app.gateway.wire import FrameEntries, check_values, chunks, encode_frame, frame_id
from rpm_stream.records import Frame, Measurement, Notification, Reject

GATEWAY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # it names a file and a consumer group

_log = structlog.get_logger(__name__)


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
        self._options = options or GatewayOptions()
        self.meters = Meters(self._options.clock)
        self._link = KafkaLink(bootstrap, f"rpm-gateway-{gateway_id}", self._options)
        self._backlog = Backlog(
            spool_dir / f"{gateway_id}.spool", self._options.max_spool_bytes, self.meters
        )

    async def __aenter__(self) -> Self:
        """Open the spool and start to send what waits in it.

        Raises ``SpoolInUse``, or ``OSError`` for a spool or a metrics port that cannot be used.
        """
        async with AsyncExitStack() as stack:
            if self._options.metrics_port is not None:
                stack.callback(
                    self.meters.serve(self._options.metrics_host, self._options.metrics_port)
                )
            await self._backlog.open()
            stack.push_async_callback(self._backlog.close)
            self._sender = Sender(self._link, self._backlog, self.meters, self._options)
            self._sender.start(f"gateway {self.gateway_id}")
            stack.push_async_callback(self._sender.stop)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Stop sending, after at most ``close_within`` seconds of waiting for the broker.

        After an exception it does not wait. Frames that were not sent stay in the spool.
        """
        try:
            if kind is None:
                await self.drain(self._options.close_within)
        finally:
            await self._opened.aclose()
            if self.spooled:
                _log.warning("gateway.closed_with_spool", spooled=self.spooled)

    @property
    def spooled(self) -> int:
        """Number of frames on disk that the broker has not acknowledged."""
        return self._backlog.count

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
        kind, entries = _only_kind(
            notifications=notifications, measurements=measurements, resources=resources
        )
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
        self._sender.check()
        await self._backlog.put(device, makers)
        return ids

    async def send_frame(self, frame: Frame) -> None:
        """Send a ready frame as it is. Raises the same errors as ``send``."""
        await self.send_frames([frame])

    async def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send ready frames in order, all or none, with one write to the disk.

        Raises the same errors as ``send``.
        """
        ready = [(frame.device, encode_frame(frame)) for frame in frames]
        self._sender.check()
        await self._backlog.put_ready(ready)

    async def drain(self, within: float | None = None) -> bool:
        """Wait until the broker has everything and return whether it has.

        Waits at most ``within`` seconds, or without limit for None.
        """
        return await self._sender.drain(within)

    def rejects(self) -> AsyncGenerator[Reject, None]:
        """Yield the service's rejects of this gateway's devices, oldest first, without end.

        A reject counts as read when the caller asks for the next one. The broker keeps the position
        in the consumer group ``rpm-gateway-<id>``, so a restarted gateway continues after the last
        reject that it has read.
        """
        return rejects_of(self._backlog.devices, self._link)

    # --- inside -----------------------------------------------------------------------------------

    def _frame(self, device: str, seq: int, sent_at: datetime, entries: dict[str, Any]) -> Frame:
        boot = self._backlog.boot
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


def _only_kind(**kinds: FrameEntries | None) -> tuple[str, FrameEntries]:
    """Return the one kind of entries that was given: its name and the entries."""
    given = {name: entries for name, entries in kinds.items() if entries is not None}
    if len(given) != 1 or not all(given.values()):
        raise ValueError(
            "give exactly one of notifications, measurements, resources, and at least one entry"
        )
    [(kind, entries)] = given.items()
    return kind, entries
