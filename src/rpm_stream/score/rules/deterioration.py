"""The deterioration score of one moment: what is taken of its readings, and the record.

The score is written beside NEWS2 and opens no alert. It applies where NEWS2 applies. No person with
a prescribed target of 88 to 92 % is marked in the data of the model, so on scale 2 it does without
the saturation. Late readings are left out. A score is as of the time of its moment, so a value of a
device whose clock runs ahead does not count yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.deterioration import MEASURED
from rpm_stream.knowledge.registry import years_old
from rpm_stream.records import PatientEntry, Reading, Score
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.deterioration.features import Features
from rpm_stream.score.deterioration.hours import (
    EPOCH,
    HOUR,
    Hours,
    forget,
    hour_of,
    is_known,
)
from rpm_stream.score.deterioration.model import Model, Risk
from rpm_stream.score.deterioration.taking import Taker
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.state import ScoreState, emits
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.oxygen_scale import SATURATION, has_scale_2
from rpm_stream.score.rules.protocol import RuleTables
from rpm_stream.score.rules.stretch import Stretch

DETERIORATION: Final = "deterioration"
"""Its name in ``Score.detector``."""


class Deterioration:
    """The score, bound to the tables."""

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self._table = knowledge.deterioration
        self._chart = shared.chart
        self._oxygen = shared.oxygen
        self._numbers = Numbers(knowledge)
        self._taker = Taker(self._table)
        self._features = Features(self._table, knowledge.news2)
        self._model = Model(self._table)
        self._every = timedelta(minutes=self._table.every_minutes)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Take what is due of the moment, and add a score to ``moment.scores``."""
        due = [
            reading
            for reading in moment.judged
            if self._is_due(state, moment.entry, reading) and reading.id not in moment.late
        ]
        if not due or self._chart.exempt(moment.entry, due[0].measured_at):
            return
        at = due[0].measured_at
        hours = state.hours = state.hours or Hours()
        if has_scale_2(moment.entry):
            hours.courses.pop(SATURATION, None)
        numbers = {reading.vital: self._numbers.of(reading) for reading in due}
        self._taker.take(hours, at, numbers)
        known = _known(hours, at)
        if len(known) < self._table.least_series:
            return
        vector = self._features.vector(hours, hour_of(at), self._person(state, moment.entry, at))
        record = self._record(state, self._model.risk(vector), due[0], known)
        if record is not None:
            moment.scores.append(record)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when no value of the stretch is taken."""
        until = FOREVER
        exempt = self._chart.exempt
        # age moves one way, so what holds at both ends holds between
        if exempt(stretch.entry, stretch.begin) and exempt(
            stretch.entry, stretch.times.moments[-1]
        ):
            return until
        for vital, column in stretch.columns.items():
            if vital not in self._taker.series or _is_left_out(stretch.entry, vital):
                continue
            if self._taker.is_due(state.hours or None, vital, column.begin):
                return stretch.begin
            course = (state.hours or Hours()).courses[self._taker.series[vital]]
            next_hour = EPOCH + (course.hours[-1] + 1) * HOUR
            until = min(until, course.taken + self._every, next_hour)
        return until

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Nothing: no value of a calm stretch is taken."""

    def forget(self, state: ScoreState, wrong: Sequence[Reading]) -> None:
        """Drop the hours in which readings of a vital were voided."""
        series = self._taker.series.get(wrong[0].vital)
        if series is not None and state.hours:
            forget(state.hours, series, [reading.measured_at for reading in wrong])

    def _is_due(self, state: ScoreState, entry: PatientEntry, reading: Reading) -> bool:
        return (
            reading.vital in self._taker.series
            and reading.value is not None
            and not _is_left_out(entry, reading.vital)
            and self._taker.is_due(state.hours or None, reading.vital, reading.measured_at)
        )

    def _person(self, state: ScoreState, entry: PatientEntry, at: datetime) -> dict[str, float]:
        """Return what is known of the person: NEWS2's points of oxygen, and the age in years."""
        points = self._oxygen.points(entry, state.histories, at)
        years = years_old(entry, at)
        person = {} if points is None else {"oxygen": float(points)}
        return person if years is None else {**person, "age": float(years)}

    def _record(
        self, state: ScoreState, risk: Risk, first: Reading, known: Sequence[str]
    ) -> Score | None:
        table = self._table
        hours = state.hours or Hours()
        if not emits(state, DETERIORATION, first.measured_at, f"{risk.probability:.4f}"):
            return None
        newest = (
            state.latest[vital]
            for vital, name in self._taker.series.items()
            if name in known
            and vital in state.latest
            and hours.courses[name].taken == state.latest[vital].measured_at
        )
        return Score(
            id=deterministic_id("score", f"{DETERIORATION}@{table.version}", first.id),
            patient=first.patient,
            readings=tuple(reading.id for reading in newest),
            vital=None,
            value=None,
            detector=DETERIORATION,
            version=table.version,
            score=risk.probability,
            score_min=risk.probability,
            score_max=risk.probability,
            missing=tuple(name for name in MEASURED if name not in known),
            threshold=table.alarm_from,
            contributions=risk.parts,
            limits={
                "horizon_hours": table.horizon_hours,
                "alarms": table.thresholds,
                "intercept": table.intercept,
            },
            measured_at=first.measured_at,
        )


def _known(hours: Hours, at: datetime) -> tuple[str, ...]:
    """Return the series with a value of the last 24 hours."""
    now = hour_of(at)
    courses = hours.courses
    return tuple(name for name in MEASURED if name in courses and is_known(courses[name], now))


def _is_left_out(entry: PatientEntry, vital: str) -> bool:
    """Whether the model does without a vital of this person."""
    return vital == SATURATION and has_scale_2(entry)
