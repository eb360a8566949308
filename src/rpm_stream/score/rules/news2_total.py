"""The rule for NEWS2 over one instant of one patient: its records, findings and present total."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rpm_stream.records import Finding, PatientEntry, Reading, Score
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.history import Placing, PlacingLevel
from rpm_stream.score.memory.state import ScoreState, note_calm_for
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.news2_findings import NEWS2, News2Findings
from rpm_stream.score.rules.news2_score import Histories, News2Score, News2Scorer
from rpm_stream.score.rules.oxygen import ANSWER_BEFORE
from rpm_stream.score.rules.present_total import PresentTotal
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch

GROUP = "vital_signs"  # the group of its vitals
SCORE_EVERY = timedelta(minutes=5)  # how often an unchanged score is computed


class Totals(MomentRule):
    """NEWS2, bound to the tables."""

    kind = "news2"
    source = ("news2.toml", "limits.toml")
    words = "NEWS2, the score of all vital signs together"

    def __init__(self, shared: RuleTables) -> None:
        self.chart = shared.chart
        self._scorer = News2Scorer(shared.chart, shared.oxygen)
        self._findings = News2Findings(shared.knowledge)
        self._present = PresentTotal(shared, self._scorer, self._findings)
        self._recovery = timedelta(minutes=shared.knowledge.limits.news2_recovery_minutes)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Score the moment where that is needed.

        It is if the score can have changed, if an alert depends on it, or if no score was written
        for long.
        """
        if not (moment.judged and self._is_needed(state, moment)):
            return
        scores, findings = self.scored(state, moment.judged, moment.placings, moment.entry)
        moment.scores += scores
        moment.findings += findings
        moment.total = state.total

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """The moment at which an unchanged score is written again."""
        if not any(map(self.chart.knows, stretch.columns)):
            return FOREVER
        emitted = state.emitted.get(NEWS2)
        if emitted is not None:
            return emitted.at + SCORE_EVERY
        is_noted = state.total is None and not state.breach_parts and NEWS2 in state.calm
        return FOREVER if is_noted and self._is_exempt(stretch) else stretch.begin

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Where NEWS2 does not apply it is calm at each moment that brings a vital of it."""
        if state.emitted.get(NEWS2) is None:
            scored = [each for each in stretch.columns.values() if self.chart.knows(each.vital)]
            if scored:
                since = min(each.begin for each in scored)
                note_calm_for(state, NEWS2, since, max(each.end for each in scored))

    def _is_exempt(self, stretch: Stretch) -> bool:
        """Whether NEWS2 does not apply to the last moment, so that it does not to those before:
        age moves one way.
        """
        entry = stretch.entry
        end = stretch.times.moments[-1]
        return bool(self.chart.exempt(entry, end)) and bool(self.chart.exempt(entry, stretch.begin))

    def _is_needed(self, state: ScoreState, moment: Moment) -> bool:
        if not moment.placings:
            return False
        emitted = state.emitted.get(NEWS2)
        return (
            emitted is None
            or any(placing.changed for placing in moment.placings)
            or GROUP in moment.open_groups
            or moment.judged[0].measured_at - emitted.at >= SCORE_EVERY
        )

    def scored(
        self,
        state: ScoreState,
        instant: Sequence[Reading],
        placings: Sequence[Placing],
        patient: PatientEntry,
    ) -> tuple[list[Score], list[Finding]]:
        """NEWS2 as of the instant, and at each moment that a late reading or an answer reaches."""
        # only vitals on the chart count
        instant = [reading for reading in instant if self.chart.knows(reading.vital)]
        at = instant[0].measured_at
        scores: list[Score] = []
        findings: list[Finding] = []
        histories = Histories(state.histories, state.on_oxygen)
        moments = self._moments(state, instant, placings)
        score: News2Score | None = None
        for moment in moments:
            score = self._scorer.score(histories, moment, patient)
            if score is None:
                self._present.note_exempt(state, patient, moment)
                continue
            if moment == at and (record := self._findings.record(state, score, instant)):
                scores.append(record)
            if finding := self._findings.finding(
                score, moment, instant, late=moment != moments[-1]
            ):
                findings.append(finding)
                state.breach_parts = tuple(name for name, points in score.points.items() if points)
                state.breach_at = max(moment, state.breach_at or moment)
        newest = moments[-1]
        # all readings of the instant are late: the present NEWS2 is as of the newest reading
        if state.total is not None and state.total.at > newest:
            newest = state.total.at
            score = self._scorer.score(histories, newest, patient)
        if score is not None:
            self._present.note(state, score, newest, patient)
        return scores, findings

    def _moments(
        self, state: ScoreState, instant: Sequence[Reading], placings: Sequence[Placing]
    ) -> list[datetime]:
        at = instant[0].measured_at
        if not any(placing.changed for placing in placings):
            return [at]
        moments = [at, *self._scorer.later_changes(state.histories, at)]
        # an answer about oxygen also counts for some time before it
        if any(not self.chart.has_bands(reading.vital) for reading in instant):
            earlier = self._scorer.later_changes(state.histories, at - ANSWER_BEFORE)
            moments = [*(moment for moment in earlier if moment < at), *moments]
        return moments

    def renew(self, state: ScoreState, entry: PatientEntry) -> None:
        """Compute the present NEWS2 after readings were voided."""
        self._present.renew(state, entry)

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Whether NEWS2 has been below its limit for its recovery time, by readings."""
        calm = state.calm.get(NEWS2)
        breach_at = state.breach_at
        if calm is None:
            return False
        return (
            calm.until - (calm.since if breach_at is None else max(calm.since, breach_at))
            >= self._recovery
        )

    def level(self, state: ScoreState, entry: PatientEntry, held: MemberView) -> PlacingLevel:
        """Return ``beyond`` if NEWS2 is at its limit or above."""
        return "beyond" if state.total is not None and state.total.priority else "inside"

    def is_back(self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView) -> bool:
        """Whether NEWS2 is below its limit by newer readings.

        Each part that gave points at the breach must have a newer one.
        """
        return self._present.is_back(state, entry)
