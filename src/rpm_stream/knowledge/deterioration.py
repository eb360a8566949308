"""The table of the deterioration score: a trained linear model, and what it reads.

``benchmarks/train/deterioration.py`` writes the numbers. Nothing in the service changes them. The
names of the features are fixed here, in the order in which ``score/deterioration`` computes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Final

import msgspec

from rpm_stream.knowledge.tables import Table, Vital

MEASURED: Final = (
    "pulse",
    "respiratory_rate",
    "oxygen_saturation",
    "systolic",
    "diastolic",
    "body_temperature",
)
"""The measured series, each of the vitals that its row names."""

DERIVED: Final = ("shock_index", "pulse_pressure")
"""Pulse divided by systolic pressure, and systolic less diastolic pressure."""

SERIES: Final = (*MEASURED, *DERIVED)

WINDOWS: Final = (6, 12, 24)
"""Hours that means and extremes look back."""

STATISTICS: Final = (
    "now",  # the newest value
    "from_own",  # its distance from the person's own mean, in own spreads
    "own_spread",
    "change",  # over 6 hours
    *(f"mean_{hours}" for hours in WINDOWS),
    *(f"highest_{hours}" for hours in WINDOWS),
    *(f"lowest_{hours}" for hours in WINDOWS),
    "slope",  # the mean of 6 hours less the mean of the 6 hours before
)
"""Of each series, in the order of the vector."""

CHART: Final = (
    "respiratory_rate",  # points of NEWS2 of the newest value
    "oxygen_saturation",
    "systolic",
    "pulse",
    "body_temperature",
    "total",
    *(f"mean_{hours}" for hours in WINDOWS),  # of the total
    *(f"highest_{hours}" for hours in WINDOWS),
)
"""Of NEWS2's measured vitals."""

PERSON: Final = (
    "sirs",  # how many of the criteria pulse > 90, rate > 20, temperature > 38 or < 36 hold
    "unusual",  # the distances from the own means, added up and smoothed over hours
    "oxygen",  # NEWS2's points of "air or oxygen"
    "age",  # years
)
"""Of the person as a whole."""

FEATURES: Final[tuple[tuple[str, str], ...]] = (
    *((series, name) for series in SERIES for name in STATISTICS),
    *(("news2", name) for name in CHART),
    *(("person", name) for name in PERSON),
)
"""All features as (group, name), in the order of the vector."""


class FeatureWeight(msgspec.Struct, frozen=True, array_like=True):
    """What a feature counts: ``weight`` for each ``spread`` that it is above ``centre``."""

    centre: float
    spread: float
    weight: float


class SeriesRow(Table, frozen=True):
    """A measured series: the vitals that give it.

    Values are kept as whole numbers of ``step``.
    """

    vitals: tuple[str, ...]
    step: float


class DeteriorationTable(Table, frozen=True):
    """The model with its version, and how it is used.

    - The score is the probability of an onset within ``horizon_hours``.
    - ``every_minutes``: a vital's value is taken once in so long, and a new score follows.
    - ``least_series``: a score needs so many measured series with a value of the last 24 hours.
    - ``own_count``: hours of which the person's own mean and spread are made, the older ones
      weighing less.
    - ``spread_floor`` has the least own spread of each series. Without it the first other value of
      a vital that never varied would be infinitely unusual.
    - ``most`` bounds what one feature can count: so many spreads.
    - ``thresholds`` has the probability that gives a number of alarms a patient-day, with hourly
      values, age and oxygen.
    - ``threshold`` is the number of alarms whose probability is written beside each score.
    - ``checksum`` is that of the model: ``checksum_of``.
    """

    version: str
    checksum: str
    horizon_hours: int
    every_minutes: int
    least_series: int
    own_count: int
    smoothing: float
    most: float
    intercept: float
    threshold: str
    thresholds: dict[str, float]
    series: dict[str, SeriesRow]
    spread_floor: dict[str, float]
    features: dict[str, dict[str, FeatureWeight]]

    @property
    def alarm_from(self) -> float:
        """The probability from which a score counts as an alarm."""
        return self.thresholds[self.threshold]

    def weights(self) -> tuple[FeatureWeight, ...]:
        """Return the weights in the order of ``FEATURES``."""
        return tuple(self.features[group][name] for group, name in FEATURES)


def checksum_of(table: DeteriorationTable) -> str:
    """Return the checksum of all that decides a score.

    A model file that was cut, edited by hand or mixed from two versions does not have it.
    """
    decides = (
        table.version,
        table.horizon_hours,
        table.every_minutes,
        table.least_series,
        table.own_count,
        table.smoothing,
        table.most,
        table.intercept,
        table.thresholds,
        {name: (row.vitals, row.step) for name, row in table.series.items()},
        table.spread_floor,
        {
            group: {name: (row.centre, row.spread, row.weight) for name, row in rows.items()}
            for group, rows in table.features.items()
        },
    )
    return f"{zlib.crc32(msgspec.json.encode(decides, order='deterministic')):08x}"


def check_deterioration(table: DeteriorationTable, vitals: Mapping[str, Vital]) -> Iterator[str]:
    """Yield why a model cannot be used: damaged, of another release, or with unusable numbers."""
    file = "deterioration.toml"
    named = {(group, name) for group, rows in table.features.items() for name in rows}
    if others := sorted(named ^ set(FEATURES)):
        group, name = others[0]
        yield f"{file}: features.{group}.{name}: the model is of another release; train it again"
        return
    if table.checksum != (found := checksum_of(table)):
        yield (
            f"{file}: checksum: the model is damaged or was edited: {found} instead of"
            f" {table.checksum}"
        )
    for name, row in table.series.items():
        if unknown := sorted(set(row.vitals) - vitals.keys()):
            yield f"{file}: series.{name}: unknown vital {', '.join(unknown)}"
    if table.series.keys() != set(MEASURED):
        yield f"{file}: series: must be {', '.join(MEASURED)}"
    if table.spread_floor.keys() != set(SERIES):
        yield f"{file}: spread_floor: must name {', '.join(SERIES)}"
    yield from _unusable(table, vitals)
    if table.threshold not in table.thresholds:
        yield f"{file}: threshold: must be one of {', '.join(table.thresholds)}"


def _unusable(table: DeteriorationTable, vitals: Mapping[str, Vital]) -> Iterator[str]:
    """Yield the numbers with which no score can be computed."""
    file = "deterioration.toml"
    named = [vital for row in table.series.values() for vital in row.vitals]
    if len(named) != len(set(named)):
        yield f"{file}: series: a vital is in two of them"
    for name, row in table.series.items():
        if len({vitals[vital].unit for vital in row.vitals if vital in vitals}) > 1:
            yield f"{file}: series.{name}: vitals of different units"
    weights = table.weights()
    positive = (
        *(row.step for row in table.series.values()),
        *table.spread_floor.values(),
        *(row.spread for row in weights),
        *(table.most, table.smoothing, table.horizon_hours),
        *(table.every_minutes, table.own_count, table.least_series),
    )
    others = (table.intercept, *(each for row in weights for each in (row.centre, row.weight)))
    if not all(isfinite(number) and number > 0 for number in positive):
        yield f"{file}: a step, spread, count or time is not above zero"
    if not all(isfinite(number) for number in others):
        yield f"{file}: a centre, weight or intercept is no finite number"
    if not 0 < table.smoothing <= 1:
        yield f"{file}: smoothing: must be above 0 and at most 1"
    if not all(0 < number < 1 for number in table.thresholds.values()):
        yield f"{file}: thresholds: must lie between 0 and 1"
