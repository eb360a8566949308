"""One connection: subscribe first, then do everything else until the connection ends.

A cuff connects once, indicates all that it has stored and disconnects. A gateway that reads names
and batteries first gets nothing. After the subscriptions no other failure may delay or end the
connection. Only the device itself ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from rpm_stream.app.gateway.ble.known import KnownDevice
from rpm_stream.app.gateway.ble.options import GatewayContext
from rpm_stream.app.gateway.ble.outbox import Outbox
from rpm_stream.app.gateway.ble.quiet import Quiet
from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    Link,
    LinkLost,
    NotPaired,
    PairingFailed,
    Refused,
)
from rpm_stream.app.gateway.ble.stored import CONTROL
from rpm_stream.app.gateway.ble.upkeep import BATTERY, Upkeep
from rpm_stream.ingest.gatt.decoders import DECODERS
from rpm_stream.knowledge import shipped

# Indications come first: the device stores them and sends them once.
FIRST = ("indicate", "notify")


_log = structlog.get_logger(__name__)


def is_stream(uuid: str) -> bool:
    """Whether the characteristic is sent as long as the device is worn."""
    found = shipped().characteristics.get(uuid)
    return found is not None and found.continuous


def is_frequent(uuid: str) -> bool:
    """Whether the stream is sent many times a minute, so that some seconds of it share a frame."""
    return is_stream(uuid) and shipped().characteristics[uuid].dense


class Session:
    """One connection from subscribing to its end."""

    def __init__(
        self, link: Link, known: KnownDevice, outbox: Outbox, shared: GatewayContext
    ) -> None:
        self.values = 0  # number of values that came over this link
        self._link = link
        self._known = known
        self._outbox = outbox
        self._board = shared.board
        self._options = shared.options
        self._loop = asyncio.get_running_loop()
        self._upkeep = Upkeep(link, known, outbox, shared)
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
        found = self._upkeep.found = await self._link.characteristics()
        await self._upkeep.read_session_start()
        await self._subscribe_all(found)
        tasks = [
            asyncio.create_task(work)
            for work in (self._upkeep.run(), self._watch(), self._link.gone.wait())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._upkeep.keep()

    # --- subscribing ------------------------------------------------------------------------------

    async def _subscribe_all(self, found: Sequence[GattCharacteristic]) -> None:
        sending = [one for one in found if not one.properties.isdisjoint(FIRST)]
        wanted = [one for one in sending if one.uuid in DECODERS]
        if left := sorted(
            {one.uuid for one in sending if one.uuid not in DECODERS and one.uuid != "2A05"}
        ):
            _log.info("ble.not_understood", characteristics=left[:20])
        self._upkeep.expect_stored(wanted)
        wanted.sort(
            key=lambda one: (one.uuid in (BATTERY, CONTROL), "indicate" not in one.properties)
        )
        taken = 0
        for one in wanted:
            taken += await self._subscribe(one)
        if not taken and self._unpaired is not None:
            raise self._unpaired
        if not taken and not any(one.uuid in DECODERS for one in found):
            raise Refused("the device has no value that this gateway can read")

    async def _subscribe(self, one: GattCharacteristic) -> bool:
        """Subscribe and return whether the device accepted.

        A refusal does not affect the other characteristics. Raises ``LinkLost``.
        """
        if is_stream(one.uuid):
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
            self._upkeep.refused(one)
            return False
        return True

    def _arrived(self, one: GattCharacteristic, payload: bytes) -> None:
        """Take a value at the moment when the stack delivers it."""
        self._outbox.put(one.uuid, payload, self._options.gather if is_frequent(one.uuid) else 0.0)
        self._board.heard(self._known.device)
        now = self._loop.time()
        self.idle_since = now
        self.values += 1
        if (quiet := self._streams.get(one)) is not None:
            quiet.heard(now)
        self._upkeep.heard(one, payload)

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
