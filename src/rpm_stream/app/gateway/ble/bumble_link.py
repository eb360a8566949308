"""One connection of the bumble back end: GATT on a bare controller."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import structlog
from bumble import core, gatt, hci
from bumble.device import Connection
from bumble.gatt_client import CharacteristicProxy

from rpm_stream.app.gateway.ble.bumble_client import Values
from rpm_stream.app.gateway.ble.bumble_connection import BumbleConnection
from rpm_stream.app.gateway.ble.link_state import LinkState
from rpm_stream.app.gateway.ble.radio import (
    PAIR_SECONDS,
    GattCharacteristic,
    LinkLost,
    PairingFailed,
    Property,
    Refused,
    short_uuid,
)

MTU = 247  # the most that a controller sends in one piece since Bluetooth 4.2
CCCD = 0x2902
# access, attributes and device information: not discovered, for speed
WITHOUT_VALUES = frozenset({"1800", "1801", "180A"})
PROPERTIES: Final[dict[int, Property]] = {
    gatt.Characteristic.Properties.READ: "read",
    gatt.Characteristic.Properties.WRITE: "write",
    gatt.Characteristic.Properties.WRITE_WITHOUT_RESPONSE: "write_without_response",
    gatt.Characteristic.Properties.NOTIFY: "notify",
    gatt.Characteristic.Properties.INDICATE: "indicate",
}

_log = structlog.get_logger(__name__)


class BumbleLink(LinkState):
    """A ``radio.Link`` on a bumble connection."""

    def __init__(self, connection: Connection, address: str, bonded: bool) -> None:
        """Wrap ``connection``.

        ``address`` is the one of the sighting. ``bonded`` is whether keys of this device are kept.
        """
        super().__init__(address, bonded)
        self._connection = connection
        self._requests = BumbleConnection(connection, self._gone)
        self._found: list[GattCharacteristic] | None = None
        self._proxies: dict[int, CharacteristicProxy[bytes]] = {}

    @property
    def _client(self) -> Values:
        client = self._connection.gatt_client
        assert isinstance(client, Values)
        return client

    def lost(self) -> None:
        """Mark the connection as ended, because the adapter is gone."""
        self._gone.set()

    async def prepare(self) -> None:
        """Agree on the length of a value. Without this, values longer than 20 bytes are cut off."""
        try:
            await self._requests.ask(self._client.request_mtu(MTU))
        except Refused:
            _log.info("ble.mtu_stays", octets=self._client.mtu)

    async def close(self) -> None:
        """Disconnect within at most five seconds."""
        await self._requests.close()

    async def characteristics(self) -> Sequence[GattCharacteristic]:
        """Return all characteristics but those of GAP, GATT and Device Information."""
        if self._found is None:
            self._found = await self._requests.ask(self._discovered())
        return self._found

    async def _discovered(self) -> list[GattCharacteristic]:
        found = []
        for service in await self._client.discover_services():
            name = short_uuid(service.uuid.to_hex_str())
            if name in WITHOUT_VALUES:
                continue
            for proxy in await service.discover_characteristics():
                self._proxies[proxy.handle] = proxy
                bits = frozenset(word for bit, word in PROPERTIES.items() if proxy.properties & bit)
                found.append(
                    GattCharacteristic(
                        name, short_uuid(proxy.uuid.to_hex_str()), bits, proxy.handle
                    )
                )
        return found

    async def subscribe(
        self, characteristic: GattCharacteristic, callback: Callable[[bytes], None]
    ) -> None:
        """Subscribe to indications if they are offered, else to notifications.

        A characteristic has one receiver.
        """
        if characteristic.properties.isdisjoint({"notify", "indicate"}):
            raise Refused(f"{characteristic.uuid} does not send by itself")
        descriptor = await self._requests.ask(self._configuration(characteristic))
        bits = 2 if "indicate" in characteristic.properties else 1
        self._client.receive(characteristic.handle, callback)
        await self._requests.ask(
            self._client.write_value(descriptor, struct.pack("<H", bits), with_response=True)
        )

    async def _configuration(self, characteristic: GattCharacteristic) -> int:
        """Return the handle of the descriptor that switches sending on."""
        proxy = self._proxies[characteristic.handle]
        kept = proxy.descriptors or await self._client.discover_descriptors(proxy)
        for descriptor in kept:
            if descriptor.type == core.UUID.from_16_bits(CCCD):
                return int(descriptor.handle)
        raise Refused(f"{characteristic.uuid} has no descriptor to subscribe by")

    async def read(self, characteristic: GattCharacteristic) -> bytes:
        """Return the current value."""
        return bytes(await self._requests.ask(self._client.read_value(characteristic.handle)))

    async def write(self, characteristic: GattCharacteristic, data: bytes, response: bool) -> None:
        """Write ``data``. With ``response``, wait until the device has taken it."""
        await self._requests.ask(
            self._client.write_value(characteristic.handle, data, with_response=response)
        )

    async def pair(self) -> None:
        """Encrypt the connection with the kept keys, or bond if there are none."""
        if self._connection.is_encrypted:
            return
        device = self._connection.device
        name = str(self._connection.peer_address)
        if self._bonded:
            try:
                await self._secured(device.encrypt(self._connection))
            except (PairingFailed, LinkLost) as error:
                if isinstance(error, LinkLost) and not self._requests.ended_for_keys:
                    raise
                if device.keystore is not None:
                    await device.keystore.delete(name)
                self._bonded = False
                raise PairingFailed(
                    "the device has other keys than the kept ones, which were deleted"
                ) from error
            return
        await self._secured(device.pair(self._connection))
        self._bonded = device.keystore is not None and await device.keystore.get(name) is not None

    async def _secured(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(PAIR_SECONDS):
                await self._requests.ask(request, partial(PairingFailed))
        except TimeoutError:
            await self._requests.close()
            raise PairingFailed("the device did not finish pairing") from None

    async def rssi(self) -> int | None:
        """Return the signal strength, None if the controller does not report it."""
        try:
            return int(await self._requests.ask(self._strength()))
        except Refused:
            return None

    async def _strength(self) -> int:
        command = hci.HCI_Read_RSSI_Command(handle=self._connection.handle)
        return int((await self._connection.device.send_sync_command(command)).rssi)
