"""The gateway's supervisor: it scans and connects to known devices, and never gives one up.

The hub connects to a device when it sees it, not on a timer: a cuff advertises for half a minute
and is then gone for the day. After a failure a device waits a little. The time is partly random, so
that no two devices keep waiting for each other.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import structlog

from rpm_stream.app.gateway.ble.board import Presence
from rpm_stream.app.gateway.ble.known import Known
from rpm_stream.app.gateway.ble.links import DeviceLinks, end_all
from rpm_stream.app.gateway.ble.options import GatewayContext, HubOptions
from rpm_stream.app.gateway.ble.outbox import Send
from rpm_stream.app.gateway.ble.radio import Radio, RadioOff
from rpm_stream.app.gateway.ble.radio_health import RadioHealth
from rpm_stream.knowledge import shipped

WRITE_EVERY = 6  # checks between two writes of the status file

_log = structlog.get_logger(__name__)


class Hub:
    """One adapter and the devices that it serves."""

    def __init__(
        self, radio: Radio, send: Send, shared: GatewayContext, options: HubOptions
    ) -> None:
        """Prepare the hub. ``send`` is ``Gateway.send``.

        Call ``serve`` with the devices before ``run``, and again when they change.
        """
        shipped()  # the tables are read now, and not while the first device waits
        self._radio = radio
        self._options = options
        self._board = shared.board
        self._health = RadioHealth(options)
        self._links = DeviceLinks(radio, send, shared, self._health, options)
        self._looked = 0

    def serve(self, known: Known) -> None:
        """Serve these devices from now on.

        The connections of devices that are no longer among them are closed.
        """
        self._links.serve(known)
        for device in known.devices:
            self._board.row(device.device, device.model)
        names = {device.device for device in known.devices}
        for name in self._board.rows.keys() - names:
            del self._board.rows[name]

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
                            await self._links.let_go()
                except RadioOff as error:
                    if not ever:
                        raise
                    self._board.radio_fault = str(error)
                    _log.error("ble.radio_off", fault=str(error), retry_s=pause)
                await asyncio.sleep(pause * self._options.chance.uniform(0.5, 1.0))
                pause = min(pause * 2, self._options.radio_longest)
        finally:
            await self._links.end()
            self._board.write()

    # --- from opening the adapter to its loss -----------------------------------------------------

    async def _serve(self) -> None:
        self._health.opened(_now())
        self._links.opened()
        while True:
            self._links.check()
            self._links.trouble.clear()
            tasks = [
                asyncio.create_task(work)
                for work in (self._scan(), self._look(), self._links.trouble.wait())
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await end_all(tasks)

    async def _scan(self) -> None:
        async with aclosing(self._radio.sightings()) as sightings:
            async for sighting in sightings:
                now = _now()
                self._health.heard(now)
                self._links.saw(sighting, now)

    # --- failures that no call reports ------------------------------------------------------------

    async def _look(self) -> None:
        """Look for such failures. Return when the scan is to be restarted."""
        while True:
            await asyncio.sleep(self._options.look_every)
            now = _now()
            self._links.end_idle(now)
            self._report()
            if self._health.is_stuck(now, self._links.connected, len(self._links.known.devices)):
                self._board.meters.resets.inc()
                self._health.reset(now)
                _log.warning("ble.adapter_reset", in_vain=self._health.in_vain)
                await self._radio.reset()
                return
            if self._health.is_silent(now):
                self._health.rescanned(now)
                return

    def _report(self) -> None:
        if dropped := self._links.take_dropped():
            self._board.meters.dropped.inc(dropped)
            _log.error("ble.values_dropped", count=dropped)
        for device in self._links.known.doubtful:
            if (row := self._board.row(device)).presence is not Presence.connected:
                row.fault = "two devices here have its name: list its address"
        self._looked += 1
        if self._looked % WRITE_EVERY == 1:
            self._board.write()


def _now() -> float:
    return asyncio.get_running_loop().time()
