"""The back end for a bare controller.

That is a USB dongle, a serial chip, a kernel's HCI socket, or the virtual radio of the tests.
bumble is a whole Bluetooth stack in Python. There is no ``bluetoothd``, and the controller belongs
to this process alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Self

import structlog
from bumble import core, hci
from bumble.device import Advertisement, Connection, Device
from bumble.host import Host

from rpm_stream.app.gateway.ble.bumble_client import swap_client
from rpm_stream.app.gateway.ble.bumble_device import OWN, BumbleOptions, own_device
from rpm_stream.app.gateway.ble.bumble_link import BumbleLink
from rpm_stream.app.gateway.ble.bumble_scan import BumbleScan
from rpm_stream.app.gateway.ble.radio import (
    Link,
    LinkLost,
    NotFound,
    RadioOff,
    Refused,
    Sighting,
)

OPEN_SECONDS = 15.0
CANCEL_SECONDS = 5.0  # for a controller to confirm that it has given up connecting

OpenHost = Callable[[], AbstractAsyncContextManager[Host]]

_log = structlog.get_logger(__name__)


class BumbleRadio:
    """A ``radio.Radio`` on a controller of its own."""

    def __init__(self, open_host: OpenHost, options: BumbleOptions) -> None:
        """Call ``open_host`` for the controller at each entering and at each reset."""
        self._open_host = open_host
        self._options = options
        self._device: Device | None = None
        self._host: AbstractAsyncContextManager[Host] | None = None
        self._links: set[BumbleLink] = set()
        self._scan = BumbleScan()
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
            if self._scan.is_read:
                await self._scan.start(self._ready())

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Yield advertisements without end. Raises ``RadioOff`` when the controller goes away."""
        self._scan.open()
        try:
            async with self._change:
                await self._scan.start(self._ready())
            while True:
                yield await self._scan.next()
        finally:
            self._scan.close()
            await self._scan.stop(self._device)

    async def connect(self, address: str, within: float) -> Link:
        """Connect to a device that was seen. Raises ``NotFound`` or ``RadioOff``."""
        place = self._scan.places.get(address)
        if place is None:
            raise NotFound("not seen yet")
        async with self._change:
            device = self._ready()
            await self._scan.stop(device)  # not every controller can connect while it scans
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
                await self._scan.go_on(self._device)
        link = BumbleLink(connection, address, await _has_keys(device, connection))
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
        device = own_device(host, self._options)
        device.on(device.EVENT_CONNECTION, self._met)
        device.on(device.EVENT_ADVERTISEMENT, self._advertised)
        device.on(device.EVENT_FLUSH, self._gone)
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
        self._scan.lost()

    def _advertised(self, advertisement: Advertisement) -> None:
        if self._device is not None:
            self._scan.take(self._device, advertisement)

    def _ready(self) -> Device:
        if self._device is None or not self._device.powered_on:
            raise RadioOff("the Bluetooth controller is gone")
        return self._device


async def _has_keys(device: Device, connection: Connection) -> bool:
    return (
        device.keystore is not None
        and await device.keystore.get(str(connection.peer_address)) is not None
    )
