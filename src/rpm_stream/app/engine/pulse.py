"""No zombies: a worker that stood still for longer than its session must not write again.

Stopped, swapped out or with its machine asleep, it was given up, and another has carried on with
its patients. Awake, it would go on where it stood, and put its old states over the newer ones,
before it hears that it is no member any more: without transactions the broker takes them.
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
    """Notes twice a second that the process runs; ``end`` is called when it had not for
    ``longest`` seconds.
    """

    def __init__(
        self, longest: float, end: Callable[[], NoReturn], clock: Callable[[], float] = awake_or_not
    ) -> None:
        self._longest = longest
        self._end = end
        self._clock = clock
        self._last: float | None = None

    def start(self) -> None:
        """From the running event loop: begin to beat.

        Awake again, the beat is among the first to run.
        """
        self.check()
        self._last = self._clock()
        asyncio.get_running_loop().call_later(EVERY_SECONDS, self.start)

    def check(self) -> None:
        """To be called before anything is written."""
        if self._last is not None and self._clock() - self._last > self._longest:
            self._end()
