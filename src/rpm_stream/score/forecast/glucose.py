"""Glucose in 30 and 60 minutes with an interval, and the chance of a low value before.

A forecast is the newest value, plus the change that the shared prior expects after a trace like
this one, plus this person's own part (``personal.py``). The prior's weights were fitted to the
median of the outcomes of other people, and are a table (``knowledge/glucose_forecast.toml``).

The interval is the expected error times a factor on each side. The error follows from the trace.
The factors follow this person online: each outcome beyond an end of the interval widens that side a
little, each one inside narrows it much less. In the long run the table's share of the outcomes lies
inside, however the person's errors are distributed (adaptive conformal inference, Gibbs and Candès
2021; here as online quantile tracking).

The chance of a low value is a logistic regression on forecast, error and value.

What is kept of a person are numbers (``memory/forecasts.py``), 560 to 680 bytes. A reading costs
about 17 µs in a loop, of which River's learning is a quarter, and up to three times that among all
the other work of a judge.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp, log
from typing import Final, NamedTuple

from rpm_stream.knowledge.forecasts import CHANCE_TERMS, HORIZONS, GlucoseForecast
from rpm_stream.score.forecast.horizon import Ahead, HorizonForecast, weighted
from rpm_stream.score.forecast.personal import WEIGHTS
from rpm_stream.score.forecast.trace import APART, changes, enter
from rpm_stream.score.memory.forecasts import ForecastState, Issued, PersonalForecast

DAY: Final = 86_400
LONGEST_STEP: Final = 1800
"""Seconds that a value counts at most for the usual value, however long nothing came."""

OUTCOME_WITHIN: Final = 150
"""Seconds by which an outcome may lie beside the time that was forecast.

