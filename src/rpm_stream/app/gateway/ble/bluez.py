"""The parts of BlueZ's D-Bus interface that bleak lacks.

These are the adapter's power state and power cycle, bonds, and pairing with a number.

bleak watches devices only. If ``bluetoothd`` ends or the adapter is pulled out, BlueZ sends no
signal for its devices, and bleak shows the connections as alive for ever. This module therefore
watches the service and the adapter themselves.

Source: BlueZ's doc/org.bluez.Adapter.rst, org.bluez.Device.rst, org.bluez.Agent.rst and
org.bluez.AgentManager.rst.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.exc import BleakError
from dbus_fast import Message, MessageType
from dbus_fast.errors import DBusFastError

from rpm_stream.app.gateway.ble.bluez_agent import AskPasskey
from rpm_stream.app.gateway.ble.bluez_bus import (
    ADAPTER,
    DEVICE,
    OBJECTS,
    PROPERTIES,
    SERVICE,
    BluezBus,
    Props,
)
from rpm_stream.app.gateway.ble.radio import PAIR_SECONDS, RadioOff, Refused

KEYS_REFUSED: Final = f"{SERVICE}.Reason.Authentication"

NEWS_SECONDS = 0.1  # from a signal on bleak's bus to the same signal on this one
POWER_SECONDS = 10.0  # for an adapter to come back after it was switched on
OFF_SECONDS = 1.0  # how long it stays off; in less time some dongles do not reset


class Bluez:
    """One adapter of BlueZ.

    It calls ``on_lost`` with a one-line reason whenever the adapter or the service has gone.
    """

    def __init__(
        self, adapter: str | None, on_lost: Callable[[str], None], passkey: AskPasskey | None
    ) -> None:
        """Use ``adapter``, such as ``hci1``. None: the first adapter that is on."""
        self._wanted = adapter
        self._on_lost = on_lost
        self._passkey = passkey
        self._bus = BluezBus()
        self._path = ""
        self._switching = False
        self._refused_keys: set[str] = set()  # paths of devices that disconnected because of them
        self._breaking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find the adapter. Raises ``RadioOff`` with advice for the operator."""
        await self._bus.open()
        try:
            self._path = _first_adapter(await self._bus.objects(), self._wanted)
            await self._bus.listen(self._heard, _signals(self._path))
            if self._passkey is not None:
                await self._bus.register_agent(self._passkey)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection to the bus. Never raises."""
        await self._bus.close()

    @property
    def adapter(self) -> str:
        """The adapter's name, such as ``hci0``."""
        return self._path.rpartition("/")[2]

    async def devices(self) -> dict[str, tuple[str, Props]]:
        """Return the devices that BlueZ knows on this adapter: address to path and properties."""
        found = {}
        for path, interfaces in (await self._bus.objects()).items():
            device = interfaces.get(DEVICE)
            if device is not None and device.get("Adapter") == self._path:
                found[str(device["Address"]).upper()] = (path, device)
        return found

    async def bonded(self, path: str) -> bool:
        """Whether BlueZ keeps keys of this device."""
        with suppress(Refused, RadioOff):
            props = await self._bus.properties(path, DEVICE)
            return bool(props.get("Bonded", props.get("Paired", False)))
        return False

    async def pair(self, path: str) -> None:
        """Pair and bond a connected device. Raises ``Refused`` with BlueZ's reason.

        The request goes over this bus, because BlueZ uses the agent of the connection that
        requests it.
        """
        await self._bus.switch(path, DEVICE, "Trusted", True)
        try:
            async with asyncio.timeout(PAIR_SECONDS):
                await self._bus.call(path, f"{DEVICE}.Pair")
        except TimeoutError:
            await self._bus.call(path, f"{DEVICE}.CancelPairing")
            raise Refused("no answer in time") from None
        except Refused as error:
            if str(error) != "AlreadyExists":
                raise

    async def refused_keys(self, path: str) -> bool:
        """Whether the device has just disconnected because it does not know the kept keys.

        BlueZ before 5.82 does not report that.
        """
        await asyncio.sleep(NEWS_SECONDS)
        return path in self._refused_keys

    async def forget(self, path: str) -> None:
        """Delete a device with its keys. This also disconnects it."""
        self._refused_keys.discard(path)
        with suppress(Refused):
            await self._bus.call(self._path, f"{ADAPTER}.RemoveDevice", "o", path)

    async def check(self) -> None:
        """Raise ``RadioOff`` unless the adapter is present and on."""
        try:
            props = await self._bus.properties(self._path, ADAPTER)
        except Refused as error:
            raise RadioOff(f"the Bluetooth adapter {self.adapter} is gone") from error
        if not props.get("Powered"):
            raise RadioOff(_switched_off(self.adapter))

    async def cycle(self) -> None:
        """Switch the adapter off and on, and on again if this is cancelled.

        Raises ``RadioOff`` if it stays off and ``Refused`` without the permission for it.
        """
        self._switching = True
        try:
            # It is off already, or bluetoothd is starting. Only what follows counts.
            with suppress(RadioOff):
                await self._power(False)
            await asyncio.sleep(OFF_SECONDS)
            async with asyncio.timeout(POWER_SECONDS):
                while not await self._is_back():
                    await asyncio.sleep(OFF_SECONDS)
        except asyncio.CancelledError:  # a gateway that starts later would find it off
            with suppress(RadioOff, Refused):
                await self._power(True)
            raise
        except TimeoutError:
            raise RadioOff(
                f"the Bluetooth adapter {self.adapter} did not come back after it was switched off"
            ) from None
        finally:
            self._switching = False

    async def _is_back(self) -> bool:
        try:
            await self._power(True)
            await self.check()
        except RadioOff:
            return False
        return True

    async def _power(self, on: bool) -> None:
        await self._bus.switch(self._path, ADAPTER, "Powered", on)

    def _heard(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member, message.body:
            case "NameOwnerChanged", [name, _, new] if name == SERVICE:
                self._breaking = asyncio.ensure_future(_forget_what_bleak_knows())
                if not new and not self._switching:
                    self._on_lost("bluetoothd has ended: systemctl restart bluetooth")
            case "InterfacesRemoved", [path, interfaces] if (
                path == self._path and ADAPTER in interfaces
            ):
                self._on_lost(f"the Bluetooth adapter {self.adapter} is gone")
            case "Disconnected", [reason, _]:
                (self._refused_keys.add if reason == KEYS_REFUSED else self._refused_keys.discard)(
                    str(message.path)
                )
            case "PropertiesChanged", [interface, changed, _] if (
                interface == ADAPTER and message.path == self._path
            ):
                powered = changed.get("Powered")
                if powered is not None and not powered.value and not self._switching:
                    self._on_lost(_switched_off(self.adapter))


def _first_adapter(objects: dict[str, dict[str, Props]], wanted: str | None) -> str:
    """Return the path of the adapter to use. Raises ``RadioOff``."""
    adapters = {path: each[ADAPTER] for path, each in objects.items() if ADAPTER in each}
    if wanted is not None:
        adapters = {path: props for path, props in adapters.items() if path.endswith(f"/{wanted}")}
    if not adapters:
        raise RadioOff(f"no Bluetooth adapter{f' {wanted}' if wanted else ''} is plugged in")
    for path in sorted(adapters):
        if adapters[path].get("Powered"):
            return path
    raise RadioOff(_switched_off(min(adapters).rpartition("/")[2]))


def _signals(adapter: str) -> tuple[str, ...]:
    """Return the match rules for what may happen to the service, the adapter and its devices."""
    return (
        f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SERVICE}'",
        f"type='signal',sender='{SERVICE}',interface='{PROPERTIES}',path='{adapter}'",
        f"type='signal',sender='{SERVICE}',interface='{OBJECTS}',member='InterfacesRemoved'",
        f"type='signal',sender='{SERVICE}',interface='{DEVICE}',member='Disconnected'",
    )


def _switched_off(adapter: str) -> str:
    return (
        f"the Bluetooth adapter {adapter} is switched off: bluetoothctl power on (rfkill unblock"
        " bluetooth)"
    )


async def _forget_what_bleak_knows() -> None:
    """Make bleak drop its knowledge of the old ``bluetoothd``, above all its connections.

    A new ``bluetoothd`` knows nothing of them. bleak (3.1) starts afresh only when its bus breaks,
    so this breaks the bus. bleak's clients are then notified of the disconnection.
    """
    with suppress(OSError, EOFError, DBusFastError, BleakError):
        manager = await get_global_bluez_manager()
        if manager._bus is not None:
            manager._bus.disconnect()
