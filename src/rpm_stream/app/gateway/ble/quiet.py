"""Detects that a stream of values has stopped although the connection is up.

Users of straps meet this more often than any other fault. The limit follows the stream's own pace:
a strap sends each second, a watch every few minutes to save power. This module is pure.
"""

from __future__ import annotations

from collections import deque

FIRST_SECONDS = 180.0  # limit for a stream whose pace is not known yet
LEAST_SECONDS = 30.0
MOST_SECONDS = 1800.0
PATIENCE = 4  # the limit in multiples of the longest recent pause
PAUSES = 16  # recent pauses that count


class Quiet:
    """One stream of one connection. All times are in seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._pauses: deque[float] = deque(maxlen=PAUSES)
        self._heard = False
        self.ever = False  # whether a value came over this connection
        self.asked = False  # whether it was subscribed again since its last value

    def heard(self, now: float) -> None:
        """Note that a value came."""
        if self._heard:
            self._pauses.append(now - self._last)
        self._last = now
        self._heard = True
        self.ever = True
        self.asked = False

    def subscribed(self, now: float) -> None:
        """Note that it was subscribed again. It may then be silent for the same time again."""
        self._last = now
        self.asked = True
        self._heard = False  # the pause before a new subscription is not part of the pace

    @property
    def deadline(self) -> float:
        """The time until which it may be silent."""
        if not self._pauses:
            return self._last + FIRST_SECONDS
        return self._last + min(max(PATIENCE * max(self._pauses), LEAST_SECONDS), MOST_SECONDS)
