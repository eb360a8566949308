"""The interface between the hub and a Bluetooth stack.

Two back ends implement it: ``bleak`` (the operating system's stack) and ``bumble`` (a bare
controller, and the virtual radio of the tests).

Addresses are written as the stack writes them: ``F0:F1:F2:F3:F4:F5`` in capitals, on macOS a UUID.
A UUID of the Bluetooth SIG is four hexadecimal digits in capitals (``2A37``). Any other is the
128-bit form with hyphens in capitals. Everything runs in one event loop. Callbacks are plain
functions, and the loop calls them in the order of arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

from rpm_stream.errors import RpmStreamError

Property: TypeAlias = Literal["read", "write", "write_without_response", "notify", "indicate"]

PAIR_SECONDS = 60.0  # a person may have to read a number from the device
SIG_TAIL = "-0000-1000-8000-00805F9B34FB"  # follows 0000xxxx in a UUID of the Bluetooth SIG


class RadioError(RpmStreamError):
    """A failure of the radio link or of a device. The gateway expects these and tries again.

    The text names no person and no value.
    """


class RadioOff(RadioError):
    """No adapter answers.

    There is none, or it is switched off, was taken away or may not be opened by this user.
    """


class NotFound(RadioError):
    """The device was not reached in time, or it has no such characteristic."""


class LinkLost(RadioError):
    """The connection ended, possibly during a request."""


class PairingFailed(RadioError):
    """The device or the person refused to pair, or the kept keys are no longer valid."""


class Refused(RadioError):
    """The device refused a request: not permitted, not supported, a wrong length.

    The text has the ATT error, if there is one.
    """


class NotPaired(Refused):
    """The request needs an encrypted connection: call ``pair``, then repeat the request."""


class Sighting(NamedTuple):
    """One advertisement.

    ``name`` is None if it has none. ``services`` are UUIDs. ``rssi`` is in dBm, None if unknown.
    """

    address: str
    name: str | None
    services: frozenset[str]
    rssi: int | None


class GattCharacteristic(NamedTuple):
    """One characteristic of a connected device.

    ``handle`` distinguishes two characteristics with one UUID. It is valid for this link only.
    """

    service: str
    uuid: str
    properties: frozenset[Property]
    handle: int


class Link(Protocol):
    """One connection.

    Every method raises ``LinkLost`` once the connection has ended, and ``Refused`` if the device
    refuses. No method waits for ever: after 30 seconds without an answer (ATT's limit) a request
    raises ``LinkLost``.
    """

    @property
    def address(self) -> str:
        """The address of the sighting."""
        ...

    @property
    def bonded(self) -> bool:
        """Whether keys are kept, so that the next connection is encrypted without a person."""
        ...

    @property
    def gone(self) -> asyncio.Event:
        """Set once the connection has ended, on either side."""
        ...

    async def characteristics(self) -> Sequence[GattCharacteristic]:
        """Return all characteristics, ordered by handle. They are discovered at the first call."""
        ...

    async def subscribe(
        self, characteristic: GattCharacteristic, callback: Callable[[bytes], None]
    ) -> None:
        """Subscribe: to indications if they are offered, else to notifications.

        ``callback`` gets each value once and unchanged, before an indication is confirmed. A
        further call for the same characteristic writes the subscription again and *replaces* the
        callback. No value is ever delivered twice.
        """
        ...

    async def read(self, characteristic: GattCharacteristic) -> bytes:
        """Return the current value."""
        ...

    async def write(self, characteristic: GattCharacteristic, data: bytes, response: bool) -> None:
        """Write ``data``. With ``response``, return once the device has taken it."""
        ...

    async def pair(self) -> None:
        """Encrypt the connection with the kept keys, or make a new bond.

        It does nothing on a connection that is encrypted already. Raises ``PairingFailed``. Keys
        that are no longer valid are deleted first, so that the next call makes a new bond.
        """
        ...

    async def rssi(self) -> int | None:
        """Return the connection's signal strength in dBm, None if the stack does not report it."""
        ...

    async def close(self) -> None:
        """Disconnect. Never raises for a link that is already gone."""
        ...


class Radio(Protocol):
    """One adapter, as an asynchronous context manager.

    Entering raises ``RadioOff`` with one line of advice.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None:
        """Close all links and release the adapter."""
        ...

    def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Yield advertisements as they come, without end.

        The scan stops when the iterator is closed (``aclose``). There can be only one iterator at a
        time. A device that keeps advertising is reported again at least every few seconds. Raises
        ``RadioOff`` when the adapter goes away.
        """
        ...

    async def connect(self, address: str, within: float) -> Link:
        """Connect within ``within`` seconds, also while sightings are read.

        Raises ``NotFound`` or ``RadioOff``. Raises ``PairingFailed`` if the system's stack encrypts
        while it connects and the keys are no longer valid.
        """
        ...

    async def reset(self) -> None:
        """Switch the adapter off and on, for one that finds nothing any more.

        All links are gone afterwards.
        """
        ...


def short_uuid(text: str) -> str:
    """Return a UUID as this module writes it.

    ``text`` has 4, 8 or 32 digits, with or without hyphens, in any case.
    """
    digits = text.upper().replace("-", "").removeprefix("0X")
    if len(digits) == 4:
        return digits
    if len(digits) == 8:
        digits += SIG_TAIL.replace("-", "")
    full = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return full[4:8] if full.startswith("0000") and full.endswith(SIG_TAIL) else full
