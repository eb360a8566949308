"""Opens controllers by bumble's names: ``usb:0``, ``serial:/dev/ttyACM0``, ``hci-socket:0``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from bumble.hci import HCI_Command_Complete_Event, HCI_Command_Status_Event, HCI_Packet
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import TransportLostError

from rpm_stream.app.gateway.ble.radio import RadioOff

HELP = {
    "usb": "is the dongle plugged in, free of the system's driver, and readable by this user?",
    "serial": "is the port right, and is this user in the group dialout?",
    "hci-socket": (
        "is the adapter down (hciconfig hci0 down), and may this process use it (CAP_NET_ADMIN)?"
    ),
}


class AdapterHost(Host):
    """A host that notices the end of its controller at any moment.

    Between the answer to a command and the turn of the task that waits for it, bumble's own raises
    ``InvalidStateError`` (0.0.236). If the transport is lost in that moment, the device is not
    informed. If the task was cancelled in that moment, the answer is dropped here. A command to a
    controller that is gone fails at once here, and would otherwise wait for its timeout.
    """

    _lost = False

    def on_transport_lost(self) -> None:
        """Fail the command that waits, and let the device know."""
        self._lost = True
        if self._is_answered():
            self.emit("flush")
        else:
            super().on_transport_lost()  # type: ignore[no-untyped-call]

    def on_command_processed(
        self, event: HCI_Command_Complete_Event[Any] | HCI_Command_Status_Event
    ) -> None:
        """Give the answer to the command that waits for one."""
        if not self._is_answered():
            super().on_command_processed(event)

    def send_hci_packet(self, packet: HCI_Packet) -> None:
        """Send a command or data. Raises ``TransportLostError`` once the controller is gone."""
        if self._lost:
            raise TransportLostError("the controller is gone")
        super().send_hci_packet(packet)

    def _is_answered(self) -> bool:
        return self.pending_response is not None and self.pending_response.done()


def transport_host(name: str) -> AbstractAsyncContextManager[Host]:
    """Return the host of a controller. Entering it raises ``RadioOff`` with a hint."""
    return _opened(name)


@asynccontextmanager
async def _opened(name: str) -> AsyncIterator[Host]:
    try:
        transport = await open_transport(name)
    except Exception as error:  # each of a dozen drivers has exceptions of its own
        hint = HELP.get(name.split(":")[0], "is it there?")
        raise RadioOff(
            f"no Bluetooth controller at {name} ({error or type(error).__name__}): {hint}"
        ) from error
    try:
        yield AdapterHost(transport.source, transport.sink)
    finally:
        await transport.close()
