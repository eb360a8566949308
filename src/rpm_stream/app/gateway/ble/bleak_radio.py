"""The back-end for the operating system's Bluetooth stack: Linux (BlueZ), macOS, Windows, by bleak.

**Not tested on hardware.** Its tests run bleak's own code for Linux over a real D-Bus daemon against a double of
BlueZ's interface (``tests/app/gateway/bluez_for_tests.py``); macOS and Windows have no double. Importing this module
needs the extra ``ble``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias

import structlog
from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from rpm_stream.app.gateway.ble.bleak_errors import LOST_AT_ONCE, RAISED, of_connecting
from rpm_stream.app.gateway.ble.bleak_link import BleakLink
from rpm_stream.app.gateway.ble.radio import Link, NotFound, PairingFailed, RadioError, RadioOff, Sighting, short_uuid

if sys.platform == "linux":
    from rpm_stream.app.gateway.ble.bluez import Bluez

AskPasskey: TypeAlias = Callable[[str], Awaitable[int | None]]
"""The device's address to the number that it shows, None where nobody answers: pairing ends."""

UNKNOWN_RSSI = -127  # what bleak says where the system told nothing
STOP_SECONDS = 5.0
STATE = ("Connected", "ServicesResolved", "Paired", "Bonded", "Trusted", "Blocked")  # of BlueZ, not of the air
KNOWN_STATES = 1024  # phones change their address every quarter of an hour

_log = structlog.get_logger(__name__)


