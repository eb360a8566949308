"""Glucose that is expected to be low within half an hour, and forecasts of it as scores.

A finding needs a chance from the table's ``least`` on, at a reading that is not low itself (the
limits report that) and that does not rise. The alert's title names what is expected, and its
``why`` the chance and the forecast with its interval.

- *One alert for an event*: the findings are of the group of the glucose limits, so a value that
  becomes low joins the alert that foretold it.
- *None while the value rises again*: a reading that lies above that of 5 minutes ago finds nothing.
- *A prediction never latches*: it is back when the chance is below ``withdraw``, and recovered when
  readings have shown that for the recovery time. A high prediction waits for nobody
  (``waits_for_a_person``), so it resolves and is never over.
- *Pressure on the sensor*: a sudden fall at night after a steady hour is named as such, at low
  priority. The limits report a value that is low, whatever made it so.

Readings that came late are not forecast from and not learned. Where two sensors send, the forecast
follows the one that it knows, until that one is silent for ``MOST_GAP`` (``forecast/trace.py``).
Of readings at one time the last one counts. Finger-stick values (vital ``glucose``) are too rare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.forecasts import Chance, PressureTable
from rpm_stream.records import Finding, Key, PatientEntry, Priority, Reading, Score
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.forecast.glucose import GlucoseForecaster, Outlook
from rpm_stream.score.forecast.trace import MOST_GAP, forget
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.forecasts import ForecastState
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState, note_calm
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch

RULE = "predicted"
PRESSURE = "pressure"
DETECTOR = "glucose_forecast"
STEADY_SECONDS = 3540  # so much of the trace must be known to call an hour steady


class PredictedGlucose(MomentRule):
    """The forecast and its rule, bound to the tables."""

    kind = "predicted"
    source = ("glucose_forecast.toml",)
    words = "A value that is expected within the hour"
    waits_for_a_person = False

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self.calm_for = timedelta(minutes=knowledge.limits.recovery_minutes)
        self._knowledge = knowledge
        self._table = knowledge.glucose_forecast
        self._vital = self._table.vital
        self._row = knowledge.vitals[self._vital]
        self._forecaster = GlucoseForecaster(self._table)
        self._numbers = Numbers(knowledge)
        self._words = UsualWords(knowledge)
        self._key = Key(vital=self._vital)
        self._member = member_name("predicted", self._key)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Forecast from the readings of the vital, and add what is expected to be low."""
        for reading in moment.judged:
            if (
                reading.vital == self._vital
                and reading.value is not None
                and reading.id not in moment.late
            ):
                self._take(state, moment, reading)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """To its end where the vital is not among the readings."""
        return stretch.begin if self._vital in stretch.columns else FOREVER

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """A stretch without the vital changes nothing."""

    def pauses_learning(self, key: Key) -> bool:
        """Never: the values themselves are inside their limits."""
        return False

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings from the trace, and what was forecast from them."""
        kept = state.forecasts.get(wrong[0].vital)
        if kept is not None:
            forget(kept, {_seconds(reading) for reading in wrong})

    # --- one reading ------------------------------------------------------------------------------

    def _take(self, state: ScoreState, moment: Moment, reading: Reading) -> None:
        kept = self._followed(state, reading)
        if kept is None:
            return
        outlook = self._forecaster.take(kept, _seconds(reading), self._numbers.of(reading))
        moment.scores += self._scores(reading, outlook)
        chances = list(zip(self._table.chance, outlook.chances, strict=True))
        is_calm = all(chance < row.withdraw for row, chance in chances)
        note_calm(state, self._member, reading.measured_at, is_calm)
        is_pressed = self._is_pressed(kept, reading, outlook)
        if outlook.over[0] > self._table.most_rise:
            return
        found = [
            (row, chance)
            for row, chance in chances
            if row.least <= chance and outlook.value >= float(row.below)
        ]
        if found:
            moment.findings.append(self._finding(reading, outlook, found[-1], is_pressed))

    def _followed(self, state: ScoreState, reading: Reading) -> ForecastState | None:
        """Return the state of the sensor that is followed, or None if the reading is not of it."""
        at = _seconds(reading)
        kept = state.forecasts.get(self._vital)
        if kept is None:
            kept = state.forecasts[self._vital] = self._forecaster.begin(reading.device)
        elif kept.times and at < kept.times[-1]:
            return None
        elif kept.device != reading.device:
            if kept.times and at - kept.times[-1] <= MOST_GAP:
                return None
            kept.device = reading.device
        return kept

    # --- what is put out --------------------------------------------------------------------------

    def _scores(self, reading: Reading, outlook: Outlook) -> Iterator[Score]:
        for forecast in outlook.forecasts:
            name = f"{DETECTOR}_{forecast.minutes}"
            yield Score(
                id=deterministic_id("score", name, reading.id),
                patient=reading.patient,
                readings=(reading.id,),
                vital=reading.vital,
                value=reading.value,
                detector=name,
                version=self._table.version,
                score=forecast.value,
                score_min=forecast.low,
                score_max=forecast.high,
                measured_at=reading.measured_at,
            )

    def _finding(
        self, reading: Reading, outlook: Outlook, found: tuple[Chance, float], is_pressed: bool
    ) -> Finding:
        row, chance = found
        nearest = outlook.nearest
        scale = self._words.scale(reading)
        limit = f"{self._words.number(scale, reading, float(row.below))}{scale.written}"
        ahead, low, high = (
            self._words.number(scale, reading, each)
            for each in (nearest.value, nearest.low, nearest.high)
        )
        why = (
            f"{self._words.shown(reading)}, a chance of {round(100 * chance)} % that it falls below"
            f" {limit} within {row.minutes} minutes: about {ahead} in {nearest.minutes} minutes,"
            f" {low} to {high} (forecast)"
        )
        title = f"{self._row.display} may fall below {limit}"
        name = row.name
        if is_pressed:
            name = PRESSURE
            title = f"{title}, or pressure on the sensor"
            why = f"{why}; a sudden fall after a steady hour at night, as when a person lies on it"
        priority: Priority = self._knowledge.priorities.of(f"{RULE}.{name}")
        return Finding(
            kind="predicted",
            key=self._key,
            member=self._member,
            rule=f"{RULE}.{name}.{self._vital}@{self._table.version}",
            group=self._row.group,
            priority=priority,
            title=title,
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
            direction="low",
        )

    def _is_pressed(self, kept: ForecastState, reading: Reading, outlook: Outlook) -> bool:
        """Return whether the sensor may be pressed, now or a short while ago."""
        table = self._table.pressure
        over_10, over_30, over_60 = outlook.over[1], outlook.over[4], outlook.over[6]
        at = _seconds(reading)
        if (
            over_10 <= -table.by
            and abs(over_30 - over_10) <= table.steady_20
            and abs(over_60 - over_10) <= table.steady_50
            and outlook.known_seconds >= STEADY_SECONDS
            and _is_night(reading, table)
        ):
            kept.pressed_at = at
        return at - kept.pressed_at <= table.hold_minutes * 60


def _seconds(reading: Reading) -> int:
    return int(reading.measured_at.timestamp())


def _is_night(reading: Reading, table: PressureTable) -> bool:
    hour = (reading.measured_at + _offset(reading.utc_offset)).hour
    if table.from_hour > table.to_hour:
        return hour >= table.from_hour or hour < table.to_hour
    return table.from_hour <= hour < table.to_hour


def _offset(written: str | None) -> timedelta:
    """Return the distance of local time from UTC; none where the offset is not known."""
    if written is None or written == "Z":
        return timedelta(0)
    offset = timedelta(hours=int(written[1:3]), minutes=int(written[4:6]))
    return -offset if written[0] == "-" else offset
