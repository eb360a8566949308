"""A stretch of moments without news, which the rules take at once.

A device at 1 Hz sends thirty moments a frame, and mostly none of them changes anything: every value
is inside every limit, carries no flag, came in time, and no score is due. A rule says by
``calm_until`` how far that is so, and takes the calm part by ``pass_by``. State and outputs are
then what looking at each moment in turn would leave; ``tests/laws/test_calm.py`` holds it to that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from rpm_stream.records import PatientEntry, Reading
from rpm_stream.score.baseline.learning import LiveDetectors, StretchTimes
from rpm_stream.score.memory.column import Column, measured_at
from rpm_stream.score.memory.state import ScoreState

MOST_MOMENTS = 64


class Stretch(msgspec.Struct, gc=False):
    """Consecutive moments of one message: ``columns`` has their readings by vital, ``times`` each
    moment, and what the detectors have seen of them.
    """

    entry: PatientEntry
    live: LiveDetectors
    columns: dict[str, Column]
    times: StretchTimes

    @property
    def begin(self) -> datetime:
        """The first moment."""
        return self.times.moments[0]

    def cut(self, until: datetime) -> Stretch:
        """The moments before ``until``."""
        if until > self.times.moments[-1]:
            return self
        columns: dict[str, Column] = {}
        for vital, column in self.columns.items():
            size = bisect_left(column.readings, until, key=measured_at)
            if size:
                readings = column.readings[:size]
                columns[vital] = Column(vital, column.device, column.unit, readings)
        times = StretchTimes(
            self.times.moments[: bisect_left(self.times.moments, until)],
            self.times.complete[: bisect_left(self.times.complete, until)],
        )
        return Stretch(self.entry, self.live, columns, times)


class Passing(Protocol):
    """What takes moments without news at once."""

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when the stretch holds nothing that would be found or put out; the begin of the
        stretch where the first moment has to be looked at. The state stays as it is.
        """

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Take a calm stretch: the state is then what looking at each moment would make of it."""


def stretch_of(
    entry: PatientEntry, live: LiveDetectors, moments: Sequence[Sequence[Reading]]
) -> Stretch | None:
    """The moments up to the first reading with a flag or without a value, or that is of another
    device or unit than those of its vital before.
    """
    times: list[datetime] = []
    columns: dict[str, Column] = {}
    for readings in moments:
        for reading in readings:
            column = columns.get(reading.vital)
            if reading.flags or reading.value is None:
                break
            if column is None:
                columns[reading.vital] = Column(reading.vital, reading.device, reading.unit, [])
            elif column.device != reading.device or column.unit != reading.unit:
                break
        else:
            times.append(readings[0].measured_at)
            for reading in readings:
                columns[reading.vital].readings.append(reading)
            continue
        break
    if not times:
        return None
    filled = {vital: column for vital, column in columns.items() if column.readings}
    return Stretch(entry, live, filled, StretchTimes(times))
