"""Glucose in 30 and 60 minutes with an interval, and the chance of a low value before.

A forecast is the newest value, plus the change that the shared prior expects after a trace like
this one, plus this person's own part (``personal.py``). The prior's weights were fitted to the
median of the outcomes of other people, and are a table (``knowledge/glucose_forecast.toml``).

The interval is the expected error times a factor on each side. The error follows from the trace.
The factors follow this person online: each outcome beyond an end of the interval widens that side a
little, each one inside narrows it much less, so that in the long run the table's share of the
outcomes lies inside, whatever the person's errors are distributed like (adaptive conformal
inference, Gibbs and Candès 2021; here as online quantile tracking).

The chance of a low value is a logistic regression on forecast, error and value.

What is kept of a person are numbers (``memory/forecasts.py``), about 700 bytes. A reading costs
about 15 µs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import exp, log
from typing import Final, NamedTuple

from rpm_stream.knowledge.forecasts import (
    CHANCE_TERMS,
    CHANGE_TERMS,
    ERROR_TERMS,
    HORIZONS,
    GlucoseForecast,
    Horizon,
)
from rpm_stream.score.forecast.personal import WEIGHTS, OwnPart, correction, terms
from rpm_stream.score.forecast.trace import APART, MOST_GAP, changes, enter
from rpm_stream.score.memory.forecasts import ForecastState, Issued, Personal

DAY: Final = 86_400
LONGEST_STEP: Final = 1800
"""Seconds that a value counts at most for the usual value, however long nothing came."""

OUTCOME_WITHIN: Final = 150
"""Seconds by which an outcome may lie beside the time that was forecast.

Half of the usual distance between two readings.
"""

MOST_FACTOR: Final = 1.0
"""Bound of the logarithm of the factor that a person's interval is wider or narrower by."""

LEAST_SPREAD: Final = 5.0
LEAST_CHANCE: Final = 0.001


class Forecast(NamedTuple):
    """A forecast value with its interval."""

    minutes: int
    value: float
    low: float
    high: float


class Outlook(NamedTuple):
    """What one reading shows of the next hour.

    ``forecasts`` is empty for a reading that came too soon after the last one that was forecast
    from. ``chances`` are in the order of the table. ``over`` are the changes against the values of
    an hour (``trace.LAGS``).
    """

    value: float
    forecasts: tuple[Forecast, ...]
    nearest: Forecast
    chances: tuple[float, ...]
    over: tuple[float, ...]
    known_seconds: int


class _Part:
    """One horizon of the table, its weights in the order of the terms."""

    def __init__(self, row: Horizon) -> None:
        self.minutes = row.minutes
        self.seconds = row.minutes * 60
        self.change = tuple(row.change[name] for name in CHANGE_TERMS)
        self.error = tuple(row.error[name] for name in ERROR_TERMS)
        self.lower = row.lower
        self.upper = row.upper


def _sum(weights: Sequence[float], by: Sequence[float]) -> float:
    """Return the sum of the products, added from the left.

    The built-in ``sum`` adds in another way from Python 3.12 on.
    """
    total = 0.0
    for weight, each in zip(weights, by, strict=True):
        total += weight * each
    return total


