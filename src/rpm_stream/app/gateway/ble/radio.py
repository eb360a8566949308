"""What the hub asks of a Bluetooth stack, and nothing else. Two back-ends keep it: ``bleak`` (the
operating system's stack) and ``bumble`` (a bare controller, and the tests' virtual radio).

Addresses are as the stack writes them: ``F0:F1:F2:F3:F4:F5`` in capitals, on macOS a UUID. UUIDs
are four hexadecimal digits in capitals where the Bluetooth SIG gave them (``2A37``), else the
128-bit form with hyphens in capitals. Everything runs in one event loop; callbacks are plain
functions that are called in it, in the order of arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

from rpm_stream.errors import RpmStreamError

Property: TypeAlias = Literal["read", "write", "write_without_response", "notify", "indicate"]

SIG_TAIL = "-0000-1000-8000-00805F9B34FB"  # behind 0000xxxx: a UUID of the Bluetooth SIG


class RadioError(RpmStreamError):
    """Something that the air or a device did: expected, met with patience.

    The text names no person and no value.
    """


class RadioOff(RadioError):
    """No adapter answers: none there, switched off, taken away, or not to be opened by this
    user.
    """


class NotFound(RadioError):
    """The device was not reached in time, or it has no such characteristic."""


class LinkLost(RadioError):
    """The connection ended, also while something was under way."""


class PairingFailed(RadioError):
    """The device or the person refused to pair, or the keys that were kept no longer hold."""


class Refused(RadioError):
    """The device answered no: not permitted, not supported, a wrong length.

    The text has its ATT error, if any.
    """


class NotPaired(Refused):
    """The device wants an encrypted connection for this: ``pair`` first, then ask again."""


class Sighting(NamedTuple):
    """One advertisement.

    ``name`` None where it has none; ``services`` as UUIDs; ``rssi`` in dBm, None if unknown.
    """

    address: str
    name: str | None
    services: frozenset[str]
    rssi: int | None


class Characteristic(NamedTuple):
    """One characteristic of a connected device.

    ``handle`` tells two of one UUID apart and holds for this link only.
    """

    service: str
    uuid: str
    properties: frozenset[Property]
    handle: int


class Link(Protocol):
    """One connection. Every method raises ``LinkLost`` once it has ended, ``Refused`` where the
    device says no.

    Nothing waits for ever: a device that does not answer a request for 30 seconds (the rule of ATT)
    is ``LinkLost``.
    """

    @property
    def address(self) -> str:
        """As in the sighting."""
        ...

    @property
    def bonded(self) -> bool:
        """Keys of this device are kept: the next connection is encrypted without a person."""
        ...

    @property
    def gone(self) -> asyncio.Event:
        """Set once the connection has ended, whoever ended it."""
        ...

    async def characteristics(self) -> Sequence[Characteristic]:
        """All of them, in the order of their handles; discovered at the first call, then kept."""
        ...

    async def subscribe(
        self, characteristic: Characteristic, callback: Callable[[bytes], None]
    ) -> None:
        """Let the device send: by indication where it is offered, else by notification.

        ``callback`` gets each value once, unchanged, before an indication is confirmed. A further
        call for the same characteristic writes the subscription anew and *replaces* the callback:
        no value is ever delivered twice.
        """
        ...

    async def read(self, characteristic: Characteristic) -> bytes:
        """The value now."""
        ...

    async def write(self, characteristic: Characteristic, data: bytes, response: bool) -> None:
        """Write ``data``; with ``response`` it returns once the device has taken it."""
        ...

    async def pair(self) -> None:
        """Encrypt, by the keys that are kept or else by a new bond; nothing to do where it is
        encrypted already.

        Raises ``PairingFailed``; keys that no longer hold are deleted first, so that the next call
        makes a new bond.
        """
        ...

    async def rssi(self) -> int | None:
        """The signal strength of the connection in dBm; None where the stack does not tell."""
        ...

    async def close(self) -> None:
        """Disconnect. Never raises for a link that is gone already."""
        ...


class Radio(Protocol):
    """One adapter: an asynchronous context manager.

    Entering raises ``RadioOff`` with one line that says what to do.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all links and give the adapter back."""
        ...

    def sightings(self) -> AsyncGenerator[Sighting, None]:
        """Advertisements as they come, without end; scanning stops when the iterator is closed
        (``aclose``).

        One iterator at a time. A device that keeps advertising is told again at least every few
        seconds. Raises ``RadioOff`` when the adapter goes away.
        """
        ...

    async def connect(self, address: str, within: float) -> Link:
        """Connect within so many seconds, also while sightings are read. Raises ``NotFound`` or
        ``RadioOff``.

        And ``PairingFailed`` where the system's stack encrypts while it connects and the keys no
        longer hold.
        """
        ...

    async def reset(self) -> None:
        """Switch the adapter off and on: all links are gone after it.

        For an adapter that finds nothing any more.
        """
        ...


def short_uuid(text: str) -> str:
    """Any spelling of a UUID (4, 8 or 32 digits, hyphens or not, any case) as this module writes
    it.
    """
    digits = text.upper().replace("-", "").removeprefix("0X")
    if len(digits) == 4:
        return digits
    if len(digits) == 8:
        digits += SIG_TAIL.replace("-", "")
    full = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return full[4:8] if full.startswith("0000") and full.endswith(SIG_TAIL) else full
