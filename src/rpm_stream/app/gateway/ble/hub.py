"""The gateway's supervisor: it scans and connects to known devices, and never gives one up.

The hub connects to a device when it sees it, not on a timer: a cuff advertises for half a minute
and is then gone for the day. After a failure a device waits a little. The time is partly random, so
that no two devices keep waiting for each other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog

from rpm_stream.app.gateway.ble.board import Presence
from rpm_stream.app.gateway.ble.known import Known, KnownDevice
from rpm_stream.app.gateway.ble.outbox import Outbox, Send
from rpm_stream.app.gateway.ble.radio import PairingFailed, Radio, RadioError, RadioOff, Sighting
from rpm_stream.app.gateway.ble.session import GatewayContext, Session

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class HubOptions:
    """The settings of a hub that a deployment may change; times in seconds."""

    links: int = 7  # connections at once: the limit of the smallest controllers
    connect_within: float = 10.0
    retry_first: float = 1.0
    retry_longest: float = 30.0
    radio_longest: float = 60.0  # between two tries to open an adapter that is gone
    rescan_after: float = 120.0  # without any advertisement, before the scan is restarted
    reset_after: float = 300.0  # the same before the adapter is reset, if no device is connected
    # The same if a device is connected. Both times double with each reset in vain, up to six hours.
    reset_anyway_after: float = 1800.0
    failures_to_reset: int = 6  # failed connections in a row, over all devices
    idle_after: float = 60.0  # without values, before a link is closed for a device that waits
    look_every: float = 10.0
    chance: random.Random = field(default_factory=random.Random)


LONGEST_PATIENCE = 6 * 3600.0
WRITE_EVERY = 6  # checks between two writes of the status file


@dataclass
class DeviceSlot:
    """The hub's state for one device."""

    outbox: Outbox
    sending: asyncio.Task[None]
    task: asyncio.Task[None] | None = None
    session: Session | None = None
    failures: int = 0
    not_before: float = 0.0


