"""What a test asks of a world with a gateway's radio and some devices in it; each back-end has one
of its own.

A device is described by a ``Spec`` and driven through ``Peripheral``: nothing here knows of a
Bluetooth stack.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rpm_stream.app.gateway.ble.radio import Property, Radio


@dataclass(frozen=True)
class Part:
    """A characteristic of a device. ``encrypted``: it is only for who has paired."""

    service: str
    uuid: str
    properties: frozenset[Property]
    value: bytes = b""
    encrypted: bool = False


def part(
    service: str, uuid: str, *properties: Property, value: bytes = b"", encrypted: bool = False
) -> Part:
    return Part(service, uuid, frozenset(properties), value, encrypted)


@dataclass(frozen=True)
class Spec:
    address: str
    name: str
    parts: tuple[Part, ...]


def nothing(*_: object) -> None:
    """Nobody listens."""


class Peripheral:
    """A device as a test drives it; a back-end's air fills in what is not written here."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.written: list[tuple[str, bytes]] = []
        self.on_subscribed: Callable[[str], None] = nothing  # called each time
        self.on_written: Callable[[str, bytes], None] = nothing
        self.on_connected: Callable[[], None] = nothing

    @property
    def connected(self) -> bool:
        raise NotImplementedError

    async def advertise(self) -> None:
        """Until it is connected, and again when the connection has ended, until ``hide``."""
        raise NotImplementedError

    async def hide(self) -> None:
        """Advertise no more."""
        raise NotImplementedError

    async def say(self, uuid: str, value: bytes) -> bool:
        """Send a value as the characteristic offers; whether it got through (an indication: was
        confirmed).
        """
        raise NotImplementedError

    async def drop(self) -> None:
        """End the connection."""
        raise NotImplementedError

    async def forget(self) -> None:
        """Lose the keys of whoever was paired, as by a reset to the factory's state."""
        raise NotImplementedError


class Air(Protocol):
    """A world.

    ``radio`` may be asked for more than once: the next has the keys of the one before.
    """

    keys: Path | None  # where the back-end keeps its bonds; None: BlueZ keeps them

    def radio(self) -> Radio: ...

    async def peripheral(self, spec: Spec) -> Peripheral: ...

    def unplug(self) -> None:
        """Take the gateway's adapter away; ``plug`` gives it back."""

    def plug(self) -> None: ...


OpenAir = Callable[[Path], AbstractAsyncContextManager[Air]]


@dataclass
class Collected:
    """A callback that keeps what it gets."""

    values: list[bytes] = field(default_factory=list)

    def __call__(self, value: bytes) -> None:
        self.values.append(value)
