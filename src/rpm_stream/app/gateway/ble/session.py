"""One connection: subscribe first, then do everything else until the connection ends.

A cuff connects once, indicates all that it has stored and disconnects. A gateway that reads names
and batteries first gets nothing. After the subscriptions no other failure may delay or end the
connection. Only the device itself ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial

import structlog

from rpm_stream.app.gateway.ble import clock_values
from rpm_stream.app.gateway.ble.board import Board
from rpm_stream.app.gateway.ble.known import KnownDevice
from rpm_stream.app.gateway.ble.marks import Marks
from rpm_stream.app.gateway.ble.outbox import Outbox
from rpm_stream.app.gateway.ble.quiet import Quiet
from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    Link,
    LinkLost,
    NotPaired,
    PairingFailed,
    RadioError,
    Refused,
)
from rpm_stream.app.gateway.ble.stored import CONTROL, RECORDS, StoredRecords
from rpm_stream.ingest.gatt.decoders import DECODERS

BATTERY = "2A19"
CURRENT_TIME = "2A2B"
DATE_TIME = "2A08"
SESSION_START = "2AAA"
# streams: they are sent as long as the device is worn
STREAMS = frozenset({"2A37", "2A5F", "2AA7", "2A53"})
TICKED = frozenset({"2A37", "2A5F", "2A53"})  # sent many times a minute: seconds share a frame
KEEP_SECONDS = 10.0
# Indications come first: the device stores them and sends them once.
FIRST = ("indicate", "notify")


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """The settings of a session that a deployment may change; times in seconds.

    ``zone`` is the zone of the devices' clocks.
    """

    clock: Callable[[], datetime]
    zone: tzinfo | None  # None: the zone of this machine
    gather: float = 5.0  # how long a value of a stream may wait for others
    battery_every: float = 6 * 3600.0
    rssi_every: float = 60.0


@dataclass(frozen=True)
class GatewayContext:
    """What all connections of a gateway share."""

    marks: Marks
    board: Board
    options: SessionOptions


_log = structlog.get_logger(__name__)


class Session:
    """One connection from subscribing to its end."""

    def __init__(
        self, link: Link, known: KnownDevice, outbox: Outbox, shared: GatewayContext
    ) -> None:
        self.values = 0  # number of values that came over this link
        self._link = link
        self._known = known
        self._outbox = outbox
        self._marks = shared.marks
        self._board = shared.board
        self._options = shared.options
        self._loop = asyncio.get_running_loop()
        self._found: Sequence[GattCharacteristic] = ()
        self._stores: dict[str, StoredRecords] = {}  # by service
        self._streams: dict[GattCharacteristic, Quiet] = {}
        self._unpaired: PairingFailed | None = None
        self.idle_since = self._loop.time()

    @property
    def streams(self) -> bool:
        """Whether a stream flows. The device is then worn and keeps its link."""
        return any(quiet.ever and not quiet.asked for quiet in self._streams.values())

    async def run(self) -> None:
        """Serve until the link is gone.

        Raises ``RadioError`` if the link is useless: not paired, or nothing to subscribe to.
        """
        if self._link.bonded or self._known.bond:
            await self._link.pair()
        self._found = await self._link.characteristics()
        await self._read_session_start()
        await self._subscribe_all()
        tasks = [
            asyncio.create_task(work)
            for work in (self._care(), self._watch(), self._link.gone.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._keep()

    # --- subscribing ------------------------------------------------------------------------------

    async def _subscribe_all(self) -> None:
        sending = [one for one in self._found if not one.properties.isdisjoint(FIRST)]
        wanted = [one for one in sending if one.uuid in DECODERS]
        if left := sorted(
            {one.uuid for one in sending if one.uuid not in DECODERS and one.uuid != "2A05"}
        ):
            _log.info("ble.not_understood", characteristics=left[:20])
        self._stores = {
            one.service: StoredRecords(one.service, self._known.device, self._marks)
            for one in wanted
            if one.uuid == CONTROL and one.service in RECORDS
        }
        wanted.sort(
            key=lambda one: (one.uuid in (BATTERY, CONTROL), "indicate" not in one.properties)
        )
        taken = 0
        for one in wanted:
            taken += await self._subscribe(one)
        if not taken and self._unpaired is not None:
            raise self._unpaired
        if not taken and not any(one.uuid in DECODERS for one in self._found):
            raise Refused("the device has no value that this gateway can read")

    async def _subscribe(self, one: GattCharacteristic) -> bool:
        """Subscribe and return whether the device accepted.

        A refusal does not affect the other characteristics. Raises ``LinkLost``.
        """
        if one.uuid in STREAMS:
            self._streams.setdefault(one, Quiet(self._loop.time()))
        receive = partial(self._arrived, one)
        try:
            try:
                await self._link.subscribe(one, receive)
            except NotPaired:
                await self._link.pair()
                await self._link.subscribe(one, receive)
        except (Refused, PairingFailed) as error:
            self._unpaired = error if isinstance(error, PairingFailed) else self._unpaired
            _log.warning("ble.subscription_refused", characteristic=one.uuid, fault=str(error))
            self._streams.pop(one, None)
            if one.uuid == CONTROL:
                self._stores.pop(one.service, None)
            return False
        return True

    def _arrived(self, one: GattCharacteristic, payload: bytes) -> None:
        """Take a value at the moment when the stack delivers it."""
        self._outbox.put(one.uuid, payload, self._options.gather if one.uuid in TICKED else 0.0)
        self._board.heard(self._known.device)
        now = self._loop.time()
        self.idle_since = now
        self.values += 1
        if one.uuid == BATTERY:
            self._note_battery(payload)
        if (quiet := self._streams.get(one)) is not None:
            quiet.heard(now)
        if (store := self._stores.get(one.service)) is not None:
            if one.uuid == CONTROL:
                store.answer(payload)
            elif one.uuid == store.characteristic:
                store.record(payload)

    # --- requests ---------------------------------------------------------------------------------

    async def _read_session_start(self) -> None:
        """Read a glucose sensor's session start first: its values have no time without it."""
        for one in self._found:
            if one.uuid == SESSION_START and "read" in one.properties:
                await self._attempt("session start", partial(self._read_into_frame, one))

    async def _care(self) -> None:
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
            await self._keep()
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
        for one in self._found:
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
        control = next(one for one in self._found if one.uuid == CONTROL and one.service == service)
        await store.read(
            lambda data: self._link.write(control, data, "write" in control.properties)
        )
        await self._keep()

    async def _read_battery(self) -> None:
        for one in self._found:
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

    async def _keep(self) -> None:
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

    # --- silence ----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Subscribe again to a stream that stopped, and reconnect if that does not help.

        A stream that was never heard is left alone while another one flows, because not every
        wearer runs.
        """
        while True:
            deadline = min((quiet.deadline for quiet in self._streams.values()), default=None)
            await asyncio.sleep(
                3600.0 if deadline is None else max(0.0, deadline - self._loop.time()) + 0.01
            )
            for one, quiet in list(self._streams.items()):
                if quiet.deadline > self._loop.time():
                    continue
                if quiet.asked and (
                    quiet.ever or not any(other.ever for other in self._streams.values())
                ):
                    raise LinkLost(f"{one.uuid} is silent")
                if not quiet.asked:
                    _log.info("ble.silent", characteristic=one.uuid)
                    self._board.meters.resubscriptions.inc()
                    await self._subscribe(one)
                quiet.subscribed(self._loop.time())
