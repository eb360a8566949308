"""Scanning with bleak: one scanner that all callers share.

BlueZ refuses a second scanner of the same process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError

from rpm_stream.app.gateway.ble.bleak_errors import RAISED, is_stuck, of_connecting
from rpm_stream.app.gateway.ble.radio import RadioOff, Sighting, short_uuid

UNKNOWN_RSSI = -127  # bleak's value if the system gave none
STOP_SECONDS = 5.0
# properties of BlueZ's own state; they do not come from the device's advertisement
STATE = ("Connected", "ServicesResolved", "Paired", "Bonded", "Trusted", "Blocked")
KNOWN_STATES = 1024  # most devices tracked: phones change their address every quarter of an hour


class Scan:
    """A scan that runs as long as at least one caller needs it."""

    def __init__(
        self, report: Callable[[Sighting], None], cycle: Callable[[], Awaitable[None]]
    ) -> None:
        """Call ``report`` for each advertisement. ``cycle`` switches the adapter off and on."""
        self.adapter: str | None = None  # on Linux, such as hci0
        self._report = report
        self._cycle = cycle
        self._scanner: BleakScanner | None = None
        self._needed = 0
        self._starting = asyncio.Lock()
        # addresses that an attempt to connect waits for
        self._expected: dict[str, asyncio.Future[BLEDevice]] = {}
        self._states: dict[str, tuple[object, ...]] = {}  # by path of BlueZ

    @asynccontextmanager
    async def needed(self) -> AsyncIterator[None]:
        """Keep the scan running inside the context. Raises ``RadioOff``."""
        self._needed += 1
        try:
            await self.go_on()
            yield
        finally:
            self._needed -= 1
            if not self._needed:
                await self.stop()

    async def device(self, address: str) -> BLEDevice:
        """Return the next device that advertises with this address."""
        seen = self._expected.get(address)
        if seen is None or seen.done():
            seen = self._expected[address] = asyncio.get_running_loop().create_future()
        try:
            async with self.needed():
                return await asyncio.shield(seen)
        finally:
            if self._expected.get(address) is seen:
                del self._expected[address]

    async def go_on(self) -> None:
        """Start the scan, also after ``stop``, if a caller needs it. Raises ``RadioOff``."""
        async with self._starting:
            if self._scanner is None and self._needed:
                self._scanner = await self._begun()

    async def stop(self) -> None:
        """Stop the scan until ``go_on``, even if callers need it. Never raises."""
        async with self._starting:
            scanner = self._scanner
            self._scanner = None
            if scanner is not None:
                with suppress(*RAISED):
                    async with asyncio.timeout(STOP_SECONDS):
                        await scanner.stop()

    async def _begun(self) -> BleakScanner:
        # Without DuplicateData BlueZ reports a device again only if its strength changes by 8 dB.
        # It may then not report a device at all that came back after a lost connection.
        asked: BlueZScannerArgs = {"filters": {"DuplicateData": True}}
        if self.adapter is not None:
            asked["adapter"] = self.adapter
        scanner = BleakScanner(self._advertised, bluez=asked)
        try:
            try:
                await scanner.start()
            except BleakDBusError as error:
                if not is_stuck(error):
                    raise
                await self._cycle()
                await scanner.start()
        except RAISED as error:
            fault = of_connecting(error)
            raise (
                fault
                if isinstance(fault, RadioOff)
                else RadioOff(f"scanning does not begin: {fault}")
            ) from error
        return scanner

    def _advertised(self, device: BLEDevice, data: AdvertisementData) -> None:
        if not self._is_advertisement(data):
            return
        address = device.address.upper()
        seen = self._expected.get(address)
        if seen is not None and not seen.done():
            seen.set_result(device)
        rssi = None if data.rssi == UNKNOWN_RSSI else data.rssi
        services = frozenset(short_uuid(uuid) for uuid in data.service_uuids)
        self._report(Sighting(address, data.local_name or device.name, services, rssi))

    def _is_advertisement(self, data: AdvertisementData) -> bool:
        """Whether the device itself was heard.

        On Linux bleak also reports each change of BlueZ's own knowledge of a device in this way,
        above all that the device was connected or lost.
        """
        props = data.platform_data[1] if len(data.platform_data) > 1 else None
        if not isinstance(props, dict):
            return True
        path = data.platform_data[0]
        state = tuple(props.get(name) for name in STATE)
        known = self._states.pop(path, state)
        self._states[path] = state
        if len(self._states) > KNOWN_STATES:
            del self._states[next(iter(self._states))]
        return known == state and not props.get("Connected")
