"""The service's clock: the one place that reads the time. A demo runs it faster, from an anchor all stages share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rpm_stream.app.settings import Settings


class Clock:
    """Wall time; at ``speed`` other than 1, time that runs so much faster since ``anchor``."""

    def __init__(self, speed: float = 1.0, anchor: datetime | None = None) -> None:
        self.speed = speed
        self.anchor = anchor or datetime.now(UTC)

    @classmethod
    def of(cls, settings: Settings) -> Clock:
        """The clock that the settings ask for."""
        return cls(settings.time_speed, settings.time_anchor)

    def now(self) -> datetime:
        """The service's present, UTC."""
        return self.at(datetime.now(UTC))

    def at(self, wall: datetime) -> datetime:
        """What this clock shows at a moment of wall time."""
        if self.speed == 1.0:
            return wall
        return self.anchor + timedelta(seconds=(wall - self.anchor).total_seconds() * self.speed)
