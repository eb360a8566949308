"""A worker that stood still for longer than its session ends before it writes; one that is
merely slow goes on.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from rpm_stream.app.engine.pulse import EVERY_SECONDS, Pulse

pytestmark = pytest.mark.asyncio


class Ended(BaseException):
    """What the process's end is here."""


def end() -> NoReturn:
    raise Ended


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def pulse_of(seconds: float) -> tuple[Clock, Pulse]:
    """A pulse that allows so many seconds, and the clock that it reads."""
    clock = Clock()
    return clock, Pulse(seconds, end, clock)


async def test_it_ends_before_it_writes() -> None:
    clock, pulse = pulse_of(10.0)
    clock.now += 60  # before it begins nothing counts: imports, joining, recovery
    pulse.check()
    pulse.start()
    clock.now += 9.9
    pulse.check()
    clock.now += 0.2
    with pytest.raises(Ended):
        pulse.check()


async def test_its_own_beat_notices_too() -> None:
    """Awake again, the beat comes first: it must not hide that there was none for long."""
    clock, pulse = pulse_of(10.0)
    pulse.start()
    clock.now += 9.9
    pulse.start()
    clock.now += 9.9
    pulse.check()
    clock.now += 0.2
    with pytest.raises(Ended):
        pulse.start()


async def test_it_beats() -> None:
    clock, pulse = pulse_of(10.0)
    pulse.start()
    beats = asyncio.Event()
    asyncio.get_running_loop().call_later(EVERY_SECONDS * 1.5, beats.set)
    clock.now += 9.9
    await beats.wait()
    clock.now += 9.9
    pulse.check()
