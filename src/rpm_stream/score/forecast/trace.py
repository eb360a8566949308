"""The trace of the last hour: a point every few minutes, and the values between them.

Sensors send a value each minute, every 5 or every 15 minutes, and some send scans between. The
forecast needs the value 5, 10, … 60 minutes ago, whatever the sensor's rhythm, so it is read from
the line between the two points around that time. Before the first point the value of that point
counts. After a gap the trace begins again.
"""

from __future__ import annotations

from typing import Final

from rpm_stream.score.memory.forecasts import ForecastState

LAGS: Final = (300, 600, 900, 1200, 1800, 2700, 3600)
"""How long ago, in seconds, the values lie with which the newest one is compared."""

APART: Final = 240
"""Least seconds between two kept points. The newest reading is always kept."""

MOST_GAP: Final = 35 * 60
"""Seconds between two readings over which no line is drawn.

A sensor of 15 minutes may miss one reading.
"""

MOST_KEPT: Final = LAGS[-1] // APART + 3
"""Points of the last hour at most, with one beyond each end."""


def enter(kept: ForecastState, at: int, tenths: int) -> None:
    """Enter a reading that is newer than all before, or at the time of the newest."""
    times = kept.times
    values = kept.values
    if times and at - times[-1] > MOST_GAP:
        times.clear()
        values.clear()
        kept.issued.clear()
    if times and (at == times[-1] or (len(times) > 1 and times[-1] - times[-2] < APART)):
        times[-1] = at
        values[-1] = tenths
    else:
        times.append(at)
        values.append(tenths)
    oldest = at - LAGS[-1]
    while len(times) > 2 and (times[1] <= oldest or len(times) > MOST_KEPT):
        del times[0]
        del values[0]


def changes(times: list[int], values: list[int]) -> list[float]:
    """Return by how much the newest value lies above that of each lag, in the vital's unit.

    >>> changes([0, 600, 1200], [1000, 1100, 1500])
    [20.0, 40.0, 45.0, 50.0, 50.0, 50.0, 50.0]
    """
    place = len(times) - 1
    at = times[place]
    newest = values[place]
    found = []
    for lag in LAGS:
        moment = at - lag
        while place and times[place - 1] >= moment:
            place -= 1
        value: float = values[place]
        if place and moment < times[place]:
            before = times[place - 1]
            earlier = values[place - 1]
            value = earlier + (value - earlier) * (moment - before) / (times[place] - before)
        found.append((newest - value) / 10)
    return found


def forget(kept: ForecastState, wrong: set[int]) -> None:
    """Remove the readings of these times, and what was forecast from them."""
    points = [
        (at, value) for at, value in zip(kept.times, kept.values, strict=True) if at not in wrong
    ]
    kept.times = [at for at, _ in points]
    kept.values = [value for _, value in points]
    kept.issued = [each for each in kept.issued if each.at not in wrong]
    if kept.pressed_at in wrong:
        kept.pressed_at = 0
