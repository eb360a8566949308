"""Limits how fast a gateway sends its backlog.

A day of stored data must not keep other gateways waiting while the service works through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

SHORTEST = 0.1  # seconds between two rounds without budget, however often new frames are stored


class Pace:
    """A budget of bytes a second, of which at most one second's worth is saved up."""

    def __init__(self, bytes_a_second: int | None, clock: Callable[[], float] = monotonic) -> None:
        """Limit to ``bytes_a_second`` bytes, or not at all for None. ``clock`` gives seconds."""
        self._rate = bytes_a_second
        self._clock = clock
        self._free = float(bytes_a_second or 0)
        self._at = clock()

    def allowance(self, most: int) -> int:
        """Return how many bytes may be sent now, at most ``most``."""
        if self._rate is None:
            return most
        now = self._clock()
        self._free = min(self._rate, self._free + (now - self._at) * self._rate)
        self._at = now
        return max(0, min(most, int(self._free)))

    def spend(self, size: int) -> None:
        """Take ``size`` bytes that were sent from the budget.

        Frames that must not wait are sent without budget. The debt is at most one second's worth.
        """
        if self._rate is not None:
            self._free = max(-self._rate, self._free - size)

    def seconds(self) -> float:
        """Return the seconds until a quarter of a second's worth may be sent, 0 if it may now."""
        if self._rate is None:
            return 0.0
        wanted = self._rate / 4
        self.allowance(0)
        return max(0.0, (wanted - self._free) / self._rate)

    def _owed(self) -> float:
        return -self._free / self._rate if self._rate else 0.0

    async def rest(self, new: asyncio.Event) -> None:
        """Wait for ``seconds()``.

        ``new`` ends the wait early, but not before a debt is made up for.
        """
        if (seconds := self.seconds()) > 0:
            first = min(seconds, max(SHORTEST, self._owed()))
            await asyncio.sleep(first)
            with suppress(TimeoutError):
                await asyncio.wait_for(new.wait(), seconds - first)
