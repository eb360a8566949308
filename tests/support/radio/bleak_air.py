"""The air of bleak: a D-Bus daemon of its own, with a double of BlueZ that reaches the devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.radio.air import Peripheral, Spec
from support.radio.bluez import BluezDouble, FakeDevice, Value, private_bus

from rpm_stream.app.gateway.ble.bleak_radio import BleakRadio

ADVERTISES_EVERY = 0.02
# BlueZ passes a value on and confirms it by itself. The confirmation takes a moment on air.
CONFIRMS_AFTER = 0.02


class BleakPeripheral(Peripheral):
    def __init__(self, spec: Spec, double: BluezDouble) -> None:
        super().__init__(spec)
        self.double = double
        values = [
            Value(
                part.service,
                part.uuid,
                frozenset(part.properties),
                part.value,
                wants_bond=part.encrypted,
            )
            for part in spec.parts
        ]
        self.device = FakeDevice(spec.address, spec.name, values)
        self.device.on_connect = self._on_connect
        self.device.on_subscribe = lambda value: self._soon(value.uuid)
        self.device.on_write = self._written
        self.advertising: asyncio.Task[None] | None = None
        double.add(self.device)

    def _on_connect(self) -> None:
        self.on_connected()

    def _soon(self, uuid: str) -> None:
        asyncio.get_running_loop().call_soon(self.on_subscribed, uuid)

    def _written(self, value: Value, data: bytes) -> None:
        self.written.append((value.uuid, data))
        asyncio.get_running_loop().call_soon(self.on_written, value.uuid, data)

    @property
    def connected(self) -> bool:
        return self.device.connected

    async def advertise(self) -> None:
        if self.advertising is None:
            self.advertising = asyncio.ensure_future(self._advertise())
        await asyncio.sleep(0)

    async def _advertise(self) -> None:
        while True:
            if not self.device.connected:
                self.double.advertise(self.device)
            await asyncio.sleep(ADVERTISES_EVERY)

    async def hide(self) -> None:
        if self.advertising is not None:
            self.advertising.cancel()
            self.advertising = None
        self.double.advertise(self.device, on=False)

    async def say(self, uuid: str, value: bytes) -> bool:
        subscribed = self.double.send(self.device, uuid, value)
        if "indicate" not in self.device.value(uuid).properties:
            return self.device.connected
        await asyncio.sleep(CONFIRMS_AFTER)
        return subscribed and self.device.connected

    async def drop(self) -> None:
        self.double.drop(self.device)

    async def forget(self) -> None:
        self.device.has_keys = False


class BleakAir:
    def __init__(self) -> None:
        self.keys: Path | None = None
        self.double = BluezDouble([])
        self.peripherals: list[BleakPeripheral] = []

    def radio(self) -> BleakRadio:
        return BleakRadio()

    async def peripheral(self, spec: Spec) -> BleakPeripheral:
        made = BleakPeripheral(spec, self.double)
        self.peripherals.append(made)
        return made

    def unplug(self) -> None:
        self.double.unplug()

    def plug(self) -> None:
        self.double.plug()


@asynccontextmanager
async def bleak_air(folder: Path) -> AsyncIterator[BleakAir]:
    async with private_bus(folder):
        air = BleakAir()
        await air.double.start()
        try:
            yield air
        finally:
            for peripheral in air.peripherals:
                await peripheral.hide()
            await air.double.stop()
