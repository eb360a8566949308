"""The limits as a rule, which runs first.

It enters the readings of a moment into their histories, notes which came late, and finds what is
beyond a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.history import Placing, PlacingLevel, go_on
from rpm_stream.score.memory.state import Point, ScoreState, note_distance, note_distances
from rpm_stream.score.rules.limits_again import LimitsAgain
from rpm_stream.score.rules.limits_and_news2 import LimitJudge
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.oxygen_scale import SATURATION, has_scale_2
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.recovery import RecoveryRules
from rpm_stream.score.rules.stretch import Stretch

# with MOST_TRAIL of them a quarter of an hour is known at any time
TRAIL_EVERY = timedelta(minutes=3)
MOST_TRAIL = 6


class VitalRole(NamedTuple):
    """The fixed properties of a vital.

    ``is_scored``: it is on the NEWS2 chart. ``is_answer``: other vitals are counted by it.
    ``is_kept``: its newest reading is kept.
    """

    is_scored: bool
    is_answer: bool
    is_kept: bool


NO_PLAN = VitalRole(
    is_scored=False, is_answer=False, is_kept=False
)  # for a vital that is in no table


class LimitRule(MomentRule):
    """The limits, bound to the tables."""

    kind = "limit"
    source = ("limits.toml", "news2.toml", "maternity.toml", "child.toml", "vitals.toml")
    words = "A limit"

    def __init__(self, shared: RuleTables) -> None:
        self._judge = LimitJudge(shared.knowledge, shared.oxygen, shared.limits)
        self._again = LimitsAgain(shared.knowledge, shared.oxygen, shared.limits)
        self._recovery = RecoveryRules(shared.knowledge, shared.oxygen, shared.limits)
        self._chart = shared.chart
        kept = shared.knowledge.detectors.personal.vitals
        self._plans = {
            vital: VitalRole(
                is_scored=self._chart.knows(vital),
                is_answer=not self._chart.has_bands(vital),
                is_kept=vital in kept,
            )
            for vital in shared.knowledge.vitals
        }
        self._numbers = Numbers(shared.knowledge)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Update the histories and ``latest``, and add the findings of the moment.

        The moment also gets the places of its readings, and which of them came late.
        """
        entry = moment.entry
        for reading in moment.judged:
            vital = reading.vital
            at = reading.measured_at
            plan = self._plans.get(vital, NO_PLAN)
            before = self._again.on_oxygen(state, entry) if plan.is_answer else {}
            placing, found = self._judge.limits(state, reading, entry)
            moment.findings += found
            newest = state.latest.get(vital)
            if newest is not None:
                moment.gaps[vital] = abs((at - newest.measured_at).total_seconds())
            if newest is not None and at < newest.measured_at:
                moment.late.add(reading.id)
            elif placing or (
                reading.value is not None and (plan.is_kept or vital in entry.expected_every)
            ):
                note_distance(state, newest, reading)
                state.latest[vital] = reading
                self._note_trail(state, reading, placing)
            if placing is not None and plan.is_scored:
                moment.placings.append(placing)
                if plan.is_answer:
                    moment.findings += self._again.again(state, moment.entry, reading, before)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when all vitals stay at the level at which they are."""
        entry = stretch.entry
        until = FOREVER
        for vital, column in stretch.columns.items():
            plan = self._plans.get(vital, NO_PLAN)
            is_answer = plan.is_scored and plan.is_answer
            if is_answer or (vital == SATURATION and has_scale_2(entry)):
                return stretch.begin
            newest = state.latest.get(vital)
            is_kept = self._is_kept(state, entry, vital)
            # The first readings of a vital make its keys, in an order that is part of the state.
            if is_kept and (newest is None or vital not in state.distances):
                return stretch.begin
            if newest is not None and column.begin < newest.measured_at:
                return stretch.begin
            until = min(until, self._judge.calm_until(state, entry, column))
        return until

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Histories, distances, ``latest`` and trails move on."""
        for vital, column in stretch.columns.items():
            history = state.histories.get(vital)
            if history is not None:
                go_on(history, column.last, column.end, len(column.readings))
                self._note_trails(state, column)
            if self._is_kept(state, stretch.entry, vital):
                note_distances(state, state.latest[vital], column.readings)
                state.latest[vital] = column.last

    def _is_kept(self, state: ScoreState, entry: PatientEntry, vital: str) -> bool:
        """Whether the newest reading of the vital is kept, where it has no limit either."""
        plan = self._plans.get(vital, NO_PLAN)
        return plan.is_kept or vital in state.histories or vital in entry.expected_every

    def _note_trails(self, state: ScoreState, column: Column) -> None:
        trail = state.trail.get(column.vital)
        if not trail or column.end - trail[-1].at >= TRAIL_EVERY:
            for reading in column.readings:
                self._note_point(state, reading)

    def _note_trail(self, state: ScoreState, reading: Reading, placing: Placing | None) -> None:
        """Keep a value every few minutes, so that a trend is known from the first alert on."""
        if placing is not None and reading.value is not None:
            self._note_point(state, reading)

    def _note_point(self, state: ScoreState, reading: Reading) -> None:
        trail = state.trail.setdefault(reading.vital, [])
        if not trail or reading.measured_at - trail[-1].at >= TRAIL_EVERY:
            trail.append(Point(reading.measured_at, self._numbers.of(reading)))
            del trail[:-MOST_TRAIL]

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Whether the vital has been inside the side's recovery limit for its recovery time."""
        return self._recovery.recovered(
            state, entry, (held.vital, held.direction), held.measured_at
        )

    def is_back(self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView) -> bool:
        """Whether the newest value is inside the side's recovery limit."""
        return self._recovery.is_back(state, entry, (held.vital, held.direction), held.measured_at)

    def level(self, state: ScoreState, entry: PatientEntry, held: MemberView) -> PlacingLevel:
        """The level of the vital's newest value against the limits of the side."""
        return self._recovery.level(state, entry, (held.vital, held.direction))

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings from the vital's histories and trail, and from its counts."""
        self._again.forget(state, entry, wrong)
        vital = wrong[0].vital
        times = {reading.measured_at for reading in wrong}
        if vital in state.recent:
            state.recent[vital][:] = [one for one in state.recent[vital] if one.at not in times]
        if vital in state.trail:
            state.trail[vital] = [point for point in state.trail[vital] if point.at not in times]

    def standing(self, state: ScoreState, entry: PatientEntry, vital: str) -> list[Finding]:
        """The findings that the kept readings of a vital still show, oldest first."""
        return self._again.standing(state, entry, vital)

    def holds_unnamed(self, state: ScoreState, entry: PatientEntry, held: MemberView) -> bool:
        """Whether the vital ends with values beyond a limit of which only the time is kept."""
        return self._recovery.is_beyond_unnamed(state, entry, held.vital)
