"""What a gateway asks of a connected device: its clock, battery, signal and stored records.

No failure here delays or ends the connection. Only the loss of the link does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

import structlog

from rpm_stream.app.gateway.ble import clock_values
from rpm_stream.app.gateway.ble.known import KnownDevice
from rpm_stream.app.gateway.ble.options import GatewayContext
from rpm_stream.app.gateway.ble.outbox import Outbox
from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    Link,
    LinkLost,
    NotPaired,
    RadioError,
)
from rpm_stream.app.gateway.ble.stored import CONTROL, RECORDS, StoredRecords

BATTERY = "2A19"
CURRENT_TIME = "2A2B"
DATE_TIME = "2A08"
SESSION_START = "2AAA"
KEEP_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Upkeep:
    """The requests to one connected device."""

    def __init__(
        self, link: Link, known: KnownDevice, outbox: Outbox, shared: GatewayContext
    ) -> None:
        self.found: Sequence[GattCharacteristic] = ()  # the device's characteristics
        self._link = link
        self._known = known
        self._outbox = outbox
        self._marks = shared.marks
        self._board = shared.board
        self._options = shared.options
        self._loop = asyncio.get_running_loop()
        self._stores: dict[str, StoredRecords] = {}  # by service

    def expect_stored(self, wanted: Iterable[GattCharacteristic]) -> None:
        """Prepare for the stored records of the services whose control point is in ``wanted``."""
        self._stores = {
            one.service: StoredRecords(one.service, self._known.device, self._marks)
            for one in wanted
            if one.uuid == CONTROL and one.service in RECORDS
        }

    def refused(self, one: GattCharacteristic) -> None:
        """Note a refused subscription: without its control point no record can be requested."""
        if one.uuid == CONTROL:
            self._stores.pop(one.service, None)

    def heard(self, one: GattCharacteristic, payload: bytes) -> None:
        """Note a value that came: a battery level, a stored record or an answer to a request."""
        if one.uuid == BATTERY:
            self._note_battery(payload)
        if (store := self._stores.get(one.service)) is not None:
            if one.uuid == CONTROL:
                store.answer(payload)
            elif one.uuid == store.characteristic:
                store.record(payload)

    async def read_session_start(self) -> None:
        """Read a glucose sensor's session start first: its values have no time without it."""
        for one in self.found:
            if one.uuid == SESSION_START and "read" in one.properties:
                await self._attempt("session start", partial(self._read_into_frame, one))

    async def run(self) -> None:
        """Set the clock and read battery and stored records. Then repeat battery and signal."""
        if self._known.clock:
            await self._attempt("clock", self._set_clock)
        if self._known.stored:
            for service, store in list(self._stores.items()):
                await self._attempt("stored records", partial(self._read_store, service, store))
        battery_at = self._loop.time()
        while True:
            if self._loop.time() >= battery_at:
                battery_at += self._options.battery_every
                await self._attempt("battery", self._read_battery)
            await self._attempt("signal strength", self._read_rssi)
            await self.keep()
            await asyncio.sleep(self._options.rssi_every)

    async def _attempt(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Run ``work`` so that its failure does not delay any other.

        If it needs pairing, the device is paired and ``work`` is tried once again.
        """
        try:
            try:
                await work()
            except NotPaired:
                await self._link.pair()
                await work()
        except LinkLost:
            raise
        except (RadioError, ValueError) as error:
            _log.warning("ble.attempt_failed", what=what, fault=str(error))

    async def _set_clock(self) -> None:
        """Write 2A2B and 2A08 if the device allows it: many devices indicate nothing before."""
        for one in self.found:
            if one.uuid not in (CURRENT_TIME, DATE_TIME) or one.properties.isdisjoint(
                {"write", "write_without_response"}
            ):
                continue
            now = self._options.clock().astimezone(self._options.zone)
            offset = int((now.utcoffset() or timedelta()).total_seconds() // 60)
            if one.uuid == CURRENT_TIME:
                value = clock_values.current_time(now, offset)
            else:
                value = clock_values.date_time(now.replace(tzinfo=None))
            await self._attempt(
                one.uuid, partial(self._link.write, one, value, "write" in one.properties)
            )

    async def _read_store(self, service: str, store: StoredRecords) -> None:
        control = next(one for one in self.found if one.uuid == CONTROL and one.service == service)
        await store.read(
            lambda data: self._link.write(control, data, "write" in control.properties)
        )
        await self.keep()

    async def _read_battery(self) -> None:
        for one in self.found:
            if one.uuid == BATTERY and "read" in one.properties:
                self._note_battery(await self._read_into_frame(one))

    async def _read_into_frame(self, one: GattCharacteristic) -> bytes:
        value = await self._link.read(one)
        self._outbox.put(one.uuid, value)
        return value

    def _note_battery(self, payload: bytes) -> None:
        if len(payload) == 1 and payload[0] <= 100:
            self._board.row(self._known.device).battery = payload[0]

    async def _read_rssi(self) -> None:
        strength = await self._link.rssi()
        if strength is not None:
            self._board.row(self._known.device).rssi = strength

    async def keep(self) -> None:
        """Store how far the device's memory was read, once those records are safe on disk.

        A full disk does not delay the session: after a time limit it gives up.
        """
        if not self._stores:
            return
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await self._outbox.flush()
        except TimeoutError:
            return  # the same records are read again next time
        for store in self._stores.values():
            store.keep()
