"""Glucose that is expected to be low within half an hour, and forecasts of it as scores.

A finding needs a chance from the table's ``least`` on, at a reading that is not low itself (the
limits report that) and that does not rise. The alert's title names what is expected, and its
``why`` the chance and the forecast with its interval.

- *One alert for an event*: the findings are of the group of the glucose limits, so a value that
  becomes low joins the alert that predicted it.
- *None while the value rises again*: a reading that lies above that of 5 minutes ago finds nothing,
  nor does one of which no value of 5 minutes ago is known.
- *None from a jump*: a fall of more than ``most_fall`` in 5 minutes is mostly the sensor's.
- *A prediction never latches*: it is back when the chance is below ``withdraw``, and recovered when
  readings have shown that for the recovery time. A high prediction does not wait for a person
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
from rpm_stream.knowledge.forecasts import Chance
from rpm_stream.records import Finding, Key, PatientEntry, Reading, Score
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.forecast.glucose import GlucoseForecaster, Outlook
from rpm_stream.score.forecast.pressure import OR_PRESSURE, PRESSED_WORDS, is_pressed
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
LEAST_SECONDS = 300  # of a trace: of one value it is not known whether it rises
DETECTOR = "glucose_forecast"


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
                and (kept := self._followed(state, reading)) is not None
            ):
                number = self._numbers.of(reading)
                outlook = self._forecaster.take(kept, _seconds(reading), number)
                moment.scores += self._scores(reading, outlook)
                moment.findings += self._found(state, kept, reading, outlook)

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

    def _followed(self, state: ScoreState, reading: Reading) -> ForecastState | None:
        """Return the state of the sensor that is followed, or None if the reading is not of it."""
        kept = state.forecasts.get(self._vital)
        if kept is None:
            kept = state.forecasts[self._vital] = self._forecaster.begin(reading.device)
        elif kept.device != reading.device:
            if kept.times and _seconds(reading) - kept.times[-1] <= MOST_GAP:
                return None
            kept.device = reading.device
            kept.pressed_at = 0
        if kept.times and _seconds(reading) < kept.times[-1]:
            return None
        return kept

    def _found(
        self, state: ScoreState, kept: ForecastState, reading: Reading, outlook: Outlook
    ) -> Iterator[Finding]:
        found = None
        is_calm = True
        for row, chance in zip(self._table.chance, outlook.chances, strict=True):
            is_calm = is_calm and chance < row.withdraw
            if chance >= row.least and outlook.value >= float(row.below):
                found = (row, chance)  # the last one is the graver one
        note_calm(state, self._member, reading.measured_at, is_calm)
        pressed = is_pressed(self._table.pressure, kept, reading, outlook)
        if outlook.known_seconds < LEAST_SECONDS:
            return
        if found and -self._table.most_fall <= outlook.over[0] <= self._table.most_rise:
            why = self._why(reading, outlook, *found)
            yield self._finding(reading, found[0], why, pressed)

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

    def _why(self, reading: Reading, outlook: Outlook, row: Chance, chance: float) -> str:
        """Return the value, the chance and the forecast in the unit of the reading."""
        scale = self._words.whole(reading)
        ahead = self._words.number(scale, reading, outlook.nearest.value)
        low = self._words.number(scale, reading, outlook.nearest.low)
        high = self._words.number(scale, reading, outlook.nearest.high)
        return (
            f"{self._words.shown(reading)}: {round(100 * chance)} % chance that it falls below"
            f" {self._limit(reading, row)} within {row.minutes} minutes; about {ahead} in"
            f" {outlook.nearest.minutes} minutes, {low} to {high} (forecast)"
        )

    def _limit(self, reading: Reading, row: Chance) -> str:
        scale = self._words.whole(reading)
        return f"{self._words.number(scale, reading, float(row.below))}{scale.written}"

    def _finding(self, reading: Reading, row: Chance, why: str, pressed: bool) -> Finding:
        name = PRESSURE if pressed else row.name
        title = f"{self._row.display} may fall below {self._limit(reading, row)}"
        if pressed:
            title += OR_PRESSURE
            why += PRESSED_WORDS
        return Finding(
            kind="predicted",
            key=self._key,
            member=self._member,
            rule=f"{RULE}.{name}.{self._vital}@{self._table.version}",
            group=self._row.group,
            priority=self._knowledge.priorities.of(f"{RULE}.{name}"),
            title=title,
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
            direction="low",
        )


def _seconds(reading: Reading) -> int:
    return int(reading.measured_at.timestamp())