class BleakRadio:
    """A ``radio.Radio`` on the system's stack."""

    def __init__(self, adapter: str | None = None, passkey: AskPasskey | None = None) -> None:
        """``adapter`` such as ``hci1`` (Linux only), None: the first that is on.

        ``passkey`` asks a person for the number that a device shows (Linux only; other systems ask by themselves).
        """
        self._bluez = Bluez(adapter, self._off, passkey) if sys.platform == "linux" else None
        self._links: dict[str, BleakLink] = {}
        self._ending: list[BleakLink] = []  # links that the adapter took with it: their last values are on their way
        self._scanner: BleakScanner | None = None
        self._scans = 0  # who needs the scanner now: the reader of sightings, attempts to connect
        self._starting = asyncio.Lock()
        self._waiting: dict[str, Sighting] = {}  # the newest of each address, until it is read
        self._expected: dict[str, asyncio.Event] = {}  # addresses that an attempt to connect waits for
        self._near: dict[str, BLEDevice] = {}
        self._states: dict[str, tuple[object, ...]] = {}  # by path of BlueZ
        self._heard = asyncio.Event()
        self._why_off: str | None = None
        self._reading = False

    async def __aenter__(self) -> Self:
        """Find the adapter. Raises ``RadioOff``."""
        if self._bluez is not None:
            await self._bluez.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all links and leave the system's stack as it was."""
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._links.clear()
        await self._stop()
        if self._bluez is not None:
            await self._bluez.close()

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Advertisements, without end; of one device the newest where the reader is slow."""
        if self._reading:
            raise ValueError("sightings are read already")
        self._why_off = None
        self._waiting.clear()
        self._reading = True
        try:
            await self._need_scan()
        except BaseException:
            self._reading = False
            raise
        try:
            while True:
                self._heard.clear()
                while self._waiting:
                    yield self._waiting.pop(next(iter(self._waiting)))
                await self._still_on()
                await self._heard.wait()
        finally:
            self._reading = False
            await self._no_scan()

    async def _still_on(self) -> None:
        """Raises ``RadioOff`` once all that the links had to tell has arrived."""
        if self._why_off is not None:
            await asyncio.gather(*(link.gone.wait() for link in self._ending))
            raise RadioOff(self._why_off)

    async def connect(self, address: str, within: float) -> Link:
        """Connect and discover. Raises ``NotFound``, ``RadioOff``; ``PairingFailed`` for keys that do not hold."""
        address = address.upper()
        if self._bluez is not None:
            await self._bluez.check()
        if (old := self._links.pop(address, None)) is not None:
            await old.close()  # two clients of one device would hear each value twice
        ended: list[Callable[[], None]] = []
        early = asyncio.Event()

        def gone(_: BleakClient) -> None:
            early.set()
            for tell in ended:
                tell()

        until = asyncio.get_running_loop().time() + within
        try:
            async with asyncio.timeout_at(until):
                device = await self._device(address)
            client = BleakClient(device, gone, timeout=within)
            await _before(until, client.connect())
        except RAISED as error:
            said = of_connecting(error)
            raise (await self._lost_at_once(address) if str(said) == LOST_AT_ONCE else said) from error
        if early.is_set() or not client.is_connected:
            with suppress(*RAISED):
                await _before(until, client.disconnect())
            raise await self._lost_at_once(address)
        link = BleakLink(client, address, self._bluez, _path(device))
        ended.append(link.ended)
        self._links = {kept: each for kept, each in self._links.items() if not each.gone.is_set()} | {address: link}
        await link.look()
        return link

    async def reset(self) -> None:
        """Switch the adapter off and on (Linux); elsewhere only begin scanning anew. All links are gone after it."""
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._links.clear()
        await self._stop()
        if self._bluez is not None:
            await self._bluez.cycle()
        self._why_off = None
        if self._scans:
            await self._start()

    async def _lost_at_once(self, address: str) -> RadioError:
        """Why a device hung up while it was discovered; BlueZ encrypts a bonded one before anything else."""
        known = (await self._bluez.devices()).get(address) if self._bluez is not None else None
        if self._bluez is None or known is None or not known[1].get("Bonded", known[1].get("Paired")):
            return NotFound(LOST_AT_ONCE)
        if await self._bluez.refused_keys(known[0]):
            await self._bluez.forget(known[0])
            return PairingFailed("the device no longer has the keys that were kept: they were deleted")
        return NotFound(f"{LOST_AT_ONCE}; where that goes on, remove it in bluetoothctl and pair it anew")

    # --- scanning: one scanner for all, because BlueZ refuses a second one of the same process ---

    async def _device(self, address: str) -> BLEDevice:
        """What bleak connects to: what BlueZ knows already, or the next that advertises with this address."""
        if self._bluez is not None and (known := (await self._bluez.devices()).get(address)) is not None:
            path, props = known
            return BLEDevice(address, str(props.get("Alias", "")), {"path": path, "props": props})
        seen = asyncio.Event()
        self._expected[address] = seen
        await self._need_scan()
        try:
            await seen.wait()
            return self._near[address]
        finally:
            del self._expected[address]
            self._near.pop(address, None)
            await self._no_scan()

    async def _need_scan(self) -> None:
        self._scans += 1
        try:
            await self._start()
        except BaseException:
            self._scans -= 1
            raise

    async def _no_scan(self) -> None:
        self._scans -= 1
        if not self._scans:
            await self._stop()

    async def _start(self) -> None:
        async with self._starting:
            if self._scanner is not None:
                return
            # DuplicateData: else BlueZ tells a device again only when its strength changes by 8 dB, and one that came
            # back after a lost connection may not be told at all.
            asked: BlueZScannerArgs = {"filters": {"DuplicateData": True}}
            if self._bluez is not None:
                asked["adapter"] = self._bluez.adapter
            scanner = BleakScanner(self._advertised, bluez=asked)
            try:
                await scanner.start()
            except RAISED as error:
                raise of_connecting(error) from error
            self._scanner = scanner

    async def _stop(self) -> None:
        async with self._starting:
            scanner, self._scanner = self._scanner, None
            if scanner is not None:
                with suppress(*RAISED):
                    async with asyncio.timeout(STOP_SECONDS):
                        await scanner.stop()

    def _advertised(self, device: BLEDevice, told: AdvertisementData) -> None:
        if not self._is_advertisement(told):
            return
        address = device.address.upper()
        if (seen := self._expected.get(address)) is not None:
            self._near[address] = device
            seen.set()
        if self._reading:
            rssi = None if told.rssi == UNKNOWN_RSSI else told.rssi
            services = frozenset(short_uuid(uuid) for uuid in told.service_uuids)
            self._waiting[address] = Sighting(address, told.local_name or device.name, services, rssi)
            self._heard.set()

    def _is_advertisement(self, told: AdvertisementData) -> bool:
        """Whether a device was heard. bleak on Linux tells each change of what BlueZ knows of a device as if it was:
        above all that it was connected or has been lost.
        """
        props = told.platform_data[1] if len(told.platform_data) > 1 else None
        if not isinstance(props, dict):
            return True
        path = told.platform_data[0]
        state = tuple(props.get(name) for name in STATE)
        known = self._states.pop(path, state)
        self._states[path] = state
        if len(self._states) > KNOWN_STATES:
            del self._states[next(iter(self._states))]
        return known == state and not props.get("Connected")

    def _off(self, why: str) -> None:
        """The adapter or BlueZ itself has gone, and every connection with it."""
        _log.warning("ble_radio_off", why=why)
        self._why_off = why
        self._ending = list(self._links.values())
        self._links.clear()
        for link in self._ending:
            link.lost()
        self._heard.set()


def _path(device: BLEDevice) -> str:
    details = device.details
    return str(details.get("path", "")) if isinstance(details, dict) else ""


async def _before(until: float, request: Coroutine[Any, Any, None]) -> None:
    """Await ``request`` until that time of the loop. What does not let itself be cancelled is left behind."""
    task = asyncio.ensure_future(request)
    try:
        await asyncio.wait({task}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
    if not task.done() or task.cancelled():
        raise TimeoutError
    task.result()
