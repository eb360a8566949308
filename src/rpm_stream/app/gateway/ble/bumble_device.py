"""The gateway as a Bluetooth device of its own: its address, its bonds and how it pairs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bumble import hci
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate

from rpm_stream.app.gateway.ble.bumble_keys import Keys

# Always the address that is derived from the gateway's name, so that bonds survive the exchange of
# a broken dongle.
OWN = hci.OwnAddressType.RANDOM

# maps the device's address to the six digits that it shows
AskPasskey = Callable[[str], Awaitable[int | None]]


@dataclass(frozen=True, kw_only=True)
class BumbleOptions:
    """The settings of a ``BumbleRadio``.

    ``keys`` is the file of the bonds. ``identity`` is the gateway's name, from which its Bluetooth
    address is derived. ``passkey`` asks a person for the number that a device shows. Without it
    only devices that need no number are bonded.
    """

    keys: Path
    identity: str
    passkey: AskPasskey | None = None


class _Person(PairingDelegate):
    """A person who reads a number from a device's display or label."""

    def __init__(self, ask: AskPasskey, address: str) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._ask = ask
        self._address = address

    async def get_number(self) -> int | None:
        """Return the passkey. None ends the pairing."""
        return await self._ask(self._address)


def own_device(host: Host, options: BumbleOptions) -> Device:
    """Return the gateway's device on the controller ``host``, still switched off."""
    seed = hashlib.sha256(f"rpm-stream/{options.identity}".encode()).digest()
    own = hci.Address(bytes([*seed[:5], seed[5] | 0xC0]), hci.Address.RANDOM_DEVICE_ADDRESS)
    config = DeviceConfiguration(
        name="rpm-stream", address=own, irk=secrets.token_bytes(16), gatt_service_enabled=False
    )
    device = Device(config=config, host=host)
    device.pairing_config_factory = lambda connection: _pairing(connection, options.passkey)
    device.keystore = Keys(options.keys, str(own))
    return device


def _pairing(connection: Connection, ask: AskPasskey | None) -> PairingConfig:
    if ask is None:
        return PairingConfig(sc=True, mitm=False, bonding=True, delegate=PairingDelegate())
    return PairingConfig(
        sc=True,
        mitm=True,
        bonding=True,
        delegate=_Person(ask, connection.peer_address.to_string(False)),
    )
