"""Choice of the Bluetooth stack for ``--radio``: the system's, or one on a bare controller."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rpm_stream.app.gateway.ble.radio import PairingFailed, Radio
from rpm_stream.app.runtime.errors import UsageError

SYSTEM = "system"
TRANSPORTS = (
    "usb",
    "pyusb",
    "serial",
    "hci-socket",
    "tcp-client",
    "ws-client",
    "unix",
    "android-netsim",
    "vhci",
)
NEEDED = "Bluetooth needs an extra: pip install 'rpm-stream[ble]'"


def radio_of(name: str, keys: Path, identity: str, ask: bool) -> Radio:
    """Return the radio for ``name``.

    With ``ask``, a person at the terminal types the number that a device shows. Raises
    ``UsageError``.
    """
    kind, _, rest = name.partition(":")
    if kind != SYSTEM and kind not in TRANSPORTS:
        raise UsageError(
            f"--radio: {SYSTEM}, {SYSTEM}:hci1, or a controller such as usb:0 or"
            " serial:/dev/ttyACM0"
        )
    if kind != SYSTEM and not rest:
        raise UsageError(f"--radio: {kind} needs a name, for example {kind}:0")
    passkey = asked if ask else None
    try:
        if kind == SYSTEM:
            from rpm_stream.app.gateway.ble.bleak_radio import BleakRadio

            return BleakRadio(rest or None, passkey)
        from rpm_stream.app.gateway.ble.bumble_device import BumbleOptions
        from rpm_stream.app.gateway.ble.bumble_radio import BumbleRadio
        from rpm_stream.app.gateway.ble.bumble_transport import transport_host
    except ImportError as error:
        raise UsageError(NEEDED) from error
    return BumbleRadio(
        lambda: transport_host(name), BumbleOptions(keys=keys, identity=identity, passkey=passkey)
    )


async def asked(address: str) -> int | None:
    """Ask a person at the terminal for the number that the device shows; None for an empty line."""
    sys.stderr.write(f"\nThe number that {address} shows (empty: do not pair): ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def typed() -> None:
        if not line.done():
            line.set_result(sys.stdin.readline())

    try:
        loop.add_reader(sys.stdin, typed)
    except (NotImplementedError, OSError, ValueError) as error:
        raise PairingFailed("no person can be asked for the number here") from error
    try:
        text = (await line).strip()
    finally:
        loop.remove_reader(sys.stdin)
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 6 else None
