"""One horizon of the forecast: the prior, the person's own part, the interval, and learning."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Final, NamedTuple

from rpm_stream.knowledge.forecasts import CHANGE_TERMS, ERROR_TERMS, Adapting, Horizon
from rpm_stream.score.forecast.personal import OwnPart, correction, terms
from rpm_stream.score.memory.forecasts import Issued, PersonalForecast

MOST_FACTOR: Final = 1.0
"""Bound of the logarithm of the factor by which a person's interval is wider or narrower."""

LEAST_ERROR: Final = 0.1


class Ahead(NamedTuple):
    """A forecast before it is rounded: the value with its interval, and what the prior expected."""

    value: float
    low: float
    high: float
    change: float
    error: float


def weighted(weights: Sequence[float], by: Sequence[float]) -> float:
    """Return the sum of the products, added from the left.

    The built-in ``sum`` adds in another way from Python 3.12 on.
    """
    total = 0.0
    for weight, each in zip(weights, by, strict=True):
        total += weight * each
    return total


class HorizonForecast:
    """A horizon, bound to its row of the table."""

    def __init__(self, row: Horizon, adapting: Adapting) -> None:
        self.minutes = row.minutes
        self.seconds = row.minutes * 60
        self._change = tuple(row.change[name] for name in CHANGE_TERMS)
        self._error = tuple(row.error[name] for name in ERROR_TERMS)
        self._lower = row.lower
        self._upper = row.upper
        self._rate = adapting.interval_rate
        self._beyond = (1.0 - adapting.coverage) / 2  # share of the outcomes beyond each end
        self._own = OwnPart(adapting.rate, adapting.shrink, adapting.most_error)

    def ahead(
        self,
        personal: PersonalForecast,
        now: tuple[float, float, float],
        by: Sequence[float],
        errors: Sequence[float],
    ) -> Ahead:
        """Return the forecast from the terms ``by`` and ``errors``.

        ``now`` is the value, its distance from usual, and the change over 15 minutes.
        """
        value, level, slope = now
        change = weighted(self._change, by)
        error = exp(weighted(self._error, errors))
        value += change + correction(personal.weights, terms(level, change, slope))
        return Ahead(
            value,
            value + self._lower * error * exp(personal.lower),
            value + self._upper * error * exp(personal.upper),
            change,
            error,
        )

    def learn(self, personal: PersonalForecast, issued: Issued, place: int, value: float) -> None:
        """Learn from the value that came at the time that was forecast."""
        change = issued.changes[place] / 10
        by = terms(issued.level / 10, change, issued.slope / 10)
        missed = value - issued.value / 10 - change
        away = missed - correction(personal.weights, by)
        away /= max(issued.errors[place] / 10, LEAST_ERROR)
        is_below = away < self._lower * exp(personal.lower)
        is_above = away > self._upper * exp(personal.upper)
        personal.lower = self._moved(personal.lower, is_below)
        personal.upper = self._moved(personal.upper, is_above)
        personal.weights = self._own.learned(personal.weights, by, missed)

    def _moved(self, factor: float, is_beyond: bool) -> float:
        """Return a factor after an outcome: larger if it lay beyond, else a little smaller."""
        moved = factor + self._rate * (is_beyond - self._beyond)
        return max(-MOST_FACTOR, min(MOST_FACTOR, moved))
