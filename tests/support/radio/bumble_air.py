"""The air of bumble: controllers in this process, joined by its LocalLink."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bumble import core
from bumble.att import AttributeValueV2
from bumble.controller import Controller
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, Descriptor, Service
from bumble.hci import (
    Address,
    HCI_Disconnect_Command,
    HCI_ErrorCode,
    HCI_LE_Connection_Complete_Event,
)
from bumble.host import Host
from bumble.keys import MemoryKeyStore
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from support.radio.air import Part, Peripheral, Spec

from rpm_stream.app.gateway.ble.bumble_device import BumbleOptions
from rpm_stream.app.gateway.ble.bumble_radio import BumbleRadio
from rpm_stream.app.gateway.ble.bumble_transport import AdapterHost
from rpm_stream.app.gateway.ble.radio import RadioOff

BITS = {
    "read": Characteristic.Properties.READ,
    "write": Characteristic.Properties.WRITE,
    "write_without_response": Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
    "notify": Characteristic.Properties.NOTIFY,
    "indicate": Characteristic.Properties.INDICATE,
}
P = Characteristic.Permissions


class Adapter(Controller):
    """bumble's controller with a real cancel.

    A connection that is given up is reported as given up, and is not made later.
    """

    def on_hci_le_create_connection_cancel_command(self, _command: Any) -> Any:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            asyncio.get_running_loop().call_soon(self._given_up, pending.peer_address)
        return super().on_hci_le_create_connection_cancel_command(_command)

    def _given_up(self, address: Address) -> None:
        self.send_hci_packet(
            HCI_LE_Connection_Complete_Event(
                status=HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=0,
                peer_address_type=address.address_type,
                peer_address=address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )


def host_of(name: str, link: LocalLink, kind: type[Host] = Host) -> Host:
    host = kind()
    host.controller = Adapter(name, link=link)
    return host


class BumblePeripheral(Peripheral):
    def __init__(self, spec: Spec, link: LocalLink) -> None:
        super().__init__(spec)
        config = DeviceConfiguration(
            name=spec.name, address=Address(spec.address), gatt_service_enabled=False
        )
        config.advertising_interval_min = config.advertising_interval_max = 20
        self.device = Device(config=config, host=host_of(spec.name, link))
        self.device.keystore = MemoryKeyStore()
        self.device.pairing_config_factory = lambda _: PairingConfig(
            mitm=False, delegate=PairingDelegate()
        )
        self._connection: Connection | None = None
        self._parts: dict[str, tuple[Part, Characteristic[bytes]]] = {}
        self._wants = False
        self._change = asyncio.Lock()
        for service in dict.fromkeys(part.service for part in spec.parts):
            parts = [part for part in spec.parts if part.service == service]
            self.device.add_service(
                Service(UUID(service), [self._characteristic(part) for part in parts])
            )
        self.device.on(self.device.EVENT_CONNECTION, self._connected)
        uuids = b"".join(
            UUID(service).to_bytes()
            for service in dict.fromkeys(part.service for part in spec.parts)
            if len(service) == 4
        )
        self.device.advertising_data = bytes(
            core.AdvertisingData([(0x01, b"\x06"), (0x03, uuids), (0x09, spec.name.encode())])
        )

    def _characteristic(self, part: Part) -> Characteristic[bytes]:
        bits = Characteristic.Properties(0)
        for word in part.properties:
            bits |= BITS[word]
        access = P.READABLE | P.WRITEABLE
        if part.encrypted:
            access |= P.READ_REQUIRES_ENCRYPTION | P.WRITE_REQUIRES_ENCRYPTION
        value = AttributeValueV2(
            read=lambda _, part=part: part.value,
            write=lambda _, data, part=part: self._written(part.uuid, data),
        )
        made: Characteristic[bytes] = Characteristic(UUID(part.uuid), bits, access, value)
        if {"notify", "indicate"} & part.properties:
            configuration = self.device.gatt_server.make_descriptor_value(made)
            made.descriptors = (Descriptor(UUID.from_16_bits(0x2902), access, configuration),)
        made.on(
            made.EVENT_SUBSCRIPTION,
            lambda _, notify, indicate, part=part: self._told(part.uuid, notify or indicate),
        )
        self._parts[part.uuid] = (part, made)
        return made

    def _written(self, uuid: str, data: bytes) -> None:
        self.written.append((uuid, bytes(data)))
        asyncio.get_running_loop().call_soon(self.on_written, uuid, bytes(data))

    def _told(self, uuid: str, on: bool) -> None:
        if on:
            asyncio.get_running_loop().call_soon(self.on_subscribed, uuid)

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        connection.on(connection.EVENT_DISCONNECTION, self._disconnected)
        self.on_connected()

    def _disconnected(self, _: Any) -> None:
        self._connection = None
        if self._wants:
            self._again = asyncio.ensure_future(self._advertise())

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def advertise(self) -> None:
        self._wants = True
        await self._advertise()

    async def _advertise(self) -> None:
        async with self._change:
            if self._wants and not self.connected and not self.device.is_advertising:
                await self.device.start_advertising(auto_restart=False)

    async def hide(self) -> None:
        self._wants = False
        async with self._change:
            if self.device.is_advertising:
                await self.device.stop_advertising()

    async def say(self, uuid: str, value: bytes) -> bool:
        part, made = self._parts[uuid]
        connection = self._connection
        if connection is None:
            return False
        server = self.device.gatt_server
        if "notify" in part.properties and "indicate" not in part.properties:
            await server.notify_subscriber(connection, made, value)
            return True
        if not (server.subscribers.get(connection) or {}).get(made.handle):
            return False
        task = asyncio.ensure_future(server.indicate_subscriber(connection, made, value))
        ended = asyncio.get_running_loop().create_future()
        connection.once(
            connection.EVENT_DISCONNECTION, lambda *_: ended.done() or ended.set_result(None)
        )
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not task.cancelled() and task.exception() is None:
            return True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False

    async def drop(self) -> None:
        if self._connection is not None:
            with suppress(core.BaseBumbleError):
                await self._connection.disconnect()

    async def forget(self) -> None:
        assert self.device.keystore is not None
        await self.device.keystore.delete_all()


class BumbleAir:
    def __init__(self, folder: Path) -> None:
        self.link = LocalLink()
        self.peripherals: list[BumblePeripheral] = []
        self.keys: Path | None = folder / "keys.json"
        self._folder, self._plugged = folder, True
        self._host: Host | None = None

    def radio(self) -> BumbleRadio:
        return BumbleRadio(
            self._opened, BumbleOptions(keys=self._folder / "keys.json", identity="gw-1")
        )

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Host]:
        if not self._plugged:
            raise RadioOff("no Bluetooth controller at test:0: is it there?")
        host = self._host = host_of("gateway", self.link, AdapterHost)
        controller = host.controller
        try:
            yield host
        finally:
            self._host = None
            self._take(controller)

    def _take(self, controller: Any) -> None:
        """Remove a controller. The devices that were connected to it notice, and nobody else."""
        controller.host = None
        for connection in list(controller.le_connections.values()):
            controller.on_hci_disconnect_command(
                HCI_Disconnect_Command(connection_handle=connection.handle, reason=8)
            )
        if controller in self.link.controllers:
            self.link.remove_controller(controller)

    async def peripheral(self, spec: Spec) -> BumblePeripheral:
        made = BumblePeripheral(spec, self.link)
        self.peripherals.append(made)
        await made.device.power_on()
        return made

    def unplug(self) -> None:
        self._plugged = False
        if self._host is not None:
            host = self._host
            self._take(host.controller)
            host.on_transport_lost()

    def plug(self) -> None:
        self._plugged = True

    async def answered(self, commands: int) -> None:
        """Wait for the answers to ``commands`` of the host's commands.

        The task that waits for the last of them has not run yet.
        """
        for left in reversed(range(commands)):
            while not self._is_answered():
                await asyncio.sleep(0)
            while left and self._is_answered():
                await asyncio.sleep(0)

    def _is_answered(self) -> bool:
        waits = self._host.pending_response if self._host is not None else None
        return waits is not None and waits.done()


@asynccontextmanager
async def bumble_air(folder: Path) -> AsyncIterator[BumbleAir]:
    air = BumbleAir(folder)
    try:
        yield air
    finally:
        for peripheral in air.peripherals:
            await peripheral.hide()
            await peripheral.drop()
