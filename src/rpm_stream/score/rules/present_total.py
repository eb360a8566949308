"""The present NEWS2 of a patient, and whether it is calm."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.records import PatientEntry, Total
from rpm_stream.score.memory.state import ScoreState, note_calm
from rpm_stream.score.rules.news2_findings import NEWS2, News2Findings, news2_words, title_of
from rpm_stream.score.rules.news2_score import OXYGEN, Histories, News2Score, News2Scorer
from rpm_stream.score.rules.protocol import RuleTables


class PresentTotal:
    """Keeps the present NEWS2 in a patient's state, bound to the tables."""

    def __init__(self, shared: RuleTables, scorer: News2Scorer, findings: News2Findings) -> None:
        self._chart = shared.chart
        self._oxygen = shared.oxygen
        self._scorer = scorer
        self._findings = findings

    def note_exempt(self, state: ScoreState, patient: PatientEntry, at: datetime) -> None:
        """Drop the present total where NEWS2 no longer applies, and count the time as calm."""
        if self._chart.exempt(patient, at):
            state.total = None
            state.breach_parts = ()
            note_calm(state, NEWS2, at, calm=True)

    def note(
        self, state: ScoreState, score: News2Score, at: datetime, patient: PatientEntry
    ) -> None:
        """Keep the present NEWS2.

        It is calm below its limit as long as the parts that gave points are known.
        """
        priority = self._findings.priority(score)
        note_calm(state, NEWS2, at, priority is None and self._is_calm(state, score, at, patient))
        given = {name: reading for name, reading in score.readings.items() if score.points[name]}
        ranked = sorted(given.items(), key=lambda part: (-score.points[part[0]], part[0]))
        state.total = Total(
            at=at,
            minimum=score.score_min,
            maximum=score.score_max,
            priority=priority,
            title=title_of(score),
            why=news2_words(score),
            evidence=tuple(reading.id for _, reading in ranked),
            vitals=tuple(reading.vital for _, reading in ranked),
        )

    def _is_calm(
        self, state: ScoreState, score: News2Score, at: datetime, patient: PatientEntry
    ) -> bool:
        """Whether a score below the limit is calm: each part that gave points is known.

        These are the parts that gave points at the breach. Oxygen needs no new answer. But an
        answer that has aged takes no points away, so it still counts.
        """
        if not set(state.breach_parts) - {OXYGEN} <= set(score.points):
            return False
        if OXYGEN not in state.breach_parts or not self._oxygen.is_still_on_oxygen(
            patient, state.histories, at
        ):
            return True
        histories = Histories(state.histories, state.on_oxygen)
        return (
            self._scorer.minimum_on_oxygen(score, histories, at, patient)
            < self._chart.news2.medium_from
        )

    def renew(self, state: ScoreState, patient: PatientEntry) -> None:
        """Compute the present NEWS2 after readings were voided."""
        times = [
            state.latest[vital].measured_at for vital in self._chart.vitals if vital in state.latest
        ]
        score = (
            self._scorer.score(Histories(state.histories, state.on_oxygen), max(times), patient)
            if times
            else None
        )
        state.total = None
        if score is not None:
            state.breach_parts = tuple(name for name in state.breach_parts if name in score.points)
            self.note(state, score, max(times), patient)

    def is_back(self, state: ScoreState, patient: PatientEntry) -> bool:
        """Whether NEWS2 is below its limit by newer readings of all parts that gave points."""
        calm = state.calm.get(NEWS2)
        breach_at = state.breach_at
        if calm is None or breach_at is None:
            return False
        if self._chart.exempt(patient, calm.until):
            return calm.until > breach_at
        score = self._scorer.score(Histories(state.histories, state.on_oxygen), calm.until, patient)
        return score is not None and all(
            name in score.until and score.until[name] > breach_at
            for name in state.breach_parts
            if name != OXYGEN
        )
