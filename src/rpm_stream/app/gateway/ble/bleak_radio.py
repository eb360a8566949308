"""The back end for the operating system's Bluetooth stack (Linux, macOS, Windows), with bleak.

**Not tested on hardware.** The tests run bleak's own code for Linux over a real D-Bus daemon
against a double of BlueZ's interface (``tests/support/radio/bluez.py``). There is no double for
macOS and Windows. Importing this module needs the extra ``ble``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeAlias

import structlog

from rpm_stream.app.gateway.ble.bleak_connector import BleakConnector
from rpm_stream.app.gateway.ble.bleak_link import BleakLink
from rpm_stream.app.gateway.ble.bleak_scan import Scan
from rpm_stream.app.gateway.ble.radio import (
    Link,
    RadioOff,
    Refused,
    Sighting,
    short_uuid,
)

if sys.platform == "linux":
    from rpm_stream.app.gateway.ble.bluez import Bluez

AskPasskey: TypeAlias = Callable[[str], Awaitable[int | None]]
"""Maps a device's address to the number that the device shows. None ends the pairing."""

HELD_SECONDS = 10.0  # between two looks for connections that BlueZ holds

_log = structlog.get_logger(__name__)


class BleakRadio:
    """A ``radio.Radio`` on the system's stack."""

    def __init__(self, adapter: str | None = None, passkey: AskPasskey | None = None) -> None:
        """Use ``adapter``, such as ``hci1`` (Linux only). None: the first adapter that is on.

        ``passkey`` asks a person for the number that a device shows (Linux only). Other systems ask
        by themselves.
        """
        self._bluez = Bluez(adapter, self._off, passkey) if sys.platform == "linux" else None
        self._scan = Scan(self._saw, self._cycle)
        self._connector = BleakConnector(self._bluez, self._scan)
        self._links: dict[str, BleakLink] = {}
        # links that ended with the adapter; their last values are still on their way
        self._ending: list[BleakLink] = []
        self._reading = False
        self._waiting: dict[str, Sighting] = {}  # the newest of each address, not yet read
        self._heard = asyncio.Event()
        self._why_off: str | None = None
        self._times_off = 0

    async def __aenter__(self) -> Self:
        """Find the adapter. Raises ``RadioOff``."""
        if self._bluez is not None:
            await self._bluez.open()
            self._scan.adapter = self._bluez.adapter
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close all links and leave the system's stack as it was."""
        await self._close_links()
        await self._scan.stop()
        if self._bluez is not None:
            await self._bluez.close()

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Yield advertisements without end. A slow reader gets only the newest of each device."""
        if self._reading:
            raise ValueError("sightings are read already")
        self._reading = True
        self._why_off = None
        self._waiting.clear()
        try:
            async with self._scan.needed():
                held_at = 0.0
                while True:
                    if self._now() >= held_at:
                        held_at = self._now() + HELD_SECONDS
                        await self._see_held()
                    self._heard.clear()
                    while self._waiting and self._why_off is None:
                        yield self._waiting.pop(next(iter(self._waiting)))
                    await self._still_on()
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(held_at):
                            await self._heard.wait()
        finally:
            self._reading = False

    def _saw(self, sighting: Sighting) -> None:
        if self._reading:
            self._waiting[sighting.address] = sighting
            self._heard.set()

    async def _see_held(self) -> None:
        """Report devices to which BlueZ holds an unused connection as if they advertised.

        BlueZ keeps a connection whose process was killed, and a connected device does not
        advertise. Without this the device would be silent until it goes out of reach. It can be
        connected to.
        """
        if self._bluez is None:
            return
        with suppress(RadioOff, Refused):  # the watch on the adapter reports these errors
            for address, (_, props) in (await self._bluez.devices()).items():
                ours = address in self._links or address in self._connector.connecting
                if props.get("Connected") and not ours:
                    services = frozenset(short_uuid(uuid) for uuid in props.get("UUIDs", ()))
                    self._saw(Sighting(address, props.get("Name"), services, props.get("RSSI")))

    async def _still_on(self) -> None:
        """If the adapter is off, wait for the last values of its links and raise ``RadioOff``."""
        if (why := self._why_off) is not None:
            await asyncio.gather(*(link.gone.wait() for link in self._ending))
            raise RadioOff(why)

    async def connect(self, address: str, within: float) -> Link:
        """Connect to the device and discover its services.

        Raises ``NotFound``, ``RadioOff``, and ``PairingFailed`` for keys that are no longer valid.
        """
        address = address.upper()
        if self._bluez is not None:
            await self._bluez.check()
        if (old := self._links.pop(address, None)) is not None:
            await old.close()  # two clients of one device would receive each value twice
        times_off = self._times_off
        link = await self._connector.connected(address, within)
        if self._times_off != times_off:
            # Nothing more would tell of its end.
            await link.close()
            raise RadioOff("the Bluetooth adapter went away while a device was connected to")
        self._links = {
            kept: each for kept, each in self._links.items() if not each.gone.is_set()
        } | {address: link}
        return link

    async def reset(self) -> None:
        """Switch the adapter off and on, and continue the scan.

        On other systems than Linux, and without the permission for it, it only restarts the scan.
        All links are gone afterwards. Raises ``RadioOff`` if the adapter stays off.
        """
        await self._close_links()
        await self._scan.stop()
        try:
            await self._cycle()
        except RadioOff as error:
            self._off(str(error))
            raise
        self._why_off = None
        await self._scan.go_on()

    async def _cycle(self) -> None:
        if self._bluez is not None:
            try:
                await self._bluez.cycle()
            except Refused as error:
                _log.warning("ble.adapter_not_reset", fault=str(error))

    async def _close_links(self) -> None:
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.close() for link in links), *self._connector.letting_go)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _off(self, why: str) -> None:
        """The adapter or BlueZ itself has gone, and every connection with it."""
        _log.warning("ble.radio_off", why=why)
        self._why_off = why
        self._times_off += 1
        lost = list(self._links.values())
        self._links.clear()
        self._ending = [*(link for link in self._ending if not link.gone.is_set()), *lost]
        for link in lost:
            link.lost()
        self._heard.set()
