"""A double of BlueZ on a D-Bus of its own, against which bleak's code for Linux runs.

The bus is a real ``dbus-daemon``. The double has the objects, methods, errors and signals that
``bluetoothd`` has for a central (doc/org.bluez.*.rst of BlueZ, its src/device.c and
src/gatt-client.c). It also has the habits that hurt:

- A value that is read is sent as a notification too.
- A notification is sent once for each client that has subscribed, to all of them.
- A subscription outlives the link until its client leaves the bus.
- An indication is confirmed even when no client has subscribed.
- A second discovery or subscription of one client is refused.
- Clients get no signal when the service ends.

AcquireNotify is missing, because bleak uses StartNotify.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus

ADAPTER = "/org/bluez/hci0"
ADAPTER1, DEVICE1 = "org.bluez.Adapter1", "org.bluez.Device1"
SERVICE1, CHARACTERISTIC1 = "org.bluez.GattService1", "org.bluez.GattCharacteristic1"
PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
FLAGS = {
    "write_without_response": "write-without-response"
}  # the other names are those of radio.py
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:tmpdir={sockets}</listen>
  <policy context="default">
    <allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[str]:
    """Run a D-Bus daemon that is the system bus of this process."""
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip(
            "no dbus-daemon here (apt-get install dbus): the back-end for BlueZ is not tested"
        )
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(sockets=tempfile.gettempdir()), encoding="utf-8")
    daemon = await asyncio.create_subprocess_exec(
        program,
        "--nofork",
        "--nopidfile",
        f"--config-file={config}",
        "--print-address",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert daemon.stdout is not None
        address = (await daemon.stdout.readline()).decode().strip()
        assert address, "dbus-daemon did not start"
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            yield address
    finally:
        daemon.terminate()
        await daemon.wait()


@dataclass
class Value:
    """A characteristic of a device."""

    service: str
    uuid: str
    properties: frozenset[str]
    value: bytes = b""
    wants_bond: bool = False
    att_error: int | None = None
    silent: bool = False  # never answers a request
    written: list[bytes] = field(default_factory=list)
    path: str = ""


@dataclass
class FakeDevice:
    """A device in reach.

    ``passkey`` is the number that it shows. With ``pairs`` False it refuses to pair, with None it
    never answers.
    """

    address: str
    name: str | None
    values: list[Value]
    rssi: int = -60
    pairs: bool | None = True
    passkey: int | None = None
    drops_while_discovering: bool = False
    has_keys: bool = False  # our bond, as the device remembers it
    remembers: set[str] = field(default_factory=set)  # what a bonded host has subscribed to
    on_connect: Callable[[], None] | None = None
    on_subscribe: Callable[[Value], None] | None = None
    on_write: Callable[[Value, bytes], None] | None = None

    advertising: bool = False
    connected: bool = False
    bonded: bool = False
    known: bool = False
    resolved: bool = False
    reachable: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: list[asyncio.Future[Any]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"{ADAPTER}/dev_{self.address.replace(':', '_')}"

    def value(self, uuid: str) -> Value:
        return next(each for each in self.values if each.uuid == uuid)


class BluezDouble:
    """``org.bluez`` with one adapter."""

    def __init__(self, devices: list[FakeDevice]) -> None:
        self.devices: dict[str, FakeDevice] = {}
        self.powered = True
        self.plugged = True
        self.allowed = True  # to switch the adapter
        self.switched: list[bool] = []
        self.calls: list[str] = []
        self.discovering: dict[str, dict[str, Any]] = {}
        self.notifying: dict[str, set[str]] = {}  # path -> clients
        self.agents: dict[str, str] = {}
        self.stuck = False  # it takes itself to be scanning until the next power cycle
        self.echo = True
        self.tells_reasons = True
        self._filters: dict[str, Any] = {}
        self._bus: MessageBus | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        for device in devices:
            self.add(device)

    def add(self, device: FakeDevice) -> None:
        """Add a device in reach."""
        self.devices[device.address] = device
        services = list(dict.fromkeys(each.service for each in device.values))
        for number, each in enumerate(device.values):
            place = services.index(each.service) * 0x40 + 0x10
            each.path = f"{device.path}/service{place:04x}/char{place + 1 + 3 * number:04x}"

    async def start(self) -> None:
        bus = self._bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        bus.add_message_handler(self._asked)
        await bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
            )
        )
        self._outgoing = asyncio.Queue()
        self._pump = asyncio.ensure_future(self._pumping())
        await bus.request_name("org.bluez")

    async def stop(self) -> None:
        """End bluetoothd without a signal to its clients. Only bonds survive."""
        assert self._bus is not None
        await self.settle()
        assert self._pump is not None
        for task in [*self._tasks, self._pump]:
            task.cancel()
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()
        self.discovering.clear()
        self.notifying.clear()
        for device in self.devices.values():
            device.connected = device.resolved = False
            device.known = device.bonded

    async def settle(self) -> None:
        """Wait until all messages so far have left for the bus."""
        await self._outgoing.join()
        await self._round_trip()

    async def _pumping(self) -> None:
        """Send messages in their order.

        It waits for an answer after every 50, because dbus-fast breaks when it fills the socket.
        """
        assert self._bus is not None
        sent = 0
        while True:
            message = await self._outgoing.get()
            await self._bus.send(message)
            sent += 1
            if sent % 50 == 0:
                await self._round_trip()
            self._outgoing.task_done()

    async def _round_trip(self) -> None:
        assert self._bus is not None
        name = "org.freedesktop.DBus"
        await self._bus.call(Message(name, "/org/freedesktop/DBus", name, member="GetId"))

    # --- what happens in the air ------------------------------------------------------------------

    def advertise(self, device: FakeDevice, on: bool = True) -> None:
        """Let the device begin or stop to advertise.

        Scanning clients get it at once, and again at each call.
        """
        device.advertising = on
        if not on:
            device.reachable.clear()
            return
        device.reachable.set()
        if not self.discovering or not self.powered or device.connected:
            return
        if not device.known:
            device.known = True
            self._signal(
                "/",
                f"{OBJECTS}.InterfacesAdded",
                "oa{sa{sv}}",
                device.path,
                {DEVICE1: self._device(device), PROPERTIES: {}},
            )
        else:
            self._changed(device.path, DEVICE1, RSSI=Variant("n", device.rssi))

    def expire(self, device: FakeDevice) -> None:
        """BlueZ forgets a device without bond that was not seen for 30 seconds."""
        if device.known and not device.bonded and not device.connected:
            device.known = False
            self._signal(
                "/", f"{OBJECTS}.InterfacesRemoved", "oas", device.path, [DEVICE1, PROPERTIES]
            )

    def send(self, device: FakeDevice, uuid: str, data: bytes) -> bool:
        """Let the device notify or indicate.

        Return whether that arrived, as far as the device can know. BlueZ signals it once for each
        client that has subscribed, to all of them. It also confirms an indication when no client
        has subscribed, because a bonded device remembers the subscription.
        """
        value = device.value(uuid)
        if not device.connected:
            return False
        clients = self.notifying.get(value.path, ())
        for _ in clients:
            self._changed(value.path, CHARACTERISTIC1, Value=Variant("ay", data))
        return bool(clients) or (device.bonded and uuid in device.remembers)

    def drop(self, device: FakeDevice, reason: str = "Remote") -> None:
        """End the connection. Clients get ``reason`` since BlueZ 5.82."""
        if not device.connected:
            return
        if self.tells_reasons:
            self._signal(
                device.path, f"{DEVICE1}.Disconnected", "ss", f"org.bluez.Reason.{reason}", reason
            )
        device.connected = device.resolved = False
        self._changed(device.path, DEVICE1, ServicesResolved=Variant("b", False))
        self._changed(device.path, DEVICE1, Connected=Variant("b", False))

    def power(self, on: bool) -> None:
        """Switch the adapter, as the gateway or another program does."""
        self.powered = on
        self.stuck = False
        if not on:
            for device in self.devices.values():
                self.drop(device)
            self.discovering.clear()
            self._changed(ADAPTER, ADAPTER1, Discovering=Variant("b", False))
        self._changed(ADAPTER, ADAPTER1, Powered=Variant("b", on))

    def unplug(self) -> None:
        """Remove the adapter with its devices, without signals that they were disconnected."""
        self.plugged = self.powered = False
        self.discovering.clear()
        for device in self.devices.values():
            if device.known:
                device.known = device.connected = device.resolved = False
                self._signal(
                    "/", f"{OBJECTS}.InterfacesRemoved", "oas", device.path, [DEVICE1, PROPERTIES]
                )
        self._signal("/", f"{OBJECTS}.InterfacesRemoved", "oas", ADAPTER, [ADAPTER1, PROPERTIES])

    def plug(self) -> None:
        """Put the adapter back, switched on."""
        self.plugged = self.powered = True
        self._signal(
            "/",
            f"{OBJECTS}.InterfacesAdded",
            "oa{sa{sv}}",
            ADAPTER,
            {ADAPTER1: self._adapter(), PROPERTIES: {}},
        )
        for device in self.devices.values():
            if device.bonded:
                device.known = True
                added = {DEVICE1: self._device(device), PROPERTIES: {}}
                self._signal("/", f"{OBJECTS}.InterfacesAdded", "oa{sa{sv}}", device.path, added)

    # --- what clients ask -------------------------------------------------------------------------

    def _asked(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged" and not message.body[2]:
                self._client_gone(str(message.body[0]))
            return None
        if message.message_type is not MessageType.METHOD_CALL or not str(message.path).startswith(
            "/"
        ):
            return None
        if message.interface in (
            "org.freedesktop.DBus.Peer",
            "org.freedesktop.DBus.Introspectable",
        ):
            return None
        self.calls.append(f"{message.interface}.{message.member}")
        self._begin(self._answered(message))
        return True

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, message: Message) -> None:
        assert self._bus is not None
        try:
            signature, body = await self._done(message)
            reply = Message.new_method_return(message, signature, body)
        except _Error as error:
            reply = Message.new_error(message, error.name, error.text)
        self._outgoing.put_nowait(reply)

    async def _done(self, message: Message) -> tuple[str, list[Any]]:
        path, member, sender = str(message.path), str(message.member), str(message.sender)
        if message.interface == OBJECTS:
            return "a{oa{sa{sv}}}", [self._objects()]
        if message.interface == "org.bluez.AgentManager1":
            self.agents[sender] = str(message.body[0])
            return "", []
        if path == ADAPTER and self.plugged:
            return self._adapter_asked(message, sender)
        device = next((each for each in self.devices.values() if path.startswith(each.path)), None)
        if device is None or not device.known:
            raise _Error("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        if path == device.path:
            return await self._device_asked(device, message, sender)
        value = next((each for each in device.values if each.path == path), None)
        if value is None or not device.resolved:
            raise _Error("org.freedesktop.DBus.Error.UnknownObject", f"no object {path}")
        return await self._value_asked(device, value, message, sender) if member else ("", [])

    def _adapter_asked(self, message: Message, sender: str) -> tuple[str, list[Any]]:
        match message.member, message.body:
            case "GetAll", _:
                return "a{sv}", [self._adapter()]
            case "Set", [_, "Powered", on]:
                if not self.allowed:
                    raise _Error("org.freedesktop.DBus.Error.AccessDenied", "rejected")
                self.switched.append(on.value)
                if on.value != self.powered:
                    self.power(on.value)
                return "", []
            case "SetDiscoveryFilter", [wanted]:
                if sender in self.discovering:
                    self.discovering[sender] = wanted
                else:
                    self._filters = wanted
                return "", []
            case "StartDiscovery", _:
                if not self.powered:
                    raise _Error("org.bluez.Error.NotReady", "Resource Not Ready")
                if sender in self.discovering or self.stuck:
                    raise _Error("org.bluez.Error.InProgress", "Operation already in progress")
                self.discovering[sender] = self._filters
                self._changed(ADAPTER, ADAPTER1, Discovering=Variant("b", True))
                for device in self.devices.values():
                    if device.advertising:
                        self.advertise(device)
                return "", []
            case "StopDiscovery", _:
                if not self.powered:
                    raise _Error("org.bluez.Error.NotReady", "Resource Not Ready")
                if self.discovering.pop(sender, None) is None:
                    raise _Error("org.bluez.Error.Failed", "No discovery started")
                return "", []
            case "RemoveDevice", [path]:
                device = next(
                    (each for each in self.devices.values() if each.path == path and each.known),
                    None,
                )
                if device is None:
                    raise _Error("org.bluez.Error.DoesNotExist", "Does Not Exist")
                self.drop(device)
                device.bonded = device.known = False
                self._signal(
                    "/", f"{OBJECTS}.InterfacesRemoved", "oas", device.path, [DEVICE1, PROPERTIES]
                )
                return "", []
        raise _Error("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))

    async def _device_asked(
        self, device: FakeDevice, message: Message, sender: str
    ) -> tuple[str, list[Any]]:
        match message.member:
            case "GetAll":
                return "a{sv}", [self._device(device)]
            case "Set":
                return "", []
            case "Connect":
                if not self.powered:
                    raise _Error("org.bluez.Error.NotReady", "Resource Not Ready")
                await self._reach(device)
                return "", []
            case "Disconnect":
                for aborted in device.attempts:
                    if not aborted.done():
                        aborted.set_result(None)
                self.drop(device, "Local")
                return "", []
            case "Pair":
                await self._pair(device, sender)
                return "", []
            case "CancelPairing":
                return "", []
        raise _Error("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))

    async def _reach(self, device: FakeDevice) -> None:
        """Wait until the device advertises or a client asks to disconnect."""
        reached = asyncio.ensure_future(device.reachable.wait())
        aborted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        device.attempts.append(aborted)
        await asyncio.wait({reached, aborted}, return_when=asyncio.FIRST_COMPLETED)
        device.attempts.remove(aborted)
        reached.cancel()
        if aborted.done():
            raise _Error("org.bluez.Error.Failed", "le-connection-abort-by-local-host")
        self._connect(device)

    def _connect(self, device: FakeDevice) -> None:
        device.connected, device.advertising = True, False
        device.reachable.clear()
        self._changed(device.path, DEVICE1, Connected=Variant("b", True))
        # BlueZ tries to encrypt with its keys, and the device disconnects
        if device.bonded and not device.has_keys:
            self.drop(device, "Authentication")
            return
        self._begin(self._discover(device))
        if device.on_connect is not None:
            device.on_connect()

    async def _discover(self, device: FakeDevice) -> None:
        await asyncio.sleep(0.01)
        if not device.connected:
            return
        if device.drops_while_discovering:
            self.drop(device)
            return
        for path, interfaces in self._gatt(device).items():
            self._signal("/", f"{OBJECTS}.InterfacesAdded", "oa{sa{sv}}", path, interfaces)
        device.resolved = True
        self._changed(device.path, DEVICE1, ServicesResolved=Variant("b", True))
        for each in device.values:  # a client that is still there need not subscribe again
            if self.notifying.get(each.path):
                self._subscribed(device, each)

    async def _pair(self, device: FakeDevice, sender: str) -> None:
        if device.bonded:
            raise _Error("org.bluez.Error.AlreadyExists", "Already Exists")
        await asyncio.sleep(0.01)
        if device.pairs is None:
            await asyncio.Event().wait()
        if not device.pairs:
            raise _Error("org.bluez.Error.AuthenticationFailed", "Authentication Failed")
        if device.passkey is not None and await self._passkey(device, sender) != device.passkey:
            raise _Error("org.bluez.Error.AuthenticationFailed", "Authentication Failed")
        if not device.connected:
            raise _Error("org.bluez.Error.AuthenticationCanceled", "Authentication Canceled")
        device.bonded = device.has_keys = True
        self._changed(device.path, DEVICE1, Paired=Variant("b", True), Bonded=Variant("b", True))

    async def _passkey(self, device: FakeDevice, sender: str) -> int | None:
        assert self._bus is not None
        agent = self.agents.get(sender)
        if agent is None:
            return None
        reply = await self._bus.call(
            Message(
                destination=sender,
                path=agent,
                interface="org.bluez.Agent1",
                member="RequestPasskey",
                signature="o",
                body=[device.path],
            )
        )
        return (
            int(reply.body[0])
            if reply is not None and reply.message_type is MessageType.METHOD_RETURN
            else None
        )

    async def _value_asked(
        self, device: FakeDevice, value: Value, message: Message, sender: str
    ) -> tuple[str, list[Any]]:
        if not device.connected:
            raise _Error("org.bluez.Error.Failed", "Not connected")
        if value.silent:
            await asyncio.Event().wait()
        if value.wants_bond and not device.bonded:
            raise _Error("org.bluez.Error.NotPermitted", "Not paired")
        if value.att_error is not None:
            raise _Error(
                "org.bluez.Error.Failed",
                f"Operation failed with ATT error: 0x{value.att_error:02x}",
            )
        match message.member:
            case "ReadValue":
                if "read" not in value.properties:
                    raise _Error("org.bluez.Error.NotPermitted", "Read not permitted")
                if self.echo:
                    self._changed(value.path, CHARACTERISTIC1, Value=Variant("ay", value.value))
                return "ay", [value.value]
            case "WriteValue":
                if value.properties.isdisjoint({"write", "write_without_response"}):
                    raise _Error("org.bluez.Error.NotPermitted", "Write not permitted")
                data = bytes(message.body[0])
                value.written.append(data)
                if device.on_write is not None:
                    device.on_write(value, data)
                return "", []
            case "StartNotify":
                self._start_notify(device, value, sender)
                return "", []
            case "StopNotify":
                if sender not in self.notifying.get(value.path, set()):
                    raise _Error("org.bluez.Error.Failed", "No notify session started")
                self.notifying[value.path].discard(sender)
                return "", []
        raise _Error("org.freedesktop.DBus.Error.UnknownMethod", str(message.member))

    def _start_notify(self, device: FakeDevice, value: Value, sender: str) -> None:
        if value.properties.isdisjoint({"notify", "indicate"}):
            raise _Error("org.bluez.Error.NotSupported", "Operation is not supported")
        clients = self.notifying.setdefault(value.path, set())
        if sender in clients:
            raise _Error("org.bluez.Error.Failed", "Already notifying")
        clients.add(sender)
        self._changed(value.path, CHARACTERISTIC1, Notifying=Variant("b", True))
        self._subscribed(device, value)

    def _subscribed(self, device: FakeDevice, value: Value) -> None:
        device.remembers.add(value.uuid)
        if device.on_subscribe is not None:
            device.on_subscribe(value)

    def _client_gone(self, client: str) -> None:
        self.discovering.pop(client, None)
        self.agents.pop(client, None)
        for path, clients in self.notifying.items():
            if client in clients:
                clients.discard(client)
                self._changed(path, CHARACTERISTIC1, Notifying=Variant("b", bool(clients)))

    # --- objects ----------------------------------------------------------------------------------

    def _objects(self) -> dict[str, Any]:
        found: dict[str, Any] = {"/org/bluez": {"org.bluez.AgentManager1": {}}}
        if self.plugged:
            found[ADAPTER] = {ADAPTER1: self._adapter(), PROPERTIES: {}}
        for device in self.devices.values():
            if device.known and self.plugged:
                found[device.path] = {DEVICE1: self._device(device), PROPERTIES: {}}
                if device.resolved:
                    found |= self._gatt(device)
        return found

    def _adapter(self) -> dict[str, Variant]:
        return {
            "Address": Variant("s", "00:11:22:33:44:55"),
            "Name": Variant("s", "hub"),
            "Powered": Variant("b", self.powered),
            "Discovering": Variant("b", bool(self.discovering)),
            "Roles": Variant("as", ["central", "peripheral"]),
        }

    def _device(self, device: FakeDevice) -> dict[str, Variant]:
        uuids = sorted({full(each.service) for each in device.values})
        named = {"Name": Variant("s", device.name)} if device.name is not None else {}
        near = {"RSSI": Variant("n", device.rssi)} if device.advertising else {}
        return {
            "Address": Variant("s", device.address),
            "AddressType": Variant("s", "random"),
            "Alias": Variant("s", device.name or device.address.replace(":", "-")),
            "Paired": Variant("b", device.bonded),
            "Bonded": Variant("b", device.bonded),
            "Trusted": Variant("b", device.bonded),
            "Blocked": Variant("b", False),
            "Connected": Variant("b", device.connected),
            "ServicesResolved": Variant("b", device.resolved),
            "UUIDs": Variant("as", uuids),
            "Adapter": Variant("o", ADAPTER),
            **named,
            **near,
        }

    def _gatt(self, device: FakeDevice) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in device.values:
            place = each.path.rpartition("/")[0]
            found[place] = {
                SERVICE1: {
                    "UUID": Variant("s", full(each.service)),
                    "Device": Variant("o", device.path),
                    "Primary": Variant("b", True),
                }
            }
            found[each.path] = {
                CHARACTERISTIC1: {
                    "UUID": Variant("s", full(each.uuid)),
                    "Service": Variant("o", place),
                    "Value": Variant("ay", b""),
                    "Notifying": Variant("b", bool(self.notifying.get(each.path))),
                    "Flags": Variant(
                        "as", [FLAGS.get(name, name) for name in sorted(each.properties)]
                    ),
                    "MTU": Variant("q", 247),
                }
            }
        return found

    def _changed(self, path: str, interface: str, **changed: Variant) -> None:
        self._signal(path, f"{PROPERTIES}.PropertiesChanged", "sa{sv}as", interface, changed, [])

    def _signal(self, path: str, signal: str, signature: str, *body: Any) -> None:
        assert self._bus is not None
        interface, _, member = signal.rpartition(".")
        self._outgoing.put_nowait(
            Message.new_signal(path, interface, member, signature, list(body))
        )


class _Error(Exception):
    def __init__(self, name: str, text: str) -> None:
        super().__init__(name)
        self.name, self.text = name, text


def full(uuid: str) -> str:
    """Return the 128-bit form, as BlueZ writes it."""
    return f"0000{uuid.lower()}-0000-1000-8000-00805f9b34fb" if len(uuid) == 4 else uuid.lower()
