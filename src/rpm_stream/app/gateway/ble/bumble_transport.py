"""Opens controllers by bumble's names: ``usb:0``, ``serial:/dev/ttyACM0``, ``hci-socket:0``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bumble.host import Host
from bumble.transport import open_transport

from rpm_stream.app.gateway.ble.radio import RadioOff

HELP = {
    "usb": "is the dongle plugged in, free of the system's driver, and readable by this user?",
    "serial": "is the port right, and is this user in the group dialout?",
    "hci-socket": (
        "is the adapter down (hciconfig hci0 down), and may this process use it (CAP_NET_ADMIN)?"
    ),
}


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
        yield Host(transport.source, transport.sink)
    finally:
        await transport.close()
