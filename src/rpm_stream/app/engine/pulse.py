"""Ends a worker that stood still for longer than its session, before it writes again.

A worker that is stopped, swapped out or on a sleeping machine is given up by its group, and another
worker carries on with its patients. When the first one wakes, it would go on and write its old
states over the newer ones before it learns that it is no longer a member. Without transactions the
broker accepts those writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

EVERY_SECONDS = 0.5


def awake_or_not() -> float:
    """Seconds on a clock that runs on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Pulse:
    """Notes twice a second that the process runs.

    It calls ``end`` when the process had not run for ``longest`` seconds.
    """

    def __init__(
        self, longest: float, end: Callable[[], NoReturn], clock: Callable[[], float] = awake_or_not
    ) -> None:
        self._longest = longest
        self._end = end
        self._clock = clock
        self._last: float | None = None

    def start(self) -> None:
        """Begin to beat. Called from the running event loop.

        After a sleep of the machine, the beat is among the first callbacks to run.
        """
        self.check()
        self._last = self._clock()
        asyncio.get_running_loop().call_later(EVERY_SECONDS, self.start)

    def check(self) -> None:
        """Call ``end`` if the process stood still. Called before anything is written."""
        if self._last is not None and self._clock() - self._last > self._longest:
            self._end()
