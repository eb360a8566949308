"""Judge one reading by the limits: enter it into its history, and find what is beyond a limit.

``recovery.py`` decides what is back. A saturation on scale 2 counts differently on air and on
oxygen, and an answer about the oxygen may come later. Such a patient has a history for each, and
the readings that an answer reaches are judged again (CONTRACT 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import RANK, Direction, Finding, PatientEntry, Reading
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.continuous import is_continuous, number_of
from rpm_stream.score.memory.history import (
    Placing,
    Segment,
    VitalHistory,
    add,
    beside,
    goes_on,
    ignored_time,
    segment_of,
)
from rpm_stream.score.memory.recent import Recent, among_last, enter, forget
from rpm_stream.score.memory.retraction import forget_in
from rpm_stream.score.memory.rows import Reach, Run, within
from rpm_stream.score.memory.rows import row as row_of
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits import Breach, LimitTable, Verdict
from rpm_stream.score.rules.news2 import News2Chart
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2
from rpm_stream.score.rules.recovery import RecoveryRules, history_of

# the longest pause that is no gap in "for m minutes" (CONTRACT 10, In a row)
LEAST_GAP = timedelta(minutes=15)
NO_LIMIT = Verdict(level="inside", points=None)
UNKNOWN_BETWEEN = "nothing known between"


class _Seen(msgspec.Struct, frozen=True, gc=False):
    """A reading after the limits have judged it: the verdict, its history and its place there.

    ``reach`` is the time in which its scale of saturation holds. ``is_sided`` is true on scale 2. A
    value that is too high may count on oxygen alone, so it makes no row with one that is too low.
    """

    verdict: Verdict
    history: VitalHistory
    placing: Placing
    reach: Reach = (None, None)
    is_sided: bool = False


class LimitJudge:
    """The limits, bound to the tables."""

    def __init__(self, knowledge: Knowledge, chart: News2Chart, limits: LimitTable) -> None:
        self._knowledge = knowledge
        self.chart = chart
        self._limits = limits
        self._row = timedelta(seconds=knowledge.limits.row_seconds)
        self.recovery = RecoveryRules(knowledge, self.chart, self._limits)

    def limits(
        self, state: ScoreState, reading: Reading, patient: PatientEntry
    ) -> tuple[Placing | None, list[Finding]]:
        """Enter one reading into its history.

        Return its place, and a finding for each limit that has been breached for long enough.
        """
        seen = self._entered(state, reading, patient)
        if seen is None:
            return None, []
        verdict = seen.verdict
        breaches = seen.verdict.breaches
        if verdict.counted:
            recent = state.recent.setdefault(reading.vital, [])
            place = enter(recent, reading.measured_at, verdict.broken)
            breaches = tuple(
                each for each in breaches if self._is_frequent(recent, place, reading, each)
            )
            forget(recent)
        return seen.placing, _worst_of(
            self._finding(state, reading, each, seen) for each in breaches
        )

    def calm_until(self, state: ScoreState, entry: PatientEntry, column: Column) -> datetime:
        """Up to when the readings join the newest segment of their vital, none beyond a limit."""
        vital = column.vital
        history = state.histories.get(vital)
        if not self._limits.is_steady(entry, vital, column.begin, column.end):
            return column.begin
        tail = None
        if history is not None:
            tail = goes_on(history, column.begin, column.end)
            if tail is None or tail.broken:
                return column.begin
        moving: set[str | None] = set()
        for value, reading in column.by_value().items():
            verdict = self._limits.judge(reading, entry, "1")
            if tail is None:
                is_calm = verdict is None  # no limit knows the vital
            else:
                verdict = verdict or NO_LIMIT
                is_calm = not verdict.counted and tail.matches(_alone(reading, verdict))
            if not is_calm:
                moving.add(value)
        if not moving:
            return FOREVER
        return next(each.measured_at for each in column.readings if each.value in moving)

    def _entered(self, state: ScoreState, reading: Reading, patient: PatientEntry) -> _Seen | None:
        """Enter a reading into its history, or on scale 2 into both.

        On scale 2 the one that counts is that of the scale at the reading's time.
        """
        if reading.vital != SATURATION or not has_scale_2(patient):
            verdict = self._limits.judge(reading, patient, "1")
            history = state.histories.get(reading.vital)
            if verdict is None and history is not None and reading.value is not None:
                verdict = NO_LIMIT  # the limit has ended, and what it found recovers by this
            if verdict is None:
                return None
            if history is None:
                history = state.histories[reading.vital] = VitalHistory()
            return _Seen(verdict, history, _enter(history, reading, verdict))
        on_air, on_oxygen = (
            self._limits.judge(reading, patient, scale) for scale in ("2 on air", "2 on oxygen")
        )
        if on_air is None or on_oxygen is None:
            return None
        history = state.histories.setdefault(reading.vital, VitalHistory())
        if state.on_oxygen is None:
            state.on_oxygen = VitalHistory()
        placing = _enter(history, reading, on_air)
        beside_it = _enter(state.on_oxygen, reading, on_oxygen)
        placing = msgspec.structs.replace(placing, changed=placing.changed or beside_it.changed)
        scale = self.chart.scale(patient, state.histories, reading.measured_at)
        reach = self.chart.reach(patient, state.histories, reading.measured_at)
        if scale == "2 on oxygen":
            placing = msgspec.structs.replace(placing, index=beside_it.index)
            return _Seen(on_oxygen, state.on_oxygen, placing, reach, is_sided=True)
        return _Seen(
            self._limits.judge(reading, patient, scale) or on_air,
            history,
            placing,
            reach,
            is_sided=True,
        )

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
                self.chart.oxygen_points(patient, state.histories, segment.reading.measured_at)
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
        history = history_of(self.chart, state, patient, SATURATION, answer.measured_at)
        if history is None or not has_scale_2(patient):
            return []
        scale = self.chart.scale(patient, state.histories, answer.measured_at)
        since, until = reach = self.chart.reach(patient, state.histories, answer.measured_at)
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
                seen = _Seen(verdict, history, Placing(index, True, True), reach, is_sided=True)
                found += [
                    self._finding(state, segment.reading, each, seen) for each in verdict.breaches
                ]
        return _worst_of(found)

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
                    history, [_alone(reading, verdict or NO_LIMIT) for reading, verdict in counted]
                )

    def standing(self, state: ScoreState, patient: PatientEntry, vital: str) -> list[Finding]:
        """The findings that the kept readings of a vital still show, oldest first.

        It is called after other readings of the vital were voided.
        """
        latest = state.latest.get(vital)
        history = (
            history_of(self.chart, state, patient, vital, latest.measured_at)
            if latest is not None
            else None
        )
        found: list[Finding] = []
        for index, segment in enumerate(history.segments if history is not None else ()):
            reading = segment.reading
            if history is None or reading is None or segment.level != "beyond":
                continue
            scale = (
                self.chart.scale(patient, state.histories, reading.measured_at)
                if vital == SATURATION
                else "1"
            )
            verdict = self._limits.judge(reading, patient, scale)
            if verdict is not None:
                seen = _Seen(verdict, history, Placing(index, False, False), is_sided=scale != "1")
                found += _worst_of(
                    self._finding(state, reading, each, seen) for each in verdict.breaches
                )
        return found

    def _by_count(self, reading: Reading, breach: Breach) -> bool:
        """Whether a breach counts readings, not minutes.

        If the limit has both, the readings' cadence decides.
        """
        return breach.of is not None and not (
            breach.minutes and is_continuous(reading, self._knowledge)
        )

    def _is_frequent(
        self, recent: list[Recent], place: int, reading: Reading, breach: Breach
    ) -> bool:
        """Whether a breach has come often enough, where its limit counts readings."""
        counts = breach.of if self._by_count(reading, breach) else None
        return counts is None or among_last(recent, place, breach.limit, counts)

    def _finding(
        self, state: ScoreState, reading: Reading, breach: Breach, seen: _Seen
    ) -> Finding | None:
        at = reading.measured_at
        before = seen.placing.before
        row = _row_with(seen, breach)
        why = breach.why
        if breach.minutes and not self._by_count(reading, breach):
            if row.end - row.start < timedelta(minutes=breach.minutes):
                return None
            if _is_gap(before, row, at, breach.minutes):
                why = f"{why}; {UNKNOWN_BETWEEN}"
        is_row = (row.count >= 2 and row.end - row.start >= self._row) or self._partnered(
            state, reading, breach
        )
        return Finding(
            kind="limit",
            key=breach.key,
            member=breach.member,
            rule=breach.rule,
            group=self._knowledge.vitals[reading.vital].group,
            priority=breach.repeated if breach.repeated and is_row else breach.first,
            title=breach.title,
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=at,
            late=seen.placing.late,
            direction=breach.side,
            number=number_of(self._knowledge, reading, breach.side),
            bound=self._mildest(reading.vital, breach.side, seen.verdict.breaches),
            beyond_query=breach.beyond_query or reading.value is None,
            points=seen.verdict.points or 0,
            apart=None if before is None else (at - before).total_seconds(),
        )

    def _mildest(self, vital: str, side: Direction, breaches: Iterable[Breach]) -> Decimal:
        """The limit nearest to the normal that a value is beyond, in the vital's first unit."""
        unit = self._knowledge.vitals[vital].unit
        bounds = [
            self._knowledge.convert(each.bound, each.unit, unit)
            for each in breaches
            if each.side == side
        ]
        return max(bounds) if side == "low" else min(bounds)

    def _partnered(self, state: ScoreState, reading: Reading, breach: Breach) -> bool:
        """Whether the measurement before or after was beyond the partner limit of the breach."""
        if breach.partner is None:
            return False
        vital, limit = breach.partner
        history = state.histories.get(vital)
        at = reading.measured_at
        shown = ignored_time(reading)
        return history is not None and any(
            limit in segment.broken
            and (shown is None or segment.shown != shown)
            and (at - segment.start >= self._row or segment.end - at >= self._row)
            for segment in beside(history, at)
        )