Half of the usual distance between two readings.
"""

LEAST_SPREAD: Final = 5.0
HOUR: Final = 3600


class Forecast(NamedTuple):
    """A forecast value with its interval."""

    minutes: int
    value: float
    low: float
    high: float


class Outlook(NamedTuple):
    """What one reading shows of the next hour.

    ``forecasts`` is empty for a reading that came less than ``APART`` after the last one that was
    forecast from. ``nearest`` is always there. ``chances`` are in the order of the table. ``over``
    are the changes against the values of an hour (``trace.LAGS``), of which ``known_seconds`` are
    known.
    """

    value: float
    forecasts: tuple[Forecast, ...]
    nearest: Forecast
    chances: tuple[float, ...]
    over: tuple[float, ...]
    known_seconds: int


class GlucoseForecaster:
    """The forecast of one vital, bound to its table. It holds no data of a person.

    >>> from rpm_stream.knowledge import shipped
    >>> forecaster = GlucoseForecaster(shipped().glucose_forecast)
    >>> kept = forecaster.begin("sensor")
    >>> for step in range(13):
    ...     outlook = forecaster.take(kept, 300 * step, 150.0 - 5 * step)
    >>> outlook.nearest
    Forecast(minutes=30, value=83.1, low=56.2, high=117.9)
    >>> [each.minutes for each in outlook.forecasts], outlook.chances
    ([30, 60], (0.0912, 0.0034))
    """

    def __init__(self, table: GlucoseForecast) -> None:
        self._table = table
        self._first = table.adapting
        self._horizons = tuple(HorizonForecast(row, table.adapting) for row in table.horizon)
        self._odds = tuple(
            (float(row.below), float(row.asked_below), [row.odds[name] for name in CHANCE_TERMS])
            for row in table.chance
        )
        self._usual_seconds = table.adapting.usual_days * DAY

    def begin(self, device: str) -> ForecastState:
        """Return the state of a person of whom nothing is known."""
        return ForecastState(
            device=device,
            times=[],
            values=[],
            usual=self._first.first_usual,
            spread=self._first.first_spread,
            issued=[],
            personal=[PersonalForecast([0.0] * len(WEIGHTS)) for _ in range(HORIZONS)],
        )

    def take(self, kept: ForecastState, at: int, value: float) -> Outlook:
        """Enter a reading that is not older than the last one, learn from it, and look ahead."""
        before = kept.times[-1] if kept.times else at
        enter(kept, at, round(value * 10))
        value = kept.values[-1] / 10
        is_step = not kept.issued or at - kept.issued[-1].at >= APART
        if is_step:
            self._learn(kept, at, value)
        outlook = self._look(kept, value, is_step)
        share = min(at - before, LONGEST_STEP) / self._usual_seconds
        kept.usual += share * (value - kept.usual)
        kept.spread += share * (abs(value - kept.usual) - kept.spread)
        return outlook

    def _look(self, kept: ForecastState, value: float, is_step: bool) -> Outlook:
        over = changes(kept.times, kept.values)
        level = value - kept.usual
        slope = over[2]
        known = min(kept.times[-1] - kept.times[0], HOUR)
        by = (*over, level, min(value - 100.0, 0.0), max(value - 200.0, 0.0), 1.0)
        errors = (
            log(max(kept.spread, LEAST_SPREAD)),
            log(max(value, 1.0)),
            max(slope, 0.0),
            max(-slope, 0.0),
            abs(over[6]),
            known / 60,
            1.0,
        )
        now = (value, level, slope)
        wanted = self._horizons if is_step else self._horizons[:1]
        found = [
            horizon.ahead(own, now, by, errors)
            for horizon, own in zip(wanted, kept.personal, strict=False)
        ]
        if is_step:
            self._issue(kept, level, slope, found)
        forecasts = tuple(map(self._rounded, wanted, found))
        return Outlook(
            value=value,
            forecasts=forecasts if is_step else (),
            nearest=forecasts[0],
            chances=self._chances(value, over[0], forecasts[0].value, found[0].error),
            over=tuple(over),
            known_seconds=known,
        )

    def _rounded(self, horizon: HorizonForecast, ahead: Ahead) -> Forecast:
        return Forecast(
            horizon.minutes,
            self._shown(ahead.value),
            self._shown(ahead.low),
            self._shown(ahead.high),
        )

    def _shown(self, number: float) -> float:
        """Return a number as a sensor would show it."""
        if number < self._table.lowest:
            return self._table.lowest
        return self._table.highest if number > self._table.highest else round(number, 1)

    def _chances(
        self, value: float, over_5: float, expected: float, error: float
    ) -> tuple[float, ...]:
        by: tuple[float, ...] = ()
        found = []
        for below, asked_below, odds in self._odds:
            if value < below:
                found.append(1.0)
            elif value >= asked_below:
                found.append(0.0)
            else:
                by = by or _chance_terms(value, over_5, expected, error)
                found.append(round(1.0 / (1.0 + exp(-weighted(odds, by))), 4))
        return tuple(found)

    def _issue(self, kept: ForecastState, level: float, slope: float, found: list[Ahead]) -> None:
        """Keep what was forecast until its outcome is known."""
        near, far = found
        at = kept.times[-1]
        kept.issued.append(
            Issued(
                at=at,
                value=kept.values[-1],
                level=round(level * 10),
                slope=round(slope * 10),
                changes=(round(near.change * 10), round(far.change * 10)),
                errors=(round(near.error * 10), round(far.error * 10)),
            )
        )
        oldest = at - self._horizons[-1].seconds - OUTCOME_WITHIN
        while kept.issued[0].at < oldest:
            del kept.issued[0]

    def _learn(self, kept: ForecastState, at: int, value: float) -> None:
        """Compare the value with what was forecast for this time, and learn from the error.

        The horizons take turns, because outcomes of two readings that follow each other are much
        the same.
        """
        kept.turn = (kept.turn + 1) % HORIZONS
        horizon = self._horizons[kept.turn]
        issued = kept.issued
        due = at - horizon.seconds
        place = bisect_left(issued, due - OUTCOME_WITHIN, key=_issued_at)
        if place < len(issued) and issued[place].at <= due + OUTCOME_WITHIN:
            horizon.learn(kept.personal[kept.turn], issued[place], kept.turn, value)


def _issued_at(issued: Issued) -> int:
    return issued.at


def _chance_terms(value: float, over_5: float, expected: float, error: float) -> tuple[float, ...]:
    return (
        expected,
        value,
        over_5,
        log(error),
        min(expected - 60.0, 0.0),
        min(expected - 75.0, 0.0),
        min(expected - 90.0, 0.0),
        min(expected - 110.0, 0.0),
        min(value - 75.0, 0.0),
        min(value - 80.0, 0.0),
        min(value - 90.0, 0.0),
        1.0,
    )
