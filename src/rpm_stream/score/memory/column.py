"""The readings of one vital in a stretch of moments without news (``rules/stretch.py``)."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rpm_stream.records.readings import Reading

FOREVER = datetime.max.replace(tzinfo=UTC)


def measured_at(reading: Reading) -> datetime:
    """When it was measured: a key to sort and to search by."""
    return reading.measured_at


class Column(msgspec.Struct, gc=False):
    """The readings of one vital in a stretch, in the order of time.

    All are of one device and in one unit, have a value and no flag.
    """

    vital: str
    device: str
    unit: str
    readings: list[Reading]

    @property
    def first(self) -> Reading:
        """The oldest reading."""
        return self.readings[0]

    @property
    def last(self) -> Reading:
        """The newest reading."""
        return self.readings[-1]

    @property
    def begin(self) -> datetime:
        """When the oldest reading was measured."""
        return self.readings[0].measured_at

    @property
    def end(self) -> datetime:
        """When the newest reading was measured."""
        return self.readings[-1].measured_at

    def by_value(self) -> dict[str | None, Reading]:
        """The first reading of each value: at 1 Hz values repeat."""
        found: dict[str | None, Reading] = {}
        for reading in self.readings:
            found.setdefault(reading.value, reading)
        return found
