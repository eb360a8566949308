"""The rule for NEWS2 over one instant of one patient: its records, findings and present total."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from rpm_stream.ids import deterministic_id
from rpm_stream.records import Finding, Key, PatientEntry, Priority, Reading, Score, Total
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.history import Placing, PlacingLevel
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState, emits, note_calm, note_calm_for
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.news2_score import OXYGEN, Histories, News2Score, News2Scorer
from rpm_stream.score.rules.oxygen import ANSWER_BEFORE
from rpm_stream.score.rules.oxygen_scale import SATURATION, SCALE_WORDS
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch

NEWS2 = member_name("news2", Key())  # its member in an episode, and its detector in a score
GROUP = "vital_signs"  # the group of its vitals
SCORE_EVERY = timedelta(minutes=5)  # how often an unchanged score is computed


class Totals(MomentRule):
    """NEWS2, bound to the tables."""

    kind = "news2"
    source = ("news2.toml", "limits.toml")
    words = "NEWS2, the score of all vital signs together"

    def __init__(self, shared: RuleTables) -> None:
        self._knowledge = shared.knowledge
        self.chart = shared.chart
        self._oxygen = shared.oxygen
        self._scorer = News2Scorer(shared.chart, shared.oxygen)
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
                self._note_exempt(state, patient, moment)
                continue
            if moment == at and (record := self._record(state, score, instant)):
                scores.append(record)
            if finding := self._finding(score, moment, instant, late=moment != moments[-1]):
                findings.append(finding)
                state.breach_parts = tuple(name for name, points in score.points.items() if points)
                state.breach_at = max(moment, state.breach_at or moment)
        newest = moments[-1]
        # all readings of the instant are late: the present NEWS2 is as of the newest reading
        if state.total is not None and state.total.at > newest:
            newest = state.total.at
            score = self._scorer.score(histories, newest, patient)
        if score is not None:
            self._note(state, score, newest, patient)
        return scores, findings

    def _note_exempt(self, state: ScoreState, patient: PatientEntry, at: datetime) -> None:
        """Drop the present total where NEWS2 no longer applies, and count the time as calm."""
        if self.chart.exempt(patient, at):
            state.total = None
            state.breach_parts = ()
            note_calm(state, NEWS2, at, calm=True)

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

    def _note(
        self, state: ScoreState, score: News2Score, at: datetime, patient: PatientEntry
    ) -> None:
        """Keep the present NEWS2.

        It is calm below its limit as long as the parts that gave points are known.
        """
        priority = self._priority(score)
        note_calm(state, NEWS2, at, priority is None and self._is_calm(state, score, at, patient))
        given = {name: reading for name, reading in score.readings.items() if score.points[name]}
        ranked = sorted(given.items(), key=lambda part: (-score.points[part[0]], part[0]))
        state.total = Total(
            at=at,
            minimum=score.score_min,
            maximum=score.score_max,
            priority=priority,
            title=_title(score),
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
            < self.chart.news2.medium_from
        )

    def renew(self, state: ScoreState, entry: PatientEntry) -> None:
        """Compute the present NEWS2 after readings were voided."""
        times = [
            state.latest[vital].measured_at for vital in self.chart.vitals if vital in state.latest
        ]
        score = (
            self._scorer.score(Histories(state.histories, state.on_oxygen), max(times), entry)
            if times
            else None
        )
        state.total = None
        if score is not None:
            state.breach_parts = tuple(name for name in state.breach_parts if name in score.points)
            self._note(state, score, max(times), entry)

    def _priority(self, score: News2Score) -> Priority | None:
        news2 = self.chart.news2
        if score.score_min < news2.medium_from:
            return None
        return "high" if score.score_min >= news2.high_from else "medium"

    def _record(
        self, state: ScoreState, score: News2Score, instant: Sequence[Reading]
    ) -> Score | None:
        at = instant[0].measured_at
        content = f"{sorted(score.points.items())}"
        if not emits(state, NEWS2, at, content):
            return None
        return Score(
            id=deterministic_id("score", NEWS2, instant[0].id),
            patient=instant[0].patient,
            readings=tuple(reading.id for reading in score.readings.values()),
            vital=None,
            value=None,
            detector=NEWS2,
            version=self.chart.news2.version,
            score=float(score.score_min),
            score_min=float(score.score_min),
            score_max=float(score.score_max),
            missing=score.missing,
            threshold=float(self.chart.news2.medium_from),
            contributions={name: float(points) for name, points in score.points.items()},
            limits={"medium": self.chart.news2.medium_from, "high": self.chart.news2.high_from},
            measured_at=at,
        )

    def _finding(
        self, score: News2Score, moment: datetime, instant: Sequence[Reading], late: bool
    ) -> Finding | None:
        priority = self._priority(score)
        if priority is None:
            return None
        deciding = sorted(score.readings.items(), key=lambda item: -score.points[item[0]])
        here = {reading.id for reading in instant}
        opening = next((reading for _, reading in deciding if reading.id in here), instant[0])
        others = (
            reading for name, reading in deciding if score.points[name] and reading.id != opening.id
        )
        return Finding(
            kind="news2",
            key=Key(),
            member=NEWS2,
            rule=f"news2@{self.chart.news2.version}",
            group=self._knowledge.vitals[opening.vital].group,
            priority=priority,
            title=_title(score),
            why=news2_words(score),
            evidence=(opening, *others),
            vital=opening.vital,
            measured_at=max(moment, opening.measured_at),
            late=late,
            points=score.score_min,
        )

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
        calm = state.calm.get(NEWS2)
        breach_at = state.breach_at
        if calm is None or breach_at is None:
            return False
        if self.chart.exempt(entry, calm.until):
            return calm.until > breach_at
        score = self._scorer.score(Histories(state.histories, state.on_oxygen), calm.until, entry)
        return score is not None and all(
            name in score.until and score.until[name] > breach_at
            for name in state.breach_parts
            if name != OXYGEN
        )


def _title(score: News2Score) -> str:
    return f"NEWS2 {'at least ' if score.score_max > score.score_min else ''}{score.score_min}"


def news2_words(score: News2Score) -> str:
    """The score in words: its range, what gave points, what is not known, and an unusual scale."""
    scale = SCALE_WORDS.get(score.scale) if SATURATION in score.points else None
    by = (scale, score.is_scale_past) if scale else None
    extent = (score.score_min, score.score_max)
    return _words(extent, tuple(score.points.items()), score.missing, by)


@lru_cache(maxsize=1024)  # the words of an unchanged score come with each value
def _words(
    extent: tuple[int, int],
    parts: tuple[tuple[str, int], ...],
    not_known: tuple[str, ...],
    by: tuple[str, bool] | None,
) -> str:
    least, most = extent
    total = f"{least}" if least == most else f"{least} to {most}"
    ranked = sorted(parts, key=lambda part: (-part[1], part[0]))
    gave = ", ".join(f"{name.replace('_', ' ')} {points}" for name, points in ranked if points)
    missing = ", ".join(name.replace("_", " ") for name in not_known)
    words = f"NEWS2 is {total}{f': {gave}' if gave else ''}"
    if missing:
        words += f"; not known: {missing}"
    if by is not None:
        scale, is_past = by
        words += f"; saturation by {scale}{' when it was measured' if is_past else ''}"
    return words
