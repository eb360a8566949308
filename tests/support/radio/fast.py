"""Time that passes as fast as the machine can, and a radio without a stack: a week in seconds.

``FastLoop`` never waits. When no task has anything to do, its clock jumps to the next timer. So
code that is written against asyncio's own time (sleep, timeout, wait) runs unchanged.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Self

from rpm_stream.app.gateway.ble.radio import (
    GattCharacteristic,
    LinkLost,
    NotFound,
    NotPaired,
    PairingFailed,
    RadioOff,
    Sighting,
)


class _Jumping(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("everybody waits, and no timer will wake anybody")
            self.now += max(0.0, timeout)
        return events


class FastLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class FastDevice:
    """A device that is near or not.

    ``live``, a coroutine function of its link, is what it does on a connection.
    """

    def __init__(
        self, address: str, found: Sequence[GattCharacteristic], live: Callable[[FastLink], Any]
    ) -> None:
        self.address, self.found, self.live = address, found, live
        self.near = True
        self.link: FastLink | None = None
        self.answers: Callable[[FastLink, GattCharacteristic, bytes], None] = lambda *_: None


class FastLink:
    """A ``radio.Link``."""

    def __init__(self, device: FastDevice) -> None:
        self.device, self.address, self.bonded = device, device.address, False
        self.gone = asyncio.Event()
        self.receivers: dict[str, Callable[[bytes], None]] = {}
        self.subscribed = asyncio.Event()
        self.life: asyncio.Task[None] | None = None
        self.deaf = False  # the device has stopped notifying although the link is up
        self.refuse_pairing = False
        self.locked: set[str] = set()  # characteristics for a paired host

    def end(self) -> None:
        self.gone.set()
        if self.device.link is self:
            self.device.link = None
        if self.life is not None:
            self.life.cancel()

    def say(self, uuid: str, value: bytes) -> bool:
        """Return whether the value arrived."""
        if self.gone.is_set() or self.deaf or uuid not in self.receivers:
            return False
        self.receivers[uuid](value)
        return True

    def _check(self) -> None:
        if self.gone.is_set():
            raise LinkLost("gone")

    async def characteristics(self) -> Sequence[GattCharacteristic]:
        await asyncio.sleep(0.1)
        self._check()
        return self.device.found

    async def subscribe(
        self, characteristic: GattCharacteristic, callback: Callable[[bytes], None]
    ) -> None:
        await asyncio.sleep(0.05)
        self._check()
        if characteristic.uuid in self.locked:
            raise NotPaired("no")
        self.receivers[characteristic.uuid] = callback
        self.subscribed.set()

    async def read(self, characteristic: GattCharacteristic) -> bytes:
        await asyncio.sleep(0.05)
        self._check()
        return b"\x32"

    async def write(self, characteristic: GattCharacteristic, data: bytes, response: bool) -> None:
        await asyncio.sleep(0.05)
        self._check()
        self.device.answers(self, characteristic, data)

    async def pair(self) -> None:
        await asyncio.sleep(0.5)
        self._check()
        if self.refuse_pairing:
            raise PairingFailed("no")
        self.locked.clear()

    async def rssi(self) -> int | None:
        self._check()
        return -60

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self.end()


class SimpleRadio:
    """The base of the tests' radios. ``fault`` makes opening fail; closing does nothing."""

    fault: str | None = None

    async def __aenter__(self) -> Self:
        if self.fault:
            raise RadioOff(self.fault)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class FastRadio(SimpleRadio):
    """A ``radio.Radio`` that fails as real ones do.

    It has failed connections, a scan that sees nothing, and an adapter that is gone.
    """

    def __init__(self, devices: Sequence[FastDevice], seed: int) -> None:
        self.devices, self.chance = devices, random.Random(seed)
        self.on, self.blind = True, False
        self.resets = 0
        self._off = asyncio.Event()

    def unplug(self) -> None:
        self.on = False
        for device in self.devices:
            if device.link is not None:
                device.link.end()
        self._off.set()

    async def __aenter__(self) -> Self:
        self.fault = None if self.on else "none"
        await super().__aenter__()
        self._off.clear()
        return self

    async def sightings(self) -> AsyncGenerator[Sighting, None]:
        while True:
            await asyncio.sleep(5.0)
            if self._off.is_set():
                raise RadioOff("gone")
            if self.blind:
                continue
            for device in self.devices:
                if device.near and device.link is None:
                    yield Sighting(device.address, None, frozenset(), -60)
            # a phone of somebody else
            yield Sighting(f"{self.chance.getrandbits(48):012X}", None, frozenset(), -90)

    async def connect(self, address: str, within: float) -> FastLink:
        await asyncio.sleep(self.chance.uniform(0.1, 2.0))
        device = next(device for device in self.devices if device.address == address)
        if not self.on:
            raise RadioOff("gone")
        if self.chance.random() < 0.2 or not device.near:
            await asyncio.sleep(within)
            raise NotFound("not reached")
        link = device.link = FastLink(device)
        link.life = asyncio.ensure_future(device.live(link))
        return link

    async def reset(self) -> None:
        self.resets += 1
        self.blind = False
        for device in self.devices:
            if device.link is not None:
                device.link.end()