class Hub:
    """One adapter and the devices that it serves."""

    def __init__(
        self, radio: Radio, send: Send, shared: GatewayContext, options: HubOptions
    ) -> None:
        """Prepare the hub. ``send`` is ``Gateway.send``.

        Call ``serve`` with the devices before ``run``, and again when they change.
        """
        self.known = Known([])
        self._radio = radio
        self._send = send
        self._options = options
        self._shared = shared
        self._board = shared.board
        self._places: dict[str, DeviceSlot] = {}
        self._seen_at = 0.0  # time of the last advertisement of any device
        self._waiting = False  # a known device was seen while all links were in use
        self._failed = 0  # failed connections in a row
        self._in_vain = 0  # resets since the last advertisement
        self._looked = 0
        self._rescanned_at = 0.0
        self._restart = asyncio.Event()
        self._off: RadioOff | None = None  # the error of a connection that met it first

    def serve(self, known: Known) -> None:
        """Serve these devices from now on.

        The connections of devices that are no longer among them are closed.
        """
        self.known = known
        for device in known.devices:
            self._board.row(device.device, device.model)
        names = {device.device for device in known.devices}
        for name in self._board.rows.keys() - names:
            del self._board.rows[name]
        for name, place in self._places.items():
            if name not in names and place.task is not None:
                place.task.cancel()

    async def run(self) -> None:
        """Serve for ever.

        Raises ``RadioOff`` only if the adapter cannot be opened the first time.
        """
        pause = self._options.retry_first
        ever = False
        try:
            while True:
                try:
                    async with self._radio:
                        ever = True
                        pause = self._options.retry_first
                        self._board.radio_fault = None
                        try:
                            await self._serve()
                        finally:
                            await self._let_go()
                except RadioOff as error:
                    if not ever:
                        raise
                    self._board.radio_fault = str(error)
                    _log.error("ble.radio_off", fault=str(error), retry_s=pause)
                await asyncio.sleep(pause * self._options.chance.uniform(0.5, 1.0))
                pause = min(pause * 2, self._options.radio_longest)
        finally:
            await self._end()

    # --- from opening the adapter to its loss -----------------------------------------------------

    async def _serve(self) -> None:
        self._seen_at = self._rescanned_at = self._loop().time()
        self._off = None
        while True:
            if self._off is not None:
                raise self._off
            for place in self._places.values():
                if place.sending.done():
                    # An error that ended the gateway's sending also ends the hub.
                    place.sending.result()
            self._restart.clear()
            tasks = [
                asyncio.create_task(work)
                for work in (self._scan(), self._look(), self._restart.wait())
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await _ended(tasks)

    async def _scan(self) -> None:
        async with aclosing(self._radio.sightings()) as sightings:
            async for sighting in sightings:
                self._saw(sighting)

    def _saw(self, sighting: Sighting) -> None:
        now = self._loop().time()
        self._seen_at = now
        self._in_vain = 0
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
            place.sending.add_done_callback(lambda _: self._restart.set())
        return place

    async def _attend(self, known: KnownDevice, place: DeviceSlot, address: str) -> None:
        """Serve one connection from the first try to its end, however it ends."""
        device = known.device
        fault = None
        self._board.moved(device, Presence.connecting)
        try:
            link = await self._radio.connect(address, self._options.connect_within)
            self._failed = 0
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
            self._failed += place.session is None
            self._board.meters.failures.inc()
            _log.info("ble.link_failed", kind=type(error).__name__, fault=str(error))
            if isinstance(error, RadioOff):
                self._off = error
                self._restart.set()
        finally:
            self._left(place, device, fault)

    def _left(self, place: DeviceSlot, device: str, fault: RadioError | None) -> None:
        useful = place.session is not None and place.session.values > 0
        place.task = place.session = None
        place.failures = 0 if useful else place.failures + 1
        pause = min(
            self._options.retry_first * 2 ** min(place.failures, 16), self._options.retry_longest
        )
        place.not_before = self._loop().time() + pause * self._options.chance.uniform(0.5, 1.0)
        presence = Presence.unpaired if isinstance(fault, PairingFailed) else Presence.away
        self._board.moved(device, presence, None if fault is None else str(fault))
        if all(one.device != device for one in self.known.devices):
            del self._board.rows[device]

    # --- failures that no call reports ------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._options.look_every)
            self._end_idle_link()
            self._report()
            now = self._loop().time()
            if self._stuck(now - self._seen_at):
                self._board.meters.resets.inc()
                self._seen_at = now
                self._failed = 0
                self._in_vain += 1
                _log.warning("ble.adapter_reset", in_vain=self._in_vain)
                await self._radio.reset()
                return
            if now - max(self._seen_at, self._rescanned_at) > self._options.rescan_after:
                self._rescanned_at = now
                self._restart.set()

    def _report(self) -> None:
        dropped = sum(place.outbox.take_dropped() for place in self._places.values())
        if dropped:
            self._board.meters.dropped.inc(dropped)
            _log.error("ble.values_dropped", count=dropped)
        for device in self.known.doubtful:
            if (row := self._board.row(device)).presence is not Presence.connected:
                row.fault = "two devices here have its name: list its address"
        self._looked += 1
        if self._looked % WRITE_EVERY == 1:
            self._board.write()

    def _stuck(self, silent: float) -> bool:
        """Whether to reset the adapter.

        It is reset if nothing was seen for ``silent`` seconds, or if connecting keeps failing.
        """
        connected = sum(place.session is not None for place in self._places.values())
        if connected >= len(self.known.devices):
            return False  # all devices are connected
        if self._failed >= self._options.failures_to_reset:
            return True
        after = self._options.reset_anyway_after if connected else self._options.reset_after
        return silent > min(after * (1 << min(self._in_vain, 16)), LONGEST_PATIENCE)

    def _end_idle_link(self) -> None:
        """If a device waits for a link, close the one that has been idle longest."""
        if not self._waiting:
            return
        self._waiting = False
        now = self._loop().time()
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

    # --- the end ----------------------------------------------------------------------------------

    async def _let_go(self) -> None:
        """Close all connections. Their values stay in the outboxes."""
        await _ended([place.task for place in self._places.values() if place.task is not None])

    async def _end(self) -> None:
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
        await _ended([place.sending for place in self._places.values()])
        self._board.write()

    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()


def _tell(task: asyncio.Task[None]) -> None:
    """Log a bug that ended a connection. It does not end the gateway."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("ble.connection_fault", kind=type(error).__name__, exc_info=error)


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
