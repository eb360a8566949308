"""The verb score for one moment of one patient: limits, NEWS2 and detectors in order, and all that they found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from rpm_stream.alert.episode import Member
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import Patient, PatientState
from rpm_stream.records import Finding, PatientEntry, Reading, Score, Total
from rpm_stream.registry import Registry
from rpm_stream.score.history import Level, Placing
from rpm_stream.score.lasting import pauses_learning
from rpm_stream.score.learned import Learned
from rpm_stream.score.learning import Numbers, Paused
from rpm_stream.score.news2 import SATURATION, Scale
from rpm_stream.score.quality import Quality
from rpm_stream.score.rates import Rates
from rpm_stream.score.rules import Rules
from rpm_stream.score.same import Same
from rpm_stream.score.state import Point, ScoreState, note_distance
from rpm_stream.score.total import NEWS2, Totals
from rpm_stream.score.trends import Trends

SCORE_EVERY = timedelta(minutes=5)  # an unchanged NEWS2 is looked at this often
TRAIL_EVERY = timedelta(minutes=3)  # with MOST_TRAIL of them a quarter of an hour is known at any time
MOST_TRAIL = 6
LIMIT = "limit:"  # how the name of a member begins that a limit holds


class Moment(msgspec.Struct, gc=False):
    """One moment on its way. ``judged``: readings that say something of the patient; ``late``: ids among them;
    ``also_seen``: readings that tell again of a measurement that is known, and are judged no second time. ``gaps``:
    seconds to the newest reading of a vital before.
    """

    patient: Patient
    entry: PatientEntry
    judged: list[Reading]
    findings: list[Finding] = []
    scores: list[Score] = []
    placings: list[Placing] = []
    late: set[str] = set()
    total: Total | None = None  # NEWS2, where this moment may have changed it
    also_seen: list[Reading] = []
    gaps: dict[str, float] = {}

    @property
    def apart(self) -> float | None:
        """Seconds since the reading before, of the vital where that is shortest; None where none is known."""
        gaps = [
            (reading.measured_at - each.before).total_seconds()
            for reading in self.judged[:1]
            for each in self.placings
            if each.before is not None
        ]
        return min(gaps, default=None)


class Scoring:
    """Everything that looks at a reading and finds something; tables in, one call a moment."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._never_judged, self._vitals = knowledge.signal.never_judged, knowledge.vitals
        self._kept = knowledge.detectors.personal.vitals
        self._rules, self._learned, self._numbers = Rules(knowledge, registry), Learned(knowledge), Numbers(knowledge)
        self._recovery, self._totals = self._rules.recovery, Totals(knowledge, self._rules.chart)
        self._calm_for, self._same = timedelta(minutes=knowledge.limits.recovery_minutes), Same(knowledge)
        self._quality, self._trends, self._rates = Quality(knowledge), Trends(knowledge), Rates(knowledge)

    def instant(self, patient: Patient, entry: PatientEntry, readings: Sequence[Reading]) -> Moment:
        """Score all readings of one moment; the patient's score state moves on."""
        judged = [reading for reading in readings if not reading.flags or self._is_judged(reading)]
        moment = Moment(patient=patient, entry=entry, judged=judged)
        if also := self._same.also_seen(patient.state.score, judged):
            moment.also_seen = also
            again = {reading.id for reading in also}
            moment.judged = judged = [reading for reading in judged if reading.id not in again]
        self._limits(moment)
        if judged and self._needs_news2(patient.state, moment.placings, judged[0]):
            scores, findings = self._totals.look(patient.state.score, judged, moment.placings, entry)
            moment.scores += scores
            moment.findings += findings
            moment.total = patient.state.score.total
        self._detect(moment)
        for finding in self._trends.look(patient.state.score, judged, moment.late, entry):
            moment.findings.append(msgspec.structs.replace(finding, apart=moment.gaps.get(finding.vital)))
        moment.findings += self._rates.look(patient.state.score, judged, moment.late)
        moment.findings = self._quality.look(patient.state.score, judged, moment.findings)
        return moment

    def _is_judged(self, reading: Reading) -> bool:
        """Whether a reading states something of the patient now. A weight of an unknown user may be anybody's."""
        if not self._never_judged.isdisjoint(reading.flags):
            return False
        return "user_unknown" not in reading.flags or not self._vitals[reading.vital].by_user

    # --- what has recovered: a member's name says by what it is held -------------------------------------------------

    def recovered(self, state: PatientState, entry: PatientEntry, name: str, member: Member) -> bool:
        """Whether a member has been back inside for its recovery time, by readings."""
        if name == NEWS2:
            return self._totals.recovered(state.score)
        if name.startswith(LIMIT):
            of = (member.vital, member.direction)
            return self._recovery.recovered(state.score, entry, of, member.measured_at)
        calm = state.score.calm.get(name)
        return calm is not None and calm.until - calm.since >= self._calm_for

    def is_back(self, state: PatientState, entry: PatientEntry, name: str, member: Member) -> bool:
        """Whether newer readings than those that rang are back inside already, for however short a time."""
        if name == NEWS2:
            return self._totals.is_back(state.score, entry)
        if name.startswith(LIMIT):
            of = (member.vital, member.direction)
            return self._recovery.is_back(state.score, entry, of, member.measured_at)
        calm = state.score.calm.get(name)
        return calm is not None and calm.until > member.measured_at

    def level(self, state: PatientState, entry: PatientEntry, name: str, member: Member) -> Level:
        """Where the newest value of a member stands to its limit; of what is learned that is no news.

        A trend's is where the trend rang with it: between there and calm it is as good as inside, so that what hovers
        about the trend's bound tells nothing at each turn.
        """
        if name == NEWS2:
            return "beyond" if state.score.total is not None and state.score.total.priority else "inside"
        if name.startswith(LIMIT):
            return self._recovery.level(state.score, entry, (member.vital, member.direction))
        latest, newest = state.score.latest.get(member.vital), member.newest
        rings = latest is not None and newest is not None and newest.measured_at == latest.measured_at
        return "beyond" if rings and newest is not None and newest.number else "inside"

    def scale(self, state: PatientState, entry: PatientEntry, reading: Reading) -> Scale:
        """The scale by which a reading counts: other than 1 only for a saturation."""
        if reading.vital != SATURATION:
            return "1"
        return self._rules.chart.scale(entry, state.score.histories, reading.measured_at)

    def standing(self, patient: Patient, entry: PatientEntry, vital: str) -> list[Finding]:
        """What the kept readings of a vital are beyond, oldest first: after others of them were taken back."""
        return self._rules.standing(patient.state.score, entry, vital)

    def is_beyond_unnamed(self, state: PatientState, entry: PatientEntry, vital: str) -> bool:
        """Whether a vital ends with values beyond a limit of which only the time is kept."""
        return self._recovery.is_beyond_unnamed(state.score, entry, vital)

    def forget(self, state: PatientState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Take readings of one vital that were taken back out of its history and its days: those that were judged."""
        judged = [reading for reading in wrong if not reading.flags or self._is_judged(reading)]
        if judged:
            self._rules.forget(state.score, entry, judged)
            self._trends.forget(state.score, judged)

    def renew_total(self, state: PatientState, entry: PatientEntry) -> None:
        """NEWS2 as it is after readings were taken back."""
        self._totals.renew(state.score, entry)

    def _limits(self, moment: Moment) -> None:
        """Histories and ``latest`` move on; findings, where the readings lie, and which of them came late."""
        state = moment.patient.state.score
        expected = moment.entry.expected_every
        for reading in moment.judged:
            is_answer = not self._rules.chart.has_bands(reading.vital)
            before = self._rules.on_oxygen(state, moment.entry) if is_answer else {}
            placing, found = self._rules.limits(state, reading, moment.entry)
            moment.findings += found
            newest = state.latest.get(reading.vital)
            if newest is not None:
                moment.gaps[reading.vital] = abs((reading.measured_at - newest.measured_at).total_seconds())
            if newest is not None and reading.measured_at < newest.measured_at:
                moment.late.add(reading.id)
            elif placing or (reading.value is not None and (reading.vital in self._kept or reading.vital in expected)):
                note_distance(state, newest, reading)
                state.latest[reading.vital] = reading
                self._note_trail(state, reading, placing)
            if placing is not None and self._rules.chart.knows(reading.vital):
                moment.placings.append(placing)
                if is_answer:
                    moment.findings += self._rules.again(state, moment.entry, reading, before)

    def _note_trail(self, state: ScoreState, reading: Reading, placing: Placing | None) -> None:
        """Keep a value every few minutes, so that a trend is known from the first alert on."""
        if placing is None or reading.value is None:
            return
        trail = state.trail.setdefault(reading.vital, [])
        if not trail or reading.measured_at - trail[-1].at >= TRAIL_EVERY:
            trail.append(Point(reading.measured_at, self._numbers.of(reading)))
            del trail[:-MOST_TRAIL]

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
