"""The verb score for one moment of one patient: limits, NEWS2 and detectors in order, and all that they found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import Patient, PatientState
from rpm_stream.records import Finding, PatientEntry, Reading, Score
from rpm_stream.registry import Registry
from rpm_stream.score.history import Placing
from rpm_stream.score.lasting import pauses_learning
from rpm_stream.score.learned import Learned
from rpm_stream.score.learning import Paused
from rpm_stream.score.quality import Quality
from rpm_stream.score.rates import Rates
from rpm_stream.score.rules import Rules
from rpm_stream.score.state import note_distance
from rpm_stream.score.trends import Trends

SCORE_EVERY = timedelta(minutes=5)  # an unchanged NEWS2 is looked at this often


class Moment(msgspec.Struct, gc=False):
    """One moment on its way. ``judged``: readings that say something of the patient; ``late``: ids among them."""

    patient: Patient
    entry: PatientEntry
    judged: list[Reading]
    findings: list[Finding] = []
    scores: list[Score] = []
    placings: list[Placing] = []
    late: set[str] = set()


class Scoring:
    """Everything that looks at a reading and finds something; tables in, one call a moment."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._never_judged, self._vitals = knowledge.signal.never_judged, knowledge.vitals
        self._kept = knowledge.detectors.personal.vitals
        self._rules, self._learned = Rules(knowledge, registry), Learned(knowledge)
        self._quality, self._trends, self._rates = Quality(knowledge), Trends(knowledge), Rates(knowledge)

    def instant(self, patient: Patient, entry: PatientEntry, readings: Sequence[Reading]) -> Moment:
        """Score all readings of one moment; the patient's score state moves on."""
        judged = [reading for reading in readings if not reading.flags or self._is_judged(reading)]
        moment = Moment(patient=patient, entry=entry, judged=judged)
        self._limits(moment)
        if judged and self._needs_news2(patient.state, moment.placings, judged[0]):
            scores, findings = self._rules.news2(patient.state.score, judged, moment.placings, entry)
            moment.scores += scores
            moment.findings += findings
        self._detect(moment)
        moment.findings += self._trends.look(patient.state.score, judged, moment.late, entry)
        moment.findings += self._rates.look(patient.state.score, judged, moment.late)
        moment.findings = self._quality.look(patient.state.score, judged, moment.findings)
        return moment

    def _is_judged(self, reading: Reading) -> bool:
        """Whether a reading states something of the patient now. A weight of an unknown user may be anybody's."""
        if not self._never_judged.isdisjoint(reading.flags):
            return False
        return "user_unknown" not in reading.flags or not self._vitals[reading.vital].by_user

    def recovered(self, patient: Patient, member: str, vital: str) -> bool:
        """Whether a member has been inside its recovery limit for its recovery time, by readings."""
        return self._rules.recovered(patient.state.score, member, vital)

    def _limits(self, moment: Moment) -> None:
        """Histories and ``latest`` move on; findings, where the readings lie, and which of them came late."""
        state = moment.patient.state.score
        expected = moment.entry.expected_every
        for reading in moment.judged:
            placing, found = self._rules.limits(state, reading, moment.entry)
            moment.findings += found
            newest = state.latest.get(reading.vital)
            if newest is not None and reading.measured_at < newest.measured_at:
                moment.late.add(reading.id)
            elif placing or (reading.value is not None and (reading.vital in self._kept or reading.vital in expected)):
                note_distance(state, newest, reading)
                state.latest[reading.vital] = reading
            if placing is not None and self._rules.chart.knows(reading.vital):
                moment.placings.append(placing)

    def _needs_news2(self, state: PatientState, placings: Sequence[Placing], first: Reading) -> bool:
        """Whether the score can have changed, is part of an open episode, or was not put out for a while."""
        if not placings:
            return False
        emitted = state.score.emitted.get("news2")
        return (
            emitted is None
            or any(placing.changed for placing in placings)
            or "vital_signs" in state.episodes
            or first.measured_at - emitted.at >= SCORE_EVERY
        )

    def _detect(self, moment: Moment) -> None:
        state, live = moment.patient.state, moment.patient.detectors
        since = {group: each.since for group, each in state.episodes.items() if any(map(pauses_learning, each.members))}
        paused = Paused(since=since, accepted=state.score.accepted)
        for score, finding in self._learned.instant(state.score, live, moment.judged, moment.late, paused):
            if score is not None:
                moment.scores.append(score)
            if finding is not None:
                moment.findings.append(finding)
