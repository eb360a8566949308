"""The back end for a bare controller.

That is a USB dongle, a serial chip, a kernel's HCI socket, or the virtual radio of the tests.
bumble is a whole Bluetooth stack in Python. There is no ``bluetoothd``, and the controller belongs
to this process alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import structlog
from bumble import core, hci
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate

from rpm_stream.app.gateway.ble.bumble_client import swap_client
from rpm_stream.app.gateway.ble.bumble_keys import Keys
from rpm_stream.app.gateway.ble.bumble_link import BumbleLink
from rpm_stream.app.gateway.ble.radio import (
    Link,
    LinkLost,
    NotFound,
    RadioOff,
    Refused,
    Sighting,
    short_uuid,
)

OPEN_SECONDS = 15.0
CANCEL_SECONDS = 5.0  # for a controller to confirm that it has given up connecting
# Always the address that is derived from the gateway's name, so that bonds survive the exchange of
# a broken dongle.
OWN = hci.OwnAddressType.RANDOM
# most addresses whose type is kept: phones change theirs every quarter of an hour
SEEN = 1024
BACKLOG = 1000  # sightings that wait for their reader
# The elements of an advertisement that list services: type of the element to the bytes of one UUID
# (Core Specification Supplement, A).
SERVICES = {0x02: 2, 0x03: 2, 0x06: 16, 0x07: 16}
NAMES = (0x09, 0x08)  # complete name, shortened name

OpenHost = Callable[[], AbstractAsyncContextManager[Host]]
# maps the device's address to the six digits that it shows
AskPasskey = Callable[[str], Awaitable[int | None]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class BumbleOptions:
    """The settings of a ``BumbleRadio``.

    ``keys`` is the file of the bonds. ``identity`` is the gateway's name, from which its Bluetooth
    address is derived. ``passkey`` asks a person for the number that a device shows. Without it
    only devices that need no number are bonded.
    """

    keys: Path
    identity: str
    passkey: AskPasskey | None = None


class _Person(PairingDelegate):
    """A person who reads a number from a device's display or label."""

    def __init__(self, ask: AskPasskey, address: str) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._ask = ask
        self._address = address

    async def get_number(self) -> int | None:
        """Return the passkey. None ends the pairing."""
        return await self._ask(self._address)


