"""The connections of a gateway's devices: when one is made, who waits for one, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from rpm_stream.app.gateway.ble.board import Presence
from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.options import GatewayContext, HubOptions
from rpm_stream.app.gateway.ble.outbox import Outbox, Send
from rpm_stream.app.gateway.ble.radio import PairingFailed, Radio, RadioError, RadioOff, Sighting
from rpm_stream.app.gateway.ble.radio_health import RadioHealth
from rpm_stream.app.gateway.ble.session import Session

_log = structlog.get_logger(__name__)


@dataclass
class DeviceSlot:
    """The state of one device's connection."""

    outbox: Outbox
    sending: asyncio.Task[None]
    task: asyncio.Task[None] | None = None
    session: Session | None = None
    failures: int = 0
    not_before: float = 0.0


class DeviceLinks:
    """The connections of all devices of one adapter, and the outboxes that outlive them."""

    def __init__(
        self,
        radio: Radio,
        send: Send,
        shared: GatewayContext,
        health: RadioHealth,
        options: HubOptions,
    ) -> None:
        """Prepare without a device. ``health`` learns which devices were reached."""
        self.known = Known([])
        self.trouble = asyncio.Event()  # set when ``check`` is to be called
        self._radio = radio
        self._send = send
        self._shared = shared
        self._board = shared.board
        self._health = health
        self._options = options
        self._places: dict[str, DeviceSlot] = {}
        self._waiting = False  # a known device was seen while all links were in use
        self._off: RadioOff | None = None  # the error of a connection that met it first

    def serve(self, known: Known) -> None:
        """Serve these devices from now on, and close the connections of all others."""
        self.known = known
        names = {device.device for device in known.devices}
        for name, place in self._places.items():
            if name not in names and place.task is not None:
                place.task.cancel()

    @property
    def connected(self) -> int:
        """The number of devices that are connected."""
        return sum(place.session is not None for place in self._places.values())

    def opened(self) -> None:
        """Note that the adapter was opened: an earlier error of it is over."""
        self._off = None

    def check(self) -> None:
        """Raise the error that a connection met with the adapter, or an outbox with sending."""
        if self._off is not None:
            raise self._off
        for place in self._places.values():
            if place.sending.done():
                # An error that ended the gateway's sending also ends the hub.
                place.sending.result()

    def take_dropped(self) -> int:
        """Return how many values were dropped since the last call."""
        return sum(place.outbox.take_dropped() for place in self._places.values())

    def saw(self, sighting: Sighting, now: float) -> None:
        """Connect to the device if it is to be served, is not served yet and a link is free."""
        known = self.known.find(sighting, now)
        if known is None:
            return
        place = self._place(known)
        if place.task is not None or now < place.not_before:
            return
        if sum(one.task is not None for one in self._places.values()) >= self._options.links:
            self._waiting = True
            return
        place.task = asyncio.create_task(self._attend(known, place, sighting.address))
        place.task.add_done_callback(_tell)

    def _place(self, known: KnownDevice) -> DeviceSlot:
        place = self._places.get(known.device)
        if place is None:
            outbox = Outbox(known.device, self._send, self._shared.options.clock)
            place = self._places[known.device] = DeviceSlot(
                outbox, asyncio.create_task(outbox.run())
            )
            place.sending.add_done_callback(lambda _: self.trouble.set())
        return place

    async def _attend(self, known: KnownDevice, place: DeviceSlot, address: str) -> None:
        """Serve one connection from the first try to its end, however it ends."""
        device = known.device
        fault = None
        self._board.moved(device, Presence.connecting)
        try:
            link = await self._radio.connect(address, self._options.connect_within)
            self._health.reached()
            self._board.meters.connections.inc()
            self._board.row(device).connections += 1
            self._board.moved(device, Presence.connected)
            try:
                place.session = Session(link, known, place.outbox, self._shared)
                await place.session.run()
            finally:
                await link.close()
        except RadioError as error:
            fault = error
            if place.session is None:
                self._health.missed()
            self._board.meters.failures.inc()
            _log.info("ble.link_failed", kind=type(error).__name__, fault=str(error))
            if isinstance(error, RadioOff):
                self._off = error
                self.trouble.set()
        finally:
            self._left(place, device, fault)

    def _left(self, place: DeviceSlot, device: str, fault: RadioError | None) -> None:
        useful = place.session is not None and place.session.values > 0
        place.task = place.session = None
        place.failures = 0 if useful else place.failures + 1
        now = asyncio.get_running_loop().time()
        place.not_before = now + _pause(place.failures, self._options)
        presence = Presence.unpaired if isinstance(fault, PairingFailed) else Presence.away
        self._board.moved(device, presence, None if fault is None else str(fault))
        if all(one.device != device for one in self.known.devices):
            del self._board.rows[device]

    def end_idle(self, now: float) -> None:
        """If a device waits for a link, close the one that has been idle longest."""
        if not self._waiting:
            return
        self._waiting = False
        idle = [
            place
            for place in self._places.values()
            if place.session is not None
            and not place.session.streams
            and now - place.session.idle_since > self._options.idle_after
        ]
        if idle:
            place = min(idle, key=lambda one: one.session.idle_since if one.session else now)
            if place.task is not None:
                place.task.cancel()

    async def let_go(self) -> None:
        """Close all connections. Their values stay in the outboxes."""
        await end_all([place.task for place in self._places.values() if place.task is not None])

    async def end(self) -> None:
        """Write the received values to disk within at most ten seconds, and stop."""
        try:
            async with asyncio.timeout(10.0):
                for place in self._places.values():
                    if not place.sending.done():
                        await place.outbox.flush()
        except TimeoutError:
            _log.error("ble.flush_timed_out")
        if lost := sum(len(place.outbox) for place in self._places.values()):
            _log.error("ble.values_lost_at_end", count=lost)
        await end_all([place.sending for place in self._places.values()])


def _pause(failures: int, options: HubOptions) -> float:
    """Return for how long a device waits after that many useless connections in a row."""
    longest: float = min(options.retry_first * 2 ** min(failures, 16), options.retry_longest)
    return longest * options.chance.uniform(0.5, 1.0)


def _tell(task: asyncio.Task[None]) -> None:
    """Log a bug that ended a connection. It does not end the gateway."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("ble.connection_fault", kind=type(error).__name__, exc_info=error)


async def end_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for their ends."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