class GlucoseForecaster:
    """The forecast of one vital, bound to its table. It holds no data of a person."""

    def __init__(self, table: GlucoseForecast) -> None:
        self._table = table
        self._adapting = table.adapting
        self._parts = tuple(_Part(row) for row in table.horizon)
        self._own = OwnPart(table.adapting.rate, table.adapting.shrink, table.adapting.most_error)
        self._side = (1.0 - table.adapting.coverage) / 2
        self._odds = tuple(
            (row, float(row.asked_below), tuple(row.odds[name] for name in CHANCE_TERMS))
            for row in table.chance
        )
        self._usual_seconds = table.adapting.usual_days * DAY

    def begin(self, device: str) -> ForecastState:
        """Return the state of a person of whom nothing is known."""
        return ForecastState(
            device=device,
            times=[],
            values=[],
            usual=self._adapting.first_usual,
            spread=self._adapting.first_spread,
            issued=[],
            personal=[Personal([0.0] * len(WEIGHTS)) for _ in range(HORIZONS)],
        )

    def take(self, kept: ForecastState, at: int, value: float) -> Outlook:
        """Enter a reading that is not older than the last one, learn from it, and look ahead."""
        before = kept.times[-1] if kept.times else None
        tenths = round(value * 10)
        value = tenths / 10
        enter(kept, at, tenths)
        is_step = not kept.issued or at - kept.issued[-1].at >= APART
        if is_step:
            self._learn(kept, at, value)
        over = changes(kept.times, kept.values)
        outlook = self._look(kept, value, over, is_step)
        if before is not None and at > before:
            share = min(at - before, LONGEST_STEP) / self._usual_seconds
            kept.usual += share * (value - kept.usual)
            kept.spread += share * (abs(value - kept.usual) - kept.spread)
        return outlook

    # --- what is ahead ----------------------------------------------------------------------------

    def _look(self, kept: ForecastState, value: float, over: list[float], is_step: bool) -> Outlook:
        level = value - kept.usual
        known = min(kept.times[-1] - kept.times[0], 3600)
        by = (*over, level, min(value - 100.0, 0.0), max(value - 200.0, 0.0), 1.0)
        slope = over[2]
        errors = (
            log(max(kept.spread, LEAST_SPREAD)),
            log(value),
            max(slope, 0.0),
            max(-slope, 0.0),
            abs(over[6]),
            known / 60,
            1.0,
        )
        found = []
        expected = []
        spreads = []
        for part, own in zip(self._parts, kept.personal, strict=True):
            change = _sum(part.change, by)
            ahead = value + change + correction(own.weights, terms(level, change, slope))
            spread = exp(_sum(part.error, errors))
            expected.append(change)
            spreads.append(spread)
            found.append(self._forecast(part, own, ahead, spread))
            if not is_step:
                break
        if is_step:
            self._issue(kept, (level, slope), expected, spreads)
        return Outlook(
            value=value,
            forecasts=tuple(found) if is_step else (),
            nearest=found[0],
            chances=self._chances(value, over[0], found[0].value, spreads[0]),
            over=tuple(over),
            known_seconds=known,
        )

    def _forecast(self, part: _Part, own: Personal, ahead: float, spread: float) -> Forecast:
        lowest = self._table.lowest
        highest = self._table.highest
        low = ahead + part.lower * spread * exp(own.lower)
        high = ahead + part.upper * spread * exp(own.upper)
        return Forecast(
            part.minutes,
            round(min(max(ahead, lowest), highest), 1),
            round(min(max(low, lowest), highest), 1),
            round(min(max(high, lowest), highest), 1),
        )

    def _chances(
        self, value: float, over_5: float, expected: float, spread: float
    ) -> tuple[float, ...]:
        found = []
        by: tuple[float, ...] = ()
        for row, asked_below, odds in self._odds:
            if value < float(row.below):
                found.append(1.0)
                continue
            if value >= asked_below:
                found.append(0.0)
                continue
            by = by or _chance_terms(value, over_5, expected, spread)
            found.append(round(1.0 / (1.0 + exp(-_sum(odds, by))), 4))
        return tuple(found)

    def _issue(
        self,
        kept: ForecastState,
        now: tuple[float, float],
        expected: list[float],
        spreads: list[float],
    ) -> None:
        level, slope = now
        first, second = expected
        near, far = spreads
        issued = kept.issued
        at = kept.times[-1]
        issued.append(
            Issued(
                at,
                kept.values[-1],
                int(level * 10),
                int(slope * 10),
                (int(first * 10), int(second * 10)),
                (int(near * 10), int(far * 10)),
            )
        )
        oldest = at - self._parts[-1].seconds - OUTCOME_WITHIN
        while issued[0].at < oldest:
            del issued[0]

    # --- what became of it ------------------------------------------------------------------------

    def _learn(self, kept: ForecastState, at: int, value: float) -> None:
        """Compare the value with what was forecast for this time, and learn from the error.

        The horizons take turns, because outcomes of two readings that follow each other are much
        the same.
        """
        issued = kept.issued
        kept.turn = (kept.turn + 1) % HORIZONS
        part = self._parts[kept.turn]
        due = at - part.seconds
        index = bisect_left(issued, due - OUTCOME_WITHIN, key=_issued_at)
        if index < len(issued) and issued[index].at <= due + OUTCOME_WITHIN:
            self._learn_one(part, kept.personal[kept.turn], issued[index], kept.turn, value)

    def _learn_one(
        self, part: _Part, own: Personal, issued: Issued, place: int, value: float
    ) -> None:
        change = issued.changes[place] / 10
        by = terms(issued.level / 10, change, issued.slope / 10)
        error = value - issued.value / 10 - change
        missed = (error - correction(own.weights, by)) / max(issued.spreads[place] / 10, 0.1)
        rate = self._adapting.interval_rate
        own.lower = _moved(own.lower, rate, self._side, missed < part.lower * exp(own.lower))
        own.upper = _moved(own.upper, rate, self._side, missed > part.upper * exp(own.upper))
        own.weights = self._own.learned(own.weights, by, error)


def _issued_at(issued: Issued) -> int:
    return issued.at


def _moved(factor: float, rate: float, share: float, is_beyond: bool) -> float:
    """Return the factor after an outcome: wider if it lay beyond, else a little narrower."""
    moved = factor + rate * (is_beyond - share)
    return max(-MOST_FACTOR, min(MOST_FACTOR, moved))


def _chance_terms(value: float, over_5: float, expected: float, spread: float) -> tuple[float, ...]:
    return (
        expected,
        value,
        over_5,
        log(spread),
        min(expected - 60.0, 0.0),
        min(expected - 75.0, 0.0),
        min(expected - 90.0, 0.0),
        min(expected - 110.0, 0.0),
        min(value - 75.0, 0.0),
        min(value - 80.0, 0.0),
        min(value - 90.0, 0.0),
        1.0,
    )
