"""The rows of glucose_forecast.toml: the prior that all people share, and when it raises an alert.

A forecast is a sum of terms. The tables give the weight of each term by its name, and this module
fixes the names and their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from rpm_stream.knowledge.tables import Table, Vital

HORIZONS: Final = 2
"""How many horizons are forecast."""

CHANCES: Final = ("low", "very_low")
"""The rows of the chances, in their order."""

CHANGE_TERMS: Final = (
    "over_5",
    "over_10",
    "over_15",
    "over_20",
    "over_30",
    "over_45",
    "over_60",
    "above_usual",
    "below_100",
    "above_200",
    "always",
)
"""Terms of the expected change: by how much the value lies above that of so many minutes ago, and
above this person's usual; how far it lies below 100 (negative) and above 200; and 1."""

ERROR_TERMS: Final = (
    "log_spread",
    "log_value",
    "rise_15",
    "fall_15",
    "moved_60",
    "known_minutes",
    "always",
)
"""Terms of the logarithm of the expected error."""

CHANCE_TERMS: Final = (
    "forecast",
    "value",
    "over_5",
    "log_error",
    "forecast_below_60",
    "forecast_below_75",
    "forecast_below_90",
    "forecast_below_110",
    "value_below_75",
    "value_below_80",
    "value_below_90",
    "always",
)
"""Terms of the log odds of a low value, from the forecast at the first horizon."""


class Horizon(Table, frozen=True):
    """The forecast ``minutes`` ahead: weights of the expected change and of its error.

    ``lower`` and ``upper`` are the distances of the interval's ends in expected errors.
    """

    minutes: int
    change: dict[str, float]
    error: dict[str, float]
    lower: float
    upper: float
    source: str


class Adapting(Table, frozen=True):
    """How fast a person's own part is learned.

    ``coverage`` is the share of outcomes that the interval is to hold. ``usual_days`` is over how
    many days the usual value and the spread around it follow.
    """

    rate: float
    shrink: float
    most_error: float
    coverage: float
    interval_rate: float
    usual_days: float
    first_usual: float
    first_spread: float
    source: str


class Chance(Table, frozen=True):
    """The chance that a value falls below ``below`` within ``minutes``.

    It is asked for values below ``asked_below``. A chance from ``least`` on is a finding, and one
    below ``withdraw`` takes it back.
    """

    name: str
    below: Decimal
    minutes: int
    asked_below: Decimal
    least: float
    withdraw: float
    odds: dict[str, float]
    source: str


class PressureTable(Table, frozen=True):
    """A fall that may come from a body that lies on the sensor.

    Between ``from_hour`` and ``to_hour`` of local time the value has fallen by ``by`` or more in 10
    minutes, after it moved by less than ``steady_20`` in the 20 minutes before and by less than
    ``steady_50`` in the 50 minutes before. What is expected to be low within ``hold_minutes`` of
    that is reported as pressure.
    """

    from_hour: int
    to_hour: int
    by: float
    steady_20: float
    steady_50: float
    hold_minutes: int
    source: str


class GlucoseForecast(Table, frozen=True):
    """All of the forecast of one vital, in its first unit.

    Nothing low is expected from a value that has risen by more than ``most_rise`` or fallen by more
    than ``most_fall`` in 5 minutes.
    """

    version: str
    vital: str
    lowest: float
    highest: float
    most_rise: float
    most_fall: float
    horizon: tuple[Horizon, ...]
    adapting: Adapting
    chance: tuple[Chance, ...]
    pressure: PressureTable


def check_forecast(table: GlucoseForecast, vitals: Mapping[str, Vital]) -> Iterator[str]:
    """Yield the faults of the forecast: an unknown vital, terms, or numbers that contradict."""
    name = "glucose_forecast.toml"
    if table.vital not in vitals:
        yield f"{name}: unknown vital {table.vital}"
    minutes = [row.minutes for row in table.horizon]
    if len(minutes) != HORIZONS or sorted(set(minutes)) != minutes:
        yield f"{name}: horizon: there are {HORIZONS}, the nearest first"
    for row in table.horizon:
        yield from _terms(f"{name}: horizon {row.minutes}: change", row.change, CHANGE_TERMS)
        yield from _terms(f"{name}: horizon {row.minutes}: error", row.error, ERROR_TERMS)
        if not row.lower < 0 < row.upper:
            yield f"{name}: horizon {row.minutes}: the value lies between lower and upper"
    if tuple(row.name for row in table.chance) != CHANCES:
        yield f"{name}: chance: the rows are {' and '.join(CHANCES)}"
    for each in table.chance:
        yield from _terms(f"{name}: chance {each.name}: odds", each.odds, CHANCE_TERMS)
        if not 0 < each.withdraw <= each.least <= 1:
            yield f"{name}: chance {each.name}: withdraw lies above least"


def _terms(where: str, weights: Mapping[str, float], terms: tuple[str, ...]) -> Iterator[str]:
    if weights.keys() != set(terms):
        wrong = sorted(weights.keys() ^ set(terms))
        yield f"{where}: missing or unknown terms: {', '.join(wrong)}"
