"""Judge kept readings again: after an answer about oxygen, or after readings were taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.score.memory.history import (
    Placing,
    VitalHistory,
)
from rpm_stream.score.memory.retraction import forget_in
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limit_findings import (
    NO_LIMIT,
    LimitFindings,
    PlacedVerdict,
    alone,
    worst_of,
)
from rpm_stream.score.rules.limits import LimitTable
from rpm_stream.score.rules.oxygen import Oxygen
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2
from rpm_stream.score.rules.recovery import history_of


class LimitsAgain:
    """The limits over readings that are kept, bound to the tables."""

    def __init__(self, knowledge: Knowledge, oxygen: Oxygen, limits: LimitTable) -> None:
        self._oxygen = oxygen
        self._limits = limits
        self._findings = LimitFindings(knowledge)

    def on_oxygen(self, state: ScoreState, patient: PatientEntry) -> dict[str, bool]:
        """Whether each saturation that is kept on scale 2 counts as on oxygen, by id."""
        if not has_scale_2(patient):
            return {}
        kept = [
            history
            for history in (state.histories.get(SATURATION), state.on_oxygen)
            if history is not None
        ]
        return {
            segment.reading.id: bool(
                self._oxygen.points(patient, state.histories, segment.reading.measured_at)
            )
            for history in kept
            for segment in history.segments
            if segment.reading is not None
        }

    def again(
        self, state: ScoreState, patient: PatientEntry, answer: Reading, before: Mapping[str, bool]
    ) -> list[Finding]:
        """Judge again the saturations that count differently because of an answer about oxygen.

        ``before`` is how they counted before the answer. They count as late ones.
        """
        history = history_of(self._oxygen, state, patient, SATURATION, answer.measured_at)
        if history is None or not has_scale_2(patient):
            return []
        scale = self._oxygen.scale(patient, state.histories, answer.measured_at)
        since, until = reach = self._oxygen.reach(patient, state.histories, answer.measured_at)
        found: list[Finding | None] = []
        for index, segment in enumerate(history.segments):
            is_reached = (since is None or segment.end >= since) and (
                until is None or segment.start < until
            )
            is_reached &= segment.reading is not None and before.get(segment.reading.id) != (
                scale == "2 on oxygen"
            )
            verdict = (
                self._limits.judge(segment.reading, patient, scale)
                if segment.reading and is_reached
                else None
            )
            if verdict is not None and segment.reading is not None:
                seen = PlacedVerdict(
                    verdict, history, Placing(index, True, True), reach, is_sided=True
                )
                found += [
                    self._findings.finding(state, segment.reading, each, seen)
                    for each in verdict.breaches
                ]
        return worst_of(found)

    def forget(self, state: ScoreState, patient: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings of one vital from its history, or from both of a saturation."""
        vital = wrong[0].vital
        is_of_two = vital == SATURATION and has_scale_2(patient)
        places: tuple[tuple[VitalHistory | None, OxygenScale], ...] = (
            (state.histories.get(vital), "2 on air" if is_of_two else "1"),
            (state.on_oxygen if vital == SATURATION else None, "2 on oxygen"),
        )
        for history, scale in places:
            if history is not None:
                verdicts = [
                    (reading, self._limits.judge(reading, patient, scale)) for reading in wrong
                ]
                counted = [
                    each for each in verdicts if each[1] is not None or each[0].value is not None
                ]
                forget_in(
                    history, [alone(reading, verdict or NO_LIMIT) for reading, verdict in counted]
                )

    def standing(self, state: ScoreState, patient: PatientEntry, vital: str) -> list[Finding]:
        """The findings that the kept readings of a vital still show, oldest first.

        It is called after other readings of the vital were voided.
        """
        latest = state.latest.get(vital)
        history = (
            history_of(self._oxygen, state, patient, vital, latest.measured_at)
            if latest is not None
            else None
        )
        found: list[Finding] = []
        for index, segment in enumerate(history.segments if history is not None else ()):
            reading = segment.reading
            if history is None or reading is None or segment.level != "beyond":
                continue
            scale = (
                self._oxygen.scale(patient, state.histories, reading.measured_at)
                if vital == SATURATION
                else "1"
            )
            verdict = self._limits.judge(reading, patient, scale)
            if verdict is not None:
                seen = PlacedVerdict(
                    verdict, history, Placing(index, False, False), is_sided=scale != "1"
                )
                found += worst_of(
                    self._findings.finding(state, reading, each, seen) for each in verdict.breaches
                )
        return found
