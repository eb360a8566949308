"""One connection of the bleak back-end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic

from rpm_stream.app.gateway.ble.bleak_errors import RAISED, of_link
from rpm_stream.app.gateway.ble.link_state import LinkState
from rpm_stream.app.gateway.ble.radio import (
    Characteristic,
    LinkLost,
    NotPaired,
    PairingFailed,
    Property,
    RadioError,
    Refused,
    short_uuid,
)

if TYPE_CHECKING:  # it needs the D-Bus, which macOS and Windows do not have
    from rpm_stream.app.gateway.ble.bluez import Bluez

Answer = TypeVar("Answer")

ANSWER_SECONDS = 30.0  # the rule of ATT: after that nothing more may be asked on this connection
PAIR_SECONDS = 60.0  # a person may have to read a number from the device
CLOSE_SECONDS = 5.0
# values that came before the end may still be on their way: other news travel by another socket
DRAIN_SECONDS = 0.1
# BlueZ tells a value that was read as a notification too, on another connection of the D-Bus
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

    BlueZ confirms an indication itself, before this process has it, and also one that came before
    anybody had subscribed: a bonded device that sends at once after connecting is served more
    safely by a bare controller (``usb:0``). Where a characteristic offers both, BlueZ subscribes to
    notifications. Neither can be chosen.
    """

    def __init__(self, client: BleakClient, address: str, bluez: Bluez | None, path: str) -> None:
        """``bluez`` and ``path``, the D-Bus path of the device, on Linux only."""
        super().__init__(address, bonded=False)
        self._client = client
        self._bluez = bluez
        self._path = path
        self._refused_for_keys = False
        self._dying = False  # nothing more is asked; what still arrives is delivered
        self._found: dict[int, BleakGATTCharacteristic] = {}
        self._receivers: dict[int, Callable[[bytes], None]] = {}
        # values that came while their characteristic was read
        self._read: dict[int, list[bytes]] = {}
        self._released: asyncio.Task[None] | None = None
        for service in client.services:
            for each in service.characteristics:
                self._found[each.handle] = each

    async def look(self) -> None:
        """Ask the system whether keys are kept."""
        if self._bluez is not None:
            self._bonded = await self._bluez.bonded(self._path)

    def ended(self) -> None:
        """bleak says that the connection has ended; all values that came before are delivered.

        What bleak keeps of it is given back in the background: without that each lost connection
        would keep a connection to the D-Bus and a watcher, and later values would arrive once for
        each of them.
        """
        self._dying = True
        if not self._gone.is_set():
            self._gone.set()
            self._released = self._released or asyncio.ensure_future(self._release())

    def lost(self) -> None:
        """Something else says so: the adapter went, or a request found nobody.

        Values may still be on their way.
        """
        if not self._dying:
            self._dying = True
            self._released = asyncio.ensure_future(self._drained())

    async def _drained(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._gone.wait()
        await self._release()

    async def _release(self) -> None:
        try:
            with suppress(*RAISED):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._client.disconnect()
        finally:
            self._gone.set()

    async def close(self) -> None:
        """Disconnect, at most five seconds. Never raises for a link that is gone."""
        self._dying = True
        self._released = self._released or asyncio.ensure_future(self._release())
        await asyncio.shield(self._released)

    async def characteristics(self) -> Sequence[Characteristic]:
        """All of them, in the order of their handles; the system has discovered them while it
        connected.
        """
        self._stands()
        return [
            Characteristic(
                short_uuid(each.service_uuid),
                short_uuid(each.uuid),
                frozenset(PROPERTIES[name] for name in each.properties if name in PROPERTIES),
                handle,
            )
            for handle, each in sorted(self._found.items())
        ]

    async def subscribe(
        self, characteristic: Characteristic, callback: Callable[[bytes], None]
    ) -> None:
        """Let the device send.

        A further call writes the subscription anew and replaces the callback.
        """
        self._stands()
        if characteristic.properties.isdisjoint({"notify", "indicate"}):
            raise Refused(f"{characteristic.uuid} does not send by itself")
        handle = characteristic.handle
        found = self._of(characteristic)
        again = handle in self._receivers
        # BlueZ then tells each value once for each of the two, to both
        if not again and _is_notifying(found):
            _log.warning("ble.other_subscriber", characteristic=characteristic.uuid)
        self._receivers[handle] = callback
        # two subscriptions of bleak would deliver twice (Windows) or be refused (macOS, BlueZ)
        if again:
            with suppress(Refused):
                await self._asked(self._client.stop_notify(found))
        try:
            await self._asked(
                self._client.start_notify(
                    found, lambda _, value: self._arrived(handle, bytes(value))
                )
            )
        except RadioError:
            self._receivers.pop(handle, None)
            raise

    async def read(self, characteristic: Characteristic) -> bytes:
        """The value now.

        It is not delivered to the subscription as well, though BlueZ tells it there.
        """
        found = self._of(characteristic)
        handle = characteristic.handle
        if handle not in self._receivers or handle in self._read:
            return bytes(await self._asked(self._client.read_gatt_char(found)))
        came = self._read[handle] = []
        try:
            value = bytes(await self._asked(self._client.read_gatt_char(found)))
            await asyncio.sleep(ECHO_SECONDS)
            if value in came:
                came.remove(value)
        finally:
            del self._read[handle]
            for each in came:
                self._receivers[handle](each)
        return value

    async def write(self, characteristic: Characteristic, data: bytes, response: bool) -> None:
        """Write; with ``response`` until the device has taken it."""
        await self._asked(self._client.write_gatt_char(self._of(characteristic), data, response))

    async def pair(self) -> None:
        """Encrypt, bonding where that was not done.

        Keys that the device no longer has are deleted, and the connection ends with them: the next
        one bonds anew.
        """
        self._stands()
        if self._bonded and self._refused_for_keys and self._bluez is not None:
            self._bonded = False
            await self._bluez.forget(self._path)
            self.lost()
            raise PairingFailed(
                "the device no longer has the keys that were kept: they were deleted"
            )
        if self._bonded:
            return
        try:
            await self._asked(self._paired(), PAIR_SECONDS + CLOSE_SECONDS)
        except Refused as error:
            # macOS pairs by itself when it is needed
            if str(error) != "this system does not do that":
                raise PairingFailed(f"the device was not paired ({error})") from error
        await self.look()

    async def _paired(self) -> None:
        await (self._client.pair() if self._bluez is None else self._bluez.pair(self._path))

    async def rssi(self) -> int | None:
        """None: the system tells the strength of advertisements only."""
        self._stands()
        return None

    def _arrived(self, handle: int, value: bytes) -> None:
        """A value of a subscription.

        A link that is gone has none: whatever is told later is not live.
        """
        if handle in self._read:
            self._read[handle].append(value)
        elif (receiver := self._receivers.get(handle)) is not None and not self._gone.is_set():
            receiver(value)

    def _stands(self) -> None:
        if self._dying:
            raise LinkLost("the connection has ended")

    def _of(self, characteristic: Characteristic) -> BleakGATTCharacteristic:
        self._stands()
        return self._found[characteristic.handle]

    async def _asked(
        self, request: Coroutine[Any, Any, Answer], within: float | None = None
    ) -> Answer:
        """The answer to ``request``, or what went wrong in our words.

        BlueZ answers nothing on a connection that has just ended: the request is raced against its
        end.
        """
        task = asyncio.ensure_future(request)
        ended = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait(
                {task, ended}, timeout=within or ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if ended.done():
                raise LinkLost("the connection has ended")
            raise TimeoutError
        except RAISED as error:
            said = of_link(error, self._client.is_connected and not self._dying)
            self._refused_for_keys = self._refused_for_keys or isinstance(said, NotPaired)
            if isinstance(said, LinkLost):
                self.lost()
            raise said from error
        finally:
            task.cancel()
            ended.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)


def _is_notifying(characteristic: BleakGATTCharacteristic) -> bool:
    """Whether somebody has subscribed before us: another program, as far as BlueZ tells."""
    match characteristic.obj:
        case (str(), dict() as props):
            return bool(props.get("Notifying"))
    return False
