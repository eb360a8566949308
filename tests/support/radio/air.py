"""The interface of a world with a gateway's radio and some devices in it.

Each back-end has a world of its own. A device is described by a ``Spec`` and driven through
``Peripheral``. Nothing here knows a Bluetooth stack.
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
    """A characteristic of a device. With ``encrypted`` it is only for a paired host."""

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
    """Do nothing: the callback that is set before a test sets one."""


class Peripheral:
    """A device as a test drives it. The back-end's air implements its methods."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.written: list[tuple[str, bytes]] = []
        self.on_subscribed: Callable[[str], None] = nothing  # called at each subscription
        self.on_written: Callable[[str, bytes], None] = nothing
        self.on_connected: Callable[[], None] = nothing

    @property
    def connected(self) -> bool:
        raise NotImplementedError

    async def advertise(self) -> None:
        """Advertise until connected, and again when the connection has ended, until ``hide``."""
        raise NotImplementedError

    async def hide(self) -> None:
        """Stop advertising."""
        raise NotImplementedError

    async def say(self, uuid: str, value: bytes) -> bool:
        """Send a value as the characteristic offers it.

        Return whether it arrived. For an indication that is whether it was confirmed.
        """
        raise NotImplementedError

    async def drop(self) -> None:
        """End the connection."""
        raise NotImplementedError

    async def forget(self) -> None:
        """Lose the keys of all paired hosts, as a factory reset does."""
        raise NotImplementedError


class Air(Protocol):
    """A world.

    ``radio`` may be called more than once: the next radio has the keys of the one before.
    """

    keys: Path | None  # where the back-end keeps its bonds; None: BlueZ keeps them

    def radio(self) -> Radio: ...

    async def peripheral(self, spec: Spec) -> Peripheral: ...

    def unplug(self) -> None:
        """Take the gateway's adapter away. ``plug`` gives it back."""

    def plug(self) -> None: ...


OpenAir = Callable[[Path], AbstractAsyncContextManager[Air]]


@dataclass
class Collected:
    """A callback that keeps the values that it gets."""

    values: list[bytes] = field(default_factory=list)

    def __call__(self, value: bytes) -> None:
        self.values.append(value)
