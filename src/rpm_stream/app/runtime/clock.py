"""The service's clock: the one place that reads the time. A demo runs it faster, from an anchor all
stages share.

A host's clock may be wrong by a day and nobody sees it. What counts is the broker's clock, which
stamps every receipt: once a stage knows it (``broker_time``), its clock shows the broker's time,
carried on by a counter that no correction of the host's clock moves.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from rpm_stream.app.runtime.settings import Settings


def wall() -> datetime:
    """What this host's clock shows, UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def steady() -> float:
    """Seconds on a counter that is never set, and runs on while the machine sleeps, where there
    is such a one.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """The broker's time where it is known, else wall time; with a ``speed``, so much faster
    since ``anchor``.
    """

    def __init__(self, speed: float = 1.0, anchor: datetime | None = None) -> None:
        self.speed = speed
        self.anchor = anchor or wall()
        # the broker's time, and the counter at that moment
        self._followed: tuple[datetime, float] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Clock:
        """The clock that the settings ask for."""
        return cls(settings.time_speed, settings.time_anchor)

    def follow(self, broker: datetime, at: float) -> None:
        """From now on show the broker's time: it was ``broker`` when ``steady`` was ``at``."""
        self._followed = (broker, at)

    def real(self) -> datetime:
        """The present without ``speed``, UTC: the broker's where it is known."""
        if self._followed is None:
            return wall()
        broker, at = self._followed
        return broker + timedelta(seconds=steady() - at)

    def now(self) -> datetime:
        """The service's present, UTC."""
        return self.at(self.real())

    def at(self, wall: datetime) -> datetime:
        """What this clock shows at a moment of real time."""
        if self.speed == 1.0:
            return wall
        return self.anchor + timedelta(seconds=(wall - self.anchor).total_seconds() * self.speed)

    def stamp(self) -> int:
        """The present without ``speed`` as Kafka writes it, in milliseconds."""
        return int(self.real().timestamp() * 1000)