class BumbleRadio:
    """A ``radio.Radio`` on a controller of its own."""

    def __init__(self, open_host: OpenHost, options: BumbleOptions) -> None:
        """Call ``open_host`` for the controller at each entering and at each reset."""
        self._open_host = open_host
        self._options = options
        self._device: Device | None = None
        self._host: AbstractAsyncContextManager[Host] | None = None
        self._links: set[BumbleLink] = set()
        self._seen: OrderedDict[str, hci.Address] = OrderedDict()
        self._heard: asyncio.Queue[Sighting | None] | None = None
        self._connecting = False
        self._strays: set[asyncio.Future[None]] = set()
        self._change = asyncio.Lock()  # connecting, scanning and resetting exclude each other

    async def __aenter__(self) -> Self:
        """Open the controller. Raises ``RadioOff``."""
        await self._on()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close all links and the controller."""
        await self._off()

    async def reset(self) -> None:
        """Close the controller and open it again."""
        async with self._change:
            await self._off()
            await self._on()
            if self._heard is not None:
                await self._scan()

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Yield advertisements without end. Raises ``RadioOff`` when the controller goes away."""
        if self._heard is not None:
            raise ValueError("sightings are read already")
        heard = self._heard = asyncio.Queue(BACKLOG)
        try:
            async with self._change:
                await self._scan()
            while True:
                sighting = await heard.get()
                if sighting is None:
                    raise RadioOff("the Bluetooth controller is gone")
                yield sighting
        finally:
            self._heard = None
            await self._still()

    async def connect(self, address: str, within: float) -> Link:
        """Connect to a device that was seen. Raises ``NotFound`` or ``RadioOff``."""
        place = self._seen.get(address)
        if place is None:
            raise NotFound("not seen yet")
        async with self._change:
            device = self._ready()
            await self._still()  # not every controller can connect while it scans
            self._connecting = True
            try:
                async with asyncio.timeout(within + CANCEL_SECONDS):
                    connection = await device.connect_le(
                        place, own_address_type=OWN, timeout=within
                    )
            except TimeoutError as error:
                raise NotFound("not reached in time") from error
            except asyncio.CancelledError:
                with suppress(core.BaseBumbleError, asyncio.CancelledError):
                    await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
                if device.powered_on and self._device is device:
                    raise
                raise RadioOff("the Bluetooth controller is gone") from None
            except core.BaseBumbleError as error:
                raise NotFound(f"not reached ({type(error).__name__})") from error
            finally:
                self._connecting = False
                await self._scan_again()
        link = BumbleLink(connection, address, await self._has_keys(device, connection))
        self._links = {kept for kept in self._links if not kept.gone.is_set()} | {link}
        try:
            await link.prepare()
        except (LinkLost, Refused) as error:
            raise NotFound("connected and lost at once") from error
        except asyncio.CancelledError:
            await link.close()
            raise
        return link

    # --- inside -----------------------------------------------------------------------------------

    async def _on(self) -> None:
        opened = self._open_host()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                host = await opened.__aenter__()
                self._host = opened
                self._device = await self._powered(host)
        except (core.BaseBumbleError, TimeoutError) as error:
            await self._off()
            raise RadioOff(
                f"the Bluetooth controller does not answer ({type(error).__name__})"
            ) from error

    async def _powered(self, host: Host) -> Device:
        seed = hashlib.sha256(f"rpm-stream/{self._options.identity}".encode()).digest()
        own = hci.Address(bytes([*seed[:5], seed[5] | 0xC0]), hci.Address.RANDOM_DEVICE_ADDRESS)
        config = DeviceConfiguration(
            name="rpm-stream", address=own, irk=secrets.token_bytes(16), gatt_service_enabled=False
        )
        device = Device(config=config, host=host)
        device.pairing_config_factory = self._pairing
        device.on(device.EVENT_CONNECTION, self._met)
        device.on(device.EVENT_ADVERTISEMENT, self._advertised)
        device.on(device.EVENT_FLUSH, self._gone)
        device.keystore = Keys(self._options.keys, str(own))
        await device.power_on()
        return device

    def _met(self, connection: Connection) -> None:
        """Prepare a new connection.

        An attempt that was given up in the same moment has no owner, so its connection is closed.
        """
        swap_client(connection)
        if not self._connecting:
            stray = asyncio.ensure_future(connection.disconnect())
            self._strays.add(stray)
            stray.add_done_callback(self._strays.discard)

    def _pairing(self, connection: Connection) -> PairingConfig:
        ask = self._options.passkey
        if ask is None:
            return PairingConfig(sc=True, mitm=False, bonding=True, delegate=PairingDelegate())
        return PairingConfig(
            sc=True,
            mitm=True,
            bonding=True,
            delegate=_Person(ask, connection.peer_address.to_string(False)),
        )

    async def _off(self) -> None:
        device = self._device
        self._device = None
        host = self._host
        self._host = None
        links = self._links
        self._links = set()
        await asyncio.gather(*(link.close() for link in links))
        if device is not None:
            device.remove_listener(device.EVENT_FLUSH, self._gone)
            with suppress(core.BaseBumbleError, TimeoutError):
                async with asyncio.timeout(OPEN_SECONDS):
                    await device.power_off()
        if host is not None:
            await host.__aexit__(None, None, None)

    def _gone(self) -> None:
        """Note that the controller went away by itself."""
        if self._device is None:
            return
        for link in self._links:
            link.lost()
        self._device.powered_on = False
        if self._heard is not None:
            if self._heard.full():
                self._heard.get_nowait()
            self._heard.put_nowait(None)

    def _ready(self) -> Device:
        if self._device is None or not self._device.powered_on:
            raise RadioOff("the Bluetooth controller is gone")
        return self._device

    async def _has_keys(self, device: Device, connection: Connection) -> bool:
        return (
            device.keystore is not None
            and await device.keystore.get(str(connection.peer_address)) is not None
        )

    async def _scan(self) -> None:
        device = self._ready()
        try:
            await device.start_scanning(filter_duplicates=False)
        except core.BaseBumbleError as error:
            raise RadioOff(
                f"the Bluetooth controller does not scan ({type(error).__name__})"
            ) from error

    async def _scan_again(self) -> None:
        if self._heard is not None and self._device is not None and self._device.powered_on:
            # The reader of the sightings then notices, or the hub, which hears nothing any more.
            with suppress(RadioOff):
                await self._scan()

    async def _still(self) -> None:
        device = self._device
        if device is not None and device.powered_on and device.is_scanning:
            with suppress(core.BaseBumbleError):
                await device.stop_scanning()

    def _advertised(self, advertisement: Advertisement) -> None:
        device = self._device
        heard = self._heard
        if device is None or heard is None:
            return
        if len(device.advertisement_accumulators) > SEEN:
            # bumble keeps an accumulator for each address that it has ever heard.
            device.advertisement_accumulators.clear()
        address = _identity(device, advertisement.address)
        self._seen[address] = advertisement.address
        self._seen.move_to_end(address)
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        if heard.full():
            heard.get_nowait()
        heard.put_nowait(_sighting(address, advertisement))


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
