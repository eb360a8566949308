"""One attempt to connect with bleak: from an address to a link, or to the reason for none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bleak import BleakClient
from bleak.backends.device import BLEDevice

from rpm_stream.app.gateway.ble.bleak_connection import CLOSE_SECONDS
from rpm_stream.app.gateway.ble.bleak_errors import LOST_AT_ONCE, RAISED, of_connecting
from rpm_stream.app.gateway.ble.bleak_link import BleakLink
from rpm_stream.app.gateway.ble.bleak_scan import Scan
from rpm_stream.app.gateway.ble.radio import NotFound, PairingFailed, RadioError

if TYPE_CHECKING:  # imports the D-Bus library, which macOS and Windows do not have
    from rpm_stream.app.gateway.ble.bluez import Bluez

ATTEMPT: tuple[type[Exception], ...] = (*RAISED, NotFound)


class BleakConnector:
    """Connects to devices, several at a time."""

    def __init__(self, bluez: Bluez | None, scan: Scan) -> None:
        """``bluez`` is for Linux only. ``scan`` finds the devices that it does not know."""
        self.connecting: set[str] = set()  # addresses
        self.letting_go: set[asyncio.Task[None]] = set()  # closes abandoned connections
        self._bluez = bluez
        self._scan = scan

    async def connected(self, address: str, within: float) -> BleakLink:
        """Return a link to the device, whose services are discovered.

        Raises ``NotFound``, ``RadioOff``, and ``PairingFailed`` for keys that are no longer valid.
        """
        ended: list[Callable[[], None]] = []
        early = asyncio.Event()

        def gone(_: BleakClient) -> None:
            early.set()
            for tell in ended:
                tell()

        until = asyncio.get_running_loop().time() + within
        client: BleakClient | None = None
        self.connecting.add(address)
        try:
            async with asyncio.timeout_at(until):
                device = await self._device(address)
            client = BleakClient(device, gone, timeout=within)
            await _before(until, client.connect())
            link = BleakLink(client, address, self._bluez, _path(device))
            ended.append(link.ended)
            if early.is_set():
                raise NotFound(LOST_AT_ONCE)
            await link.look()
            return link
        except ATTEMPT as error:
            self._let_go(client)
            raise await self._fault_of(error, address) from error
        except BaseException:
            self._let_go(client)
            raise
        finally:
            self.connecting.discard(address)

    async def _fault_of(self, error: Exception, address: str) -> RadioError:
        """Return the error of ``radio.py`` for what ended an attempt to connect."""
        fault = error if isinstance(error, RadioError) else of_connecting(error)
        return await self._lost_at_once(address) if str(fault) == LOST_AT_ONCE else fault

    def _let_go(self, client: BleakClient | None) -> None:
        """Close an abandoned connection, which would keep its device from advertising.

        bleak itself cleans up after an attempt that did not end in a connection.
        """
        if client is not None and client.is_connected:
            task = asyncio.ensure_future(_ended(client))
            self.letting_go.add(task)
            task.add_done_callback(self.letting_go.discard)

    async def _lost_at_once(self, address: str) -> RadioError:
        """Return why a device disconnected during discovery.

        BlueZ encrypts the connection to a bonded device first, so invalid keys show here.
        """
        known = (await self._bluez.devices()).get(address) if self._bluez is not None else None
        if (
            self._bluez is None
            or known is None
            or not known[1].get("Bonded", known[1].get("Paired"))
        ):
            return NotFound(LOST_AT_ONCE)
        if await self._bluez.refused_keys(known[0]):
            await self._bluez.forget(known[0])
            return PairingFailed(
                "the device no longer has the keys that were kept: they were deleted"
            )
        return NotFound(
            f"{LOST_AT_ONCE}; if this repeats, remove it in bluetoothctl and pair it again"
        )

    async def _device(self, address: str) -> BLEDevice:
        """Return the device for bleak to connect to.

        That is a device that BlueZ knows already, or the next one that advertises with ``address``.
        """
        if (
            self._bluez is not None
            and (known := (await self._bluez.devices()).get(address)) is not None
        ):
            path, props = known
            return BLEDevice(address, str(props.get("Alias", "")), {"path": path, "props": props})
        return await self._scan.device(address)


def _path(device: BLEDevice) -> str:
    details = device.details
    return str(details.get("path", "")) if isinstance(details, dict) else ""


async def _ended(client: BleakClient) -> None:
    with suppress(*RAISED):
        async with asyncio.timeout(CLOSE_SECONDS):
            await client.disconnect()


async def _before(until: float, request: Coroutine[Any, Any, None]) -> None:
    """Await ``request`` until that time of the loop. Raises ``TimeoutError``.

    A request that does not react to its cancellation is left behind.
    """
    task = asyncio.ensure_future(request)
    try:
        await asyncio.wait({task}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
    if not task.done() or task.cancelled():
        raise TimeoutError
    task.result()
