"""Limits and NEWS2 over one instant of one patient: readings in, findings and scores out; histories move on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, PatientEntry, Priority, Reading, Score
from rpm_stream.registry import Registry
from rpm_stream.score.history import Placing, VitalHistory, add, beside, inside_since, run, segment_of
from rpm_stream.score.limits import Breach, LimitTable
from rpm_stream.score.news2 import Chart, News2Score
from rpm_stream.score.recent import Recent, among_last, enter, forget
from rpm_stream.score.state import Calm, Emitted, ScoreState

EMIT_EVERY = timedelta(minutes=5)  # an unchanged score of a continuous vital is put out this often
MEMBER_NEWS2 = "news2"
RANK: dict[Priority, int] = {"low": 1, "medium": 2, "high": 3}


class Rules:
    """Limits and NEWS2, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self.chart = Chart(knowledge)
        self._limits = LimitTable(knowledge, self.chart, registry)
        self._row = timedelta(seconds=knowledge.limits.row_seconds)
        self.recovery = timedelta(minutes=knowledge.limits.recovery_minutes)

    def limits(
        self, state: ScoreState, reading: Reading, patient: PatientEntry
    ) -> tuple[Placing | None, list[Finding]]:
        """Enter one reading into its history; a finding for each limit that is broken for as long as it must be."""
        at = reading.measured_at
        scale = self.chart.scale(patient, state.histories, at) if patient.oxygen_scale == 2 else "1"
        verdict = self._limits.judge(reading, patient, scale)
        if verdict is None:
            return None, []
        history = state.histories.get(reading.vital)
        if history is None:
            history = state.histories[reading.vital] = VitalHistory()
        placing = add(history, segment_of(reading, verdict.level, verdict.points, verdict.broken))
        breaches = verdict.breaches
        if verdict.counted:
            recent = state.recent.setdefault(reading.vital, [])
            place = enter(recent, at, verdict.broken)
            breaches = tuple(each for each in breaches if self._is_frequent(recent, place, reading, each))
            forget(recent)
        found = [self._finding(state, placing, reading, breach) for breach in breaches]
        worst: dict[str, Finding] = {}
        for finding in found:
            known = worst.get(finding.member) if finding else None
            if finding and (known is None or RANK[finding.priority] > RANK[known.priority]):
                worst[finding.member] = finding
        return placing, list(worst.values())

    def _by_count(self, reading: Reading, breach: Breach) -> bool:
        """Whether a breach counts readings, not minutes: of a limit that has both the cadence chooses."""
        return breach.of is not None and not (breach.minutes and is_continuous(reading, self._knowledge))

    def _is_frequent(self, recent: list[Recent], place: int, reading: Reading, breach: Breach) -> bool:
        """Whether a breach has come often enough, where its limit counts."""
        counts = breach.of if self._by_count(reading, breach) else None
        return counts is None or among_last(recent, place, breach.limit, counts)

    def _finding(self, state: ScoreState, placing: Placing, reading: Reading, breach: Breach) -> Finding | None:
        history = state.histories[reading.vital]
        around = run(history, placing.index, breach.limit)
        lasted = around.end - around.start
        if lasted < timedelta(minutes=breach.minutes) and not self._by_count(reading, breach):
            return None
        priority: Priority = breach.first
        if breach.repeated and ((around.count >= 2 and lasted >= self._row) or _partnered(state, reading, breach)):
            priority = breach.repeated
        return Finding(
            member=breach.member,
            rule=breach.rule,
            group=self._knowledge.vitals[reading.vital].group,
            priority=priority,
            title=breach.title,
            why=breach.why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
            late=placing.late,
            direction=breach.side,
        )

    def news2(
        self, state: ScoreState, instant: Sequence[Reading], placings: Sequence[Placing], patient: PatientEntry
    ) -> tuple[list[Score], list[Finding]]:
        """NEWS2 as of the instant, and at each later moment that a late reading reaches."""
        instant = [reading for reading in instant if self.chart.knows(reading.vital)]  # what the score can stand on
        at = instant[0].measured_at
        scores: list[Score] = []
        findings: list[Finding] = []
        moments = [at]
        if any(placing.changed for placing in placings):
            moments += self.chart.later_changes(state.histories, at)
        for moment in moments:
            score = self.chart.score(state.histories, moment, patient)
            if score is None:
                continue
            if moment == at and (record := self._record(state, score, instant)):
                scores.append(record)
            if finding := self._news2_finding(score, moment, instant, late=moment != moments[-1]):
                findings.append(finding)
                state.breach_parts = tuple(score.points)
            if moment is moments[-1]:
                self._note_calm(state, score, moment)
        return scores, findings

    def _note_calm(self, state: ScoreState, score: News2Score, at: datetime) -> None:
        """Recovery needs the parts that were known at the breach: a part that went stale has not recovered."""
        calm = score.score_min < self.chart.news2.medium_from and set(state.breach_parts) <= set(score.points)
        note_calm(state, MEMBER_NEWS2, at, calm)

    def _record(self, state: ScoreState, score: News2Score, instant: Sequence[Reading]) -> Score | None:
        at = instant[0].measured_at
        said = f"{sorted(score.points.items())}"
        if not emits(state, MEMBER_NEWS2, at, said):
            return None
        return Score(
            id=deterministic_id("score", MEMBER_NEWS2, instant[0].id),
            patient=instant[0].patient,
            readings=tuple(reading.id for reading in score.readings.values()),
            vital=None,
            value=None,
            detector=MEMBER_NEWS2,
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

    def _news2_finding(
        self, score: News2Score, moment: datetime, instant: Sequence[Reading], late: bool
    ) -> Finding | None:
        news2 = self.chart.news2
        if score.score_min < news2.medium_from:
            return None
        high = score.score_min >= news2.high_from
        deciding = sorted(score.readings.items(), key=lambda item: -score.points[item[0]])
        here = {reading.id for reading in instant}
        opening = next((reading for _, reading in deciding if reading.id in here), instant[0])
        others = (reading for name, reading in deciding if score.points[name] and reading.id != opening.id)
        return Finding(
            member=MEMBER_NEWS2,
            rule=f"news2@{news2.version}",
            group=self._knowledge.vitals[opening.vital].group,
            priority="high" if high else "medium",
            title=f"NEWS2 {'at least ' if score.score_max > score.score_min else ''}{score.score_min}",
            why=news2_words(score),
            evidence=(opening, *others),
            vital=opening.vital,
            measured_at=max(moment, opening.measured_at),
            late=late,
        )

    def recovered(self, state: ScoreState, member: str, vital: str) -> bool:
        """Whether a member has been inside its recovery limit for its recovery time, by readings."""
        if member.startswith("limit:"):
            history = state.histories.get(vital)
            since = inside_since(history) if history else None
            if history is None or since is None:
                return False
            # Of the time in which readings were taken back nobody knows: it was no time inside.
            return history.segments[-1].end - max(since, state.cut.get(vital, since)) >= self.recovery
        calm = state.calm.get(member)
        return calm is not None and calm.until - calm.since >= self.recovery


def is_continuous(reading: Reading, knowledge: Knowledge) -> bool:
    """Whether the reading is one of a stream, not a spot measurement: what is published in summaries (CONTRACT 6)."""
    characteristic = knowledge.characteristics.get(reading.attributes.get("characteristic", ""))
    return (characteristic is not None and characteristic.continuous) or (
        knowledge.vitals[reading.vital].publish == "summary"
    )


def _partnered(state: ScoreState, reading: Reading, breach: Breach) -> bool:
    """Whether the measurement before or after this one was beyond the limit that one measurement gives together."""
    if breach.partner is None:
        return False
    vital, limit = breach.partner
    history = state.histories.get(vital)
    return history is not None and any(limit in segment.broken for segment in beside(history, reading.measured_at))


def news2_words(score: News2Score) -> str:
    """The score in words: range, what gave points, what is not known."""
    total = f"{score.score_min}" if score.score_min == score.score_max else f"{score.score_min} to {score.score_max}"
    ranked = sorted(score.points.items(), key=lambda part: (-part[1], part[0]))
    gave = ", ".join(f"{name.replace('_', ' ')} {points}" for name, points in ranked if points)
    missing = f"; not known: {', '.join(name.replace('_', ' ') for name in score.missing)}" if score.missing else ""
    return f"NEWS2 is {total}: {gave}{missing}"


def note_calm(state: ScoreState, member: str, at: datetime, calm: bool) -> None:
    """Carry on, begin or end a member's time inside its recovery limit."""
    if not calm:
        state.calm.pop(member, None)
    elif (known := state.calm.get(member)) is None:
        state.calm[member] = Calm(since=at, until=at)
    elif at > known.until:
        known.until = at


def emits(state: ScoreState, name: str, at: datetime, said: str) -> bool:
    """Whether a score is worth a record: it changed, or a while has passed. Notes it if so."""
    last = state.emitted.get(name)
    if last is not None and last.said == said and last.at <= at < last.at + EMIT_EVERY:
        return False
    if last is None or at >= last.at:
        state.emitted[name] = Emitted(at=at, said=said)
    return True
