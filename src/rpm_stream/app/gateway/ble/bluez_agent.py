"""BlueZ's pairing agent: a person reads six digits from the device and types them.

It is for ``--passkey``. Without an agent BlueZ bonds only devices that need no number ("just
works"), as most cuffs, scales and oximeters do. Several glucose meters display a number or have it
on a label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

AGENT: Final = "org.bluez.Agent1"
PATH: Final = "/org/rpm_stream/agent"
PERSON_SECONDS = 60.0
MOST = 999_999

AskPasskey: TypeAlias = Callable[[str], Awaitable[int | None]]
"""Maps a device's address to the number that the device shows. None ends the pairing."""


class Agent:
    """Answers BlueZ's questions about a device that is being paired."""

    def __init__(self, bus: MessageBus, ask: AskPasskey) -> None:
        self._bus = bus
        self._ask = ask
        self._asking: set[asyncio.Task[None]] = set()

    async def register(self) -> None:
        """Register as the agent for this process's pairings.

        If BlueZ refuses the agent, only "just works" pairing remains.
        """
        self._bus.add_message_handler(self._heard)
        await self._bus.call(
            Message(
                "org.bluez",
                "/org/bluez",
                "org.bluez.AgentManager1",
                "RegisterAgent",
                signature="os",
                body=[PATH, "KeyboardOnly"],
            )
        )

    def _heard(self, message: Message) -> Message | bool | None:
        if (
            message.message_type is not MessageType.METHOD_CALL
            or message.interface != AGENT
            or message.path != PATH
        ):
            return None
        match message.member:
            case "RequestPasskey":
                task = asyncio.ensure_future(self._answer(message))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
                return True
            case "Cancel":
                for task in self._asking:
                    task.cancel()
                return Message.new_method_return(message)
            case "Release":
                return Message.new_method_return(message)
            case _:  # no person can confirm here; services of Bluetooth Classic are not used
                return Message.new_error(message, "org.bluez.Error.Rejected", "not by this gateway")

    async def _answer(self, message: Message) -> None:
        passkey = None
        try:
            async with asyncio.timeout(PERSON_SECONDS):
                passkey = await self._ask(device_address(str(message.body[0])))
        except TimeoutError:
            pass
        if passkey is None or not 0 <= passkey <= MOST:
            await self._bus.send(
                Message.new_error(message, "org.bluez.Error.Canceled", "no number was given")
            )
        else:
            await self._bus.send(Message.new_method_return(message, "u", [passkey]))


def device_address(path: str) -> str:
    """Return ``F0:F1:F2:F3:F4:F5`` for ``/org/bluez/hci0/dev_F0_F1_F2_F3_F4_F5``."""
    return path.rpartition("/dev_")[2].replace("_", ":").upper()
