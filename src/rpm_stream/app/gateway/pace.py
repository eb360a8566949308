"""How fast a gateway catches up: what it stored for a day must not keep others waiting while it
is worked through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

SHORTEST = 0.1  # seconds between two rounds without room, however often something new is put


class Pace:
    """So many octets a second, of which a second's worth may go out at once."""

    def __init__(self, octets_a_second: int | None, clock: Callable[[], float] = monotonic) -> None:
        """None: as fast as the broker takes it. ``clock`` gives seconds."""
        self._rate = octets_a_second
        self._clock = clock
        self._free = float(octets_a_second or 0)
        self._at = clock()

    def room(self, most: int) -> int:
        """How many octets may go out now, ``most`` at most."""
        if self._rate is None:
            return most
        now = self._clock()
        self._free = min(self._rate, self._free + (now - self._at) * self._rate)
        self._at = now
        return max(0, min(most, int(self._free)))

    def spend(self, octets: int) -> None:
        """They have gone out.

        What must not wait goes out without room, and is owed for a second at most.
        """
        if self._rate is not None:
            self._free = max(-self._rate, self._free - octets)

    def seconds(self) -> float:
        """How long until there is room for a quarter of a second's worth; 0 where there is."""
        if self._rate is None:
            return 0.0
        wanted = self._rate / 4
        self.room(0)
        return max(0.0, (wanted - self._free) / self._rate)

    def _owed(self) -> float:
        return -self._free / self._rate if self._rate else 0.0

    async def rest(self, new: asyncio.Event) -> None:
        """Wait for that long; something new ends the wait early, but not before what is owed is
        made up for.
        """
        if (seconds := self.seconds()) > 0:
            first = min(seconds, max(SHORTEST, self._owed()))
            await asyncio.sleep(first)
            with suppress(TimeoutError):
                await asyncio.wait_for(new.wait(), seconds - first)
