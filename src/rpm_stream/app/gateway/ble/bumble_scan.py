"""Scanning with bumble: what was heard, for one reader, and where each device was heard."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Any

from bumble import core, hci
from bumble.device import Advertisement, Device

from rpm_stream.app.gateway.ble.radio import RadioOff, Sighting, short_uuid

# most addresses whose type is kept: phones change theirs every quarter of an hour
SEEN = 1024
COMMAND_SECONDS = 15.0  # for a controller that lets no command through
BACKLOG = 1000  # sightings that wait for their reader
# The elements of an advertisement that list services: type of the element to the bytes of one UUID
# (Core Specification Supplement, A).
SERVICES = {0x02: 2, 0x03: 2, 0x06: 16, 0x07: 16}
NAMES = (0x09, 0x08)  # complete name, shortened name


class BumbleScan:
    """The scan of one radio, on whichever controller is open."""

    def __init__(self) -> None:
        # a device's address to the one that it had on the air
        self.places: OrderedDict[str, hci.Address] = OrderedDict()
        self._heard: asyncio.Queue[Sighting | None] | None = None  # None: no reader

    @property
    def is_read(self) -> bool:
        """Whether there is a reader."""
        return self._heard is not None

    def open(self) -> None:
        """Keep what is heard from now on for ``next``. There is one reader at a time."""
        if self._heard is not None:
            raise ValueError("sightings are read already")
        self._heard = asyncio.Queue(BACKLOG)

    def close(self) -> None:
        """Keep nothing any more."""
        self._heard = None

    async def next(self) -> Sighting:
        """Return the oldest sighting that was not read. Raises ``RadioOff`` after ``lost``."""
        assert self._heard is not None
        sighting = await self._heard.get()
        if sighting is None:
            raise RadioOff("the Bluetooth controller is gone")
        return sighting

    def lost(self) -> None:
        """Let the reader know that the controller is gone."""
        if self._heard is not None:
            self._put(self._heard, None)

    async def start(self, device: Device) -> None:
        """Scan with ``device``. Raises ``RadioOff``."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await device.start_scanning(filter_duplicates=False)
        except (core.BaseBumbleError, TimeoutError) as error:
            raise RadioOff(
                f"the Bluetooth controller does not scan ({type(error).__name__})"
            ) from error

    async def go_on(self, device: Device | None) -> None:
        """Scan again after ``stop``, if there is a reader. Never raises ``RadioOff``."""
        if self._heard is not None and device is not None and device.powered_on:
            # The reader of the sightings then notices, or the hub, which hears nothing any more.
            with suppress(RadioOff):
                await self.start(device)

    async def stop(self, device: Device | None) -> None:
        """Stop the scan. The reader stays."""
        if device is not None and device.powered_on and device.is_scanning:
            with suppress(core.BaseBumbleError, TimeoutError):
                async with asyncio.timeout(COMMAND_SECONDS):
                    await device.stop_scanning()

    def take(self, device: Device, advertisement: Advertisement) -> None:
        """Take an advertisement that ``device`` has heard."""
        if self._heard is None:
            return
        if len(device.advertisement_accumulators) > SEEN:
            # bumble keeps an accumulator for each address that it has ever heard.
            device.advertisement_accumulators.clear()
        address = _identity(device, advertisement.address)
        self.places[address] = advertisement.address
        self.places.move_to_end(address)
        if len(self.places) > SEEN:
            self.places.popitem(last=False)
        self._put(self._heard, _sighting(address, advertisement))

    def _put(self, heard: asyncio.Queue[Sighting | None], sighting: Sighting | None) -> None:
        """Add to the queue. Of a full one the oldest sighting is dropped."""
        if heard.full():
            heard.get_nowait()
        heard.put_nowait(sighting)


def _identity(device: Device, address: hci.Address) -> str:
    """Return the address by which the device is known.

    For a bonded device with a changing private address that is the identity address that it gave.
    """
    known: Any = device.address_resolver
    if known is not None and address.is_resolvable:
        return str((known.resolve(address) or address).to_string(False))
    return str(address.to_string(False))


def _sighting(address: str, advertisement: Advertisement) -> Sighting:
    """Return the sighting, read byte by byte.

    Advertisements of unknown devices may hold anything, and none of them may raise here.
    """
    structures = advertisement.data.ad_structures
    uuids = {
        short_uuid(octets[place : place + size][::-1].hex())
        for kind, octets in structures
        for size in [SERVICES.get(kind, 0)]
        if size
        for place in range(0, len(octets) - size + 1, size)
    }
    name = next(
        (
            octets.decode(errors="replace")
            for kind in NAMES
            for found, octets in structures
            if found == kind
        ),
        None,
    )
    rssi = advertisement.rssi
    return Sighting(
        address, name, frozenset(uuids), None if rssi == advertisement.RSSI_NOT_AVAILABLE else rssi
    )
