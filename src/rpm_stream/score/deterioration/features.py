"""The features of the deterioration score, computed from what is kept of the last hours.

A feature of a series of which nothing is known is NaN, and counts nothing. The order is that of
``knowledge.deterioration.FEATURES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rpm_stream.knowledge.deterioration import (
    DERIVED,
    MEASURED,
    SERIES,
    WINDOWS,
    DeteriorationTable,
)
from rpm_stream.knowledge.scoring import News2, Points
from rpm_stream.score.deterioration.hours import KEPT_HOURS, Hours, on_hours

Numbers: TypeAlias = NDArray[np.float64]

PULSE, RATE, SATURATION, SYSTOLIC, DIASTOLIC, TEMPERATURE = range(len(MEASURED))
SHOCK, PRESSURE = (SERIES.index(name) for name in DERIVED)
WATCHED: Final = (PULSE, RATE, SATURATION, SYSTOLIC, TEMPERATURE)
"""The series whose distances from the own mean are added up in ``person.unusual``."""


class Chart:
    """The points of NEWS2's measured vitals for many numbers at once."""

    def __init__(self, news2: News2) -> None:
        rows = news2.parameters()
        self._rows = [
            (place, *_bands(rows[name]))
            for place, name in (
                (RATE, "respiratory_rate"),
                (SATURATION, "oxygen_saturation"),
                (SYSTOLIC, "systolic"),
                (PULSE, "pulse"),
                (TEMPERATURE, "body_temperature"),
            )
        ]

    def points(self, grid: Numbers) -> Numbers:
        """Return the points of the five parts for each hour of the grid; an unknown one has 0."""
        return np.stack(
            [
                np.where(
                    np.isnan(grid[place]),
                    0.0,
                    points[np.searchsorted(upto, np.floor(grid[place] / step + 0.5))],
                )
                for place, upto, points, step in self._rows
            ]
        )


def _bands(row: Points) -> tuple[Numbers, Numbers, float]:
    """Return the upper ends of a part's rows in steps of the chart, their points, and the step."""
    step = float(row.step)
    upto = np.array([round(float(end) / step) for end, _ in row.rows if end], dtype=np.float64)
    return upto, np.array([points for _, points in row.rows], dtype=np.float64), step


class Features:
    """Computes the vector of features, bound to the table and to NEWS2's chart."""

    def __init__(self, table: DeteriorationTable, news2: News2) -> None:
        self._chart = Chart(news2)
        self._steps = np.array([[table.series[name].step] for name in MEASURED])
        self._floors = np.array([table.spread_floor[name] for name in SERIES])
        ages = np.arange(KEPT_HOURS)[::-1]
        self._smooth = table.smoothing * (1 - table.smoothing) ** ages

    def grid(self, hours: Hours, now: int) -> Numbers:
        """Return the values of all series for each of the last 24 hours, NaN where unknown."""
        unknown = [np.nan] * KEPT_HOURS
        rows = []
        for name in MEASURED:
            course = hours.courses.get(name)
            filled = None if course is None else on_hours(course, now)
            rows.append(unknown if filled is None else filled)
        grid = np.empty((len(SERIES), KEPT_HOURS))
        grid[: len(MEASURED)] = np.array(rows, dtype=np.float64) * self._steps
        systolic = grid[SYSTOLIC]
        grid[SHOCK] = grid[PULSE] / np.where(systolic > 0, systolic, np.nan)
        grid[PRESSURE] = grid[SYSTOLIC] - grid[DIASTOLIC]
        return grid

    def vector(self, hours: Hours, now: int, person: Mapping[str, float]) -> Numbers:
        """Return the features as of the hour ``now``.

        ``person`` has ``oxygen`` (NEWS2's points) and ``age`` (years), where they are known.
        Unknown oxygen has no points, as in the least that NEWS2 can be.
        """
        grid = self.grid(hours, now)
        newest = grid[:, -1]
        mean, spread = self._own(hours)
        floored = np.fmax(spread, self._floors)
        recent = grid[:, -6:].mean(axis=1)
        before = grid[:, -12:-6].mean(axis=1)
        of_series = np.stack(
            [
                newest,
                (newest - mean) / floored,
                spread,
                newest - grid[:, -7],
                *(grid[:, -width:].mean(axis=1) for width in WINDOWS),
                *(grid[:, -width:].max(axis=1) for width in WINDOWS),
                *(grid[:, -width:].min(axis=1) for width in WINDOWS),
                recent - before,
            ],
            axis=1,
        )
        of_series[np.isnan(newest)] = np.nan
        points = self._chart.points(grid)
        total = points.sum(axis=0)
        apart = np.abs(grid - mean[:, None]) / floored[:, None]
        unusual = np.nan_to_num(apart[list(WATCHED)]).sum(axis=0)
        return np.concatenate(
            [
                of_series.ravel(),
                points[:, -1],
                total[-1:],
                [total[-width:].mean() for width in WINDOWS],
                [np.max(total[-width:]) for width in WINDOWS],
                [
                    _criteria(newest),
                    (unusual * self._smooth).sum(),
                    person.get("oxygen", 0.0),
                    person.get("age", np.nan),
                ],
            ]
        )

    def _own(self, hours: Hours) -> tuple[Numbers, Numbers]:
        """Return the own mean and spread of each series, NaN where too few hours are known."""
        mean = np.full(len(SERIES), np.nan)
        spread = np.full(len(SERIES), np.nan)
        for place, name in enumerate(SERIES):
            own = hours.own.get(name)
            if own is not None:
                mean[place] = own.mean
                if own.count > 1:
                    spread[place] = own.variance**0.5
        return mean, spread


def _criteria(newest: Numbers) -> float:
    """Return how many of the measured SIRS criteria hold (Bone et al., Chest 1992;101:1644)."""
    return float(
        (newest[PULSE] > 90)
        + (newest[RATE] > 20)
        + (newest[TEMPERATURE] > 38 or newest[TEMPERATURE] < 36)
    )
