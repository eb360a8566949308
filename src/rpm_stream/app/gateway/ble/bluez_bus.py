"""Calls of BlueZ over the D-Bus system bus, and the errors of ``radio.py`` for its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from dbus_fast import BusType, DBusError, Message, MessageType, Variant, unpack_variants
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from rpm_stream.app.gateway.ble.bluez_agent import Agent, AskPasskey
from rpm_stream.app.gateway.ble.radio import RadioOff, Refused

SERVICE: Final = "org.bluez"
ADAPTER: Final = f"{SERVICE}.Adapter1"
DEVICE: Final = f"{SERVICE}.Device1"
DAEMON: Final = "org.freedesktop.DBus"
PROPERTIES: Final = f"{DAEMON}.Properties"
OBJECTS: Final = f"{DAEMON}.ObjectManager"

CALL_SECONDS = 25.0  # the usual time limit of D-Bus libraries

Props: TypeAlias = dict[str, Any]


class BluezBus:
    """One connection to the system bus, for BlueZ alone."""

    def __init__(self) -> None:
        self._bus: MessageBus | None = None

    async def open(self) -> None:
        """Connect. Raises ``RadioOff`` with advice for the operator."""
        try:
            self._bus = MessageBus(bus_type=BusType.SYSTEM)
            await self._bus.connect()
        except (OSError, EOFError, DBusFastError) as error:
            await self.close()
            raise RadioOff(
                f"no D-Bus system bus ({type(error).__name__}): is this a Linux with BlueZ?"
            ) from error

    async def close(self) -> None:
        """Close the connection to the bus. Never raises."""
        bus = self._bus
        self._bus = None
        if bus is None:
            return
        was_connected = bus.connected  # otherwise the wait below would never end
        bus.disconnect()
        if was_connected:
            with suppress(OSError, EOFError, DBusFastError):
                await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    async def listen(self, heard: Callable[[Message], None], rules: Iterable[str]) -> None:
        """Call ``heard`` for each message, among them the signals that match ``rules``."""
        assert self._bus is not None
        self._bus.add_message_handler(heard)
        for rule in rules:
            await self.call("/org/freedesktop/DBus", f"{DAEMON}.AddMatch", "s", rule)

    async def register_agent(self, passkey: AskPasskey) -> None:
        """Answer BlueZ's questions for a number with ``passkey``."""
        assert self._bus is not None
        await Agent(self._bus, passkey).register()

    async def objects(self) -> dict[str, dict[str, Props]]:
        """Return all that BlueZ knows: path to interface to properties."""
        objects = (await self.call("/", f"{OBJECTS}.GetManagedObjects"))[0]
        return {path: unpack_variants(interfaces) for path, interfaces in objects.items()}

    async def properties(self, path: str, interface: str) -> Props:
        """Return the properties of one object."""
        answer = await self.call(path, f"{PROPERTIES}.GetAll", "s", interface)
        properties: Props = unpack_variants(answer[0])
        return properties

    async def switch(self, path: str, interface: str, name: str, on: bool) -> None:
        """Set a property that is either on or off."""
        await self.call(path, f"{PROPERTIES}.Set", "ssv", interface, name, Variant("b", on))

    async def call(self, path: str, method: str, signature: str = "", *body: Any) -> list[Any]:
        """Return the body of the answer.

        Raises ``RadioOff`` if there is no answer and ``Refused`` for an error.
        """
        if self._bus is None or not self._bus.connected:
            raise RadioOff("the D-Bus system bus is gone")
        interface, _, member = method.rpartition(".")
        request = Message(
            destination=DAEMON if interface == DAEMON else SERVICE,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(None if member == "Pair" else CALL_SECONDS):
                reply = await self._bus.call(request)
        except (OSError, EOFError, TimeoutError, DBusError) as error:
            raise RadioOff("BlueZ does not answer: systemctl restart bluetooth") from error
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            raise _refusal(reply)
        return list(reply.body)


def _refusal(reply: Message) -> Refused | RadioOff:
    name = str(reply.error_name)
    if name.endswith(("ServiceUnknown", "NameHasNoOwner", "NoReply", "Spawn.ExecFailed")):
        return RadioOff("BlueZ is not running: systemctl start bluetooth")
    if name.endswith(("NotReady", "Error.Blocked")) or "rfkill" in str(reply.body):
        return RadioOff("the Bluetooth adapter is blocked: rfkill unblock bluetooth")
    if name.endswith("AccessDenied"):
        return Refused("this user may not use Bluetooth: add it to the group bluetooth")
    return Refused(name.rpartition(".")[2])
