"""The service's clock, which is the one place that reads the time.

A demo runs the clock faster, from an anchor that all stages share.

A host's clock may be wrong by a day without anybody noticing. The broker's clock is the one that
counts, because it stamps every receipt. Once a stage knows the broker's time (``broker_time``), its
clock shows that time. A counter carries it on, which no correction of the host's clock moves.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from rpm_stream.app.runtime.settings import Settings


def wall() -> datetime:
    """The time that this host's clock shows, UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def steady() -> float:
    """Seconds on a counter that cannot be set.

    The counter runs on while the machine sleeps, on systems that have such a counter.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """The broker's time where it is known, else the host's.

    With a ``speed`` the clock runs that much faster, counted from ``anchor``.
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
        """Show the broker's time from now on. It was ``broker`` when ``steady`` was ``at``."""
        self._followed = (broker, at)

    def real(self) -> datetime:
        """The present without ``speed``, UTC. It is the broker's time where that is known."""
        if self._followed is None:
            return wall()
        broker, at = self._followed
        return broker + timedelta(seconds=steady() - at)

    def now(self) -> datetime:
        """The service's present, UTC."""
        return self.at(self.real())

    def at(self, wall: datetime) -> datetime:
        """The time that this clock shows at a moment of real time."""
        if self.speed == 1.0:
            return wall
        return self.anchor + timedelta(seconds=(wall - self.anchor).total_seconds() * self.speed)

    def stamp(self) -> int:
        """The present without ``speed`` as Kafka writes it, in milliseconds."""
        return int(self.real().timestamp() * 1000)
