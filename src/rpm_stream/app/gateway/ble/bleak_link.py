"""One connection of the bleak back end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from rpm_stream.app.gateway.ble.bleak_connection import CLOSE_SECONDS, BleakConnection
from rpm_stream.app.gateway.ble.link_state import LinkState
from rpm_stream.app.gateway.ble.radio import (
    PAIR_SECONDS,
    GattCharacteristic,
    PairingFailed,
    Property,
    RadioError,
    Refused,
    short_uuid,
)

if TYPE_CHECKING:  # imports the D-Bus library, which macOS and Windows do not have
    from rpm_stream.app.gateway.ble.bluez import Bluez

# BlueZ also reports a value that was read as a notification, on another D-Bus connection.
ECHO_SECONDS = 0.05
PROPERTIES: Final[dict[str, Property]] = {
    "read": "read",
    "write": "write",
    "write-without-response": "write_without_response",
    "notify": "notify",
    "indicate": "indicate",
}

_log = structlog.get_logger(__name__)


class BleakLink(LinkState):
    """A ``radio.Link`` on a connected ``BleakClient``.

    BlueZ confirms an indication itself before this process has it. It does so even if no program
    had subscribed yet. A bonded device that sends at once after connecting is therefore served more
    safely by a bare controller (``usb:0``). If a characteristic offers both, BlueZ subscribes to
    notifications. Neither behaviour can be configured.
    """

    def __init__(self, client: BleakClient, address: str, bluez: Bluez | None, path: str) -> None:
        """Wrap ``client``. ``bluez`` and ``path`` (the device's D-Bus path) are for Linux only."""
        super().__init__(address, bonded=False)
        self._client = client
        self._connection = BleakConnection(client, self._gone)
        self._bluez = bluez
        self._path = path
        self._found: dict[int, BleakGATTCharacteristic] = {}
        self._receivers: dict[int, Callable[[bytes], None]] = {}
        # values that arrived while their characteristic was being read
        self._read: dict[int, list[bytes]] = {}
        for service in client.services:
            for each in service.characteristics:
                self._found[each.handle] = each

    async def look(self) -> None:
        """Ask the system whether it keeps keys for the device."""
        if self._bluez is not None:
            self._bonded = await self._bluez.bonded(self._path)

    def ended(self) -> None:
        """Mark the connection as ended, after bleak has delivered all earlier values."""
        self._connection.ended()

    def lost(self) -> None:
        """Mark the connection as lost when the adapter went away."""
        self._connection.lost()

    async def close(self) -> None:
        """Disconnect within at most five seconds. Never raises for a link that is gone."""
        await self._connection.close()

    async def characteristics(self) -> Sequence[GattCharacteristic]:
        """Return all characteristics, ordered by handle.

        The system discovered them while it connected.
        """
        self._connection.check()
        return [_described(self._found[handle]) for handle in sorted(self._found)]

    async def subscribe(
        self, characteristic: GattCharacteristic, callback: Callable[[bytes], None]
    ) -> None:
        """Subscribe to ``characteristic``.

        A further call writes the subscription again and replaces the callback.
        """
        self._connection.check()
        if characteristic.properties.isdisjoint({"notify", "indicate"}):
            raise Refused(f"{characteristic.uuid} does not send by itself")
        handle = characteristic.handle
        found = self._of(characteristic)
        again = handle in self._receivers
        # With two subscribers BlueZ reports each value twice to each of them.
        if not again and _is_notifying(found):
            _log.warning("ble.other_subscriber", characteristic=characteristic.uuid)
        self._receivers[handle] = callback
        # A second subscription of bleak would deliver twice (Windows) or fail (macOS, BlueZ).
        if again:
            with suppress(Refused):
                await self._connection.ask(self._client.stop_notify(found))
        try:
            await self._connection.ask(
                self._client.start_notify(
                    found, lambda _, value: self._arrived(handle, bytes(value))
                )
            )
        except RadioError:
            self._receivers.pop(handle, None)
            raise

    async def read(self, characteristic: GattCharacteristic) -> bytes:
        """Return the current value.

        It is not delivered to the subscription as well, although BlueZ reports it there.
        """
        found = self._of(characteristic)
        handle = characteristic.handle
        if handle not in self._receivers or handle in self._read:
            return bytes(await self._connection.ask(self._client.read_gatt_char(found)))
        came = self._read[handle] = []
        try:
            value = bytes(await self._connection.ask(self._client.read_gatt_char(found)))
            await asyncio.sleep(ECHO_SECONDS)
            if value in came:
                came.remove(value)
        finally:
            del self._read[handle]
            for each in came:
                self._receivers[handle](each)
        return value

    async def write(self, characteristic: GattCharacteristic, data: bytes, response: bool) -> None:
        """Write ``data``. With ``response``, wait until the device has taken it."""
        found = self._of(characteristic)
        await self._connection.ask(self._client.write_gatt_char(found, data, response))

    async def pair(self) -> None:
        """Encrypt the connection, and bond if there is no bond yet.

        Keys that the device no longer has are deleted, and the connection ends with them. The next
        connection bonds again.
        """
        self._connection.check()
        if self._bonded and self._connection.refused_for_keys and self._bluez is not None:
            self._bonded = False
            await self._bluez.forget(self._path)
            self._connection.lost()
            raise PairingFailed(
                "the device no longer has the keys that were kept: they were deleted"
            )
        if self._bonded:
            return
        try:
            await self._connection.ask(self._paired(), PAIR_SECONDS + CLOSE_SECONDS)
        except Refused as error:
            # macOS pairs by itself when that is needed.
            if str(error) != "this system does not do that":
                raise PairingFailed(f"the device was not paired ({error})") from error
        await self.look()

    async def _paired(self) -> None:
        await (self._client.pair() if self._bluez is None else self._bluez.pair(self._path))

    async def rssi(self) -> int | None:
        """Return None: the system reports signal strength for advertisements only."""
        self._connection.check()
        return None

    def _arrived(self, handle: int, value: bytes) -> None:
        """Deliver a value of a subscription.

        Values that arrive after the link has ended are dropped, because they are not live.
        """
        if handle in self._read:
            self._read[handle].append(value)
        elif (receiver := self._receivers.get(handle)) is not None and not self._gone.is_set():
            receiver(value)

    def _of(self, characteristic: GattCharacteristic) -> BleakGATTCharacteristic:
        self._connection.check()
        return self._found[characteristic.handle]


def _described(characteristic: BleakGATTCharacteristic) -> GattCharacteristic:
    return GattCharacteristic(
        short_uuid(characteristic.service_uuid),
        short_uuid(characteristic.uuid),
        frozenset(PROPERTIES[name] for name in characteristic.properties if name in PROPERTIES),
        characteristic.handle,
    )


def _is_notifying(characteristic: BleakGATTCharacteristic) -> bool:
    """Whether another program has already subscribed, as far as BlueZ reports it."""
    match characteristic.obj:
        case (str(), dict() as props):
            return bool(props.get("Notifying"))
    return False
