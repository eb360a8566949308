"""When a stream of values has stopped although the connection stands: what users of straps meet
most.

A stream teaches its own pace: a strap sends each second, a watch every few minutes to save power.
Pure.
"""

from __future__ import annotations

from collections import deque

FIRST_SECONDS = 180.0  # for a stream of which nothing is known yet
LEAST_SECONDS = 30.0
MOST_SECONDS = 1800.0
PATIENCE = 4  # times the longest of its last pauses
PAUSES = 16


class Quiet:
    """One stream of one connection; all times in seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._pauses: deque[float] = deque(maxlen=PAUSES)
        self._heard = False
        self.ever = False  # a value came over this connection
        self.asked = False  # it was subscribed anew since its last value

    def heard(self, now: float) -> None:
        """A value came."""
        if self._heard:
            self._pauses.append(now - self._last)
        self._last = now
        self._heard = True
        self.ever = True
        self.asked = False

    def subscribed(self, now: float) -> None:
        """It was subscribed anew: it has as long again before the link is given up."""
        self._last = now
        self.asked = True
        self._heard = False  # the pause that this ended is no pace

    @property
    def deadline(self) -> float:
        """Until when it may be silent."""
        if not self._pauses:
            return self._last + FIRST_SECONDS
        return self._last + min(max(PATIENCE * max(self._pauses), LEAST_SECONDS), MOST_SECONDS)