def _enter(history: VitalHistory, reading: Reading, verdict: Verdict) -> Placing:
    return add(history, _alone(reading, verdict))


def _alone(reading: Reading, verdict: Verdict) -> Segment:
    return segment_of(reading, verdict.level, verdict.points, verdict.broken, verdict.side)


def _row_with(seen: _Seen, breach: Breach) -> Run:
    """The row beyond the limit of a breach that the reading belongs to."""
    index = seen.placing.index
    side = breach.side if seen.is_sided else None
    # the segment may not name a limit that was set after it was entered
    segments = (
        row_of(seen.history, index, breach.limit, side) or seen.history.segments[index : index + 1]
    )
    return within(segments, seen.reach, breach.side)


def _is_gap(before: datetime | None, row: Run, at: datetime, minutes: int) -> bool:
    """Whether nothing was known for long just before a value of a row."""
    return (
        before is not None
        and row.start < at
        and at - before > max(LEAST_GAP, timedelta(minutes=minutes))
    )


def _worst_of(found: Iterable[Finding | None]) -> list[Finding]:
    """The finding of highest priority of each member, the first of equals."""
    worst: dict[str, Finding] = {}
    for finding in found:
        known = worst.get(finding.member) if finding else None
        if finding and (known is None or RANK[finding.priority] > RANK[known.priority]):
            worst[finding.member] = finding
    return list(worst.values())
