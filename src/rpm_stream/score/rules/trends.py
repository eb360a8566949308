"""Trends over days: this person's last days against their own days before, as of a reading.

Nothing here is learned for good. The window moves on, so a lasting shift becomes the usual after
its own length. When a person declares values the new normal, the days before no longer count.
Values that their device doubts, and those of an unknown user of a shared scale, enter no day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import fmean

import msgspec

from rpm_stream.knowledge.trends import Average, Drop, Joined
from rpm_stream.records import Direction, Finding, Key, PatientEntry, Reading
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.continuous import is_continuous, number_of
from rpm_stream.score.memory.days import (
    AVERAGE,
    DISCHARGE,
    DROP,
    JOINED,
    Days,
    DayTable,
    Risen,
    day_of,
    spread,
)
from rpm_stream.score.memory.history import VitalHistory, add, go_on, goes_on, segment_of
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.recent import among_last, enter, forget
from rpm_stream.score.memory.rows import run
from rpm_stream.score.memory.state import ScoreState, note_calm, note_calm_for
from rpm_stream.score.rules.discharge_weight import DischargeWeight
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.rise import Rise, Thumb
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.score.rules.trend_wording import TrendWords

DROPPED = "dropped"
# For "more than": days are kept in steps, so equal weights differ by less than this.
LEAST_ABOVE = 1e-6


class Trends(MomentRule):
    """The rules over days, bound to the tables."""

    kind = "trend"
    source = ("trends.toml",)
    words = "A course over days"
    may_be_new_normal = True  # like learned findings, a person may declare it so

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self.calm_for = timedelta(minutes=knowledge.limits.recovery_minutes)
        self._knowledge = knowledge
        self._rules = knowledge.trends
        self._numbers = Numbers(knowledge)
        self._usual_words = UsualWords(knowledge)
        self._discharge = DischargeWeight(knowledge)
        self._averages = {row.vital: row for row in self._rules.average}
        self._words = TrendWords(knowledge, self._usual_words, self._averages)
        self._drops = {row.vital: row for row in self._rules.drop}
        self._joined = {row.vital: row for row in self._rules.joined}
        named = {
            *self._averages,
            *self._drops,
            *self._joined,
            *(row.answer for row in self._rules.joined),
        }
        named.update(name for row in self._rules.joined for name in row.averages)
        self._tables = {
            vital: DayTable(
                float(knowledge.vitals[vital].resolution),
                self._rules.slot_hours,
                self._rules.kept_days,
            )
            for vital in sorted(named)
        }
        self._doubted = knowledge.signal.ask_repeat | {"query"}

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Add the findings of the moment, with the time to the vital's reading before."""
        for finding in self.found(state, moment.judged, moment.late, moment.entry):
            moment.findings.append(
                msgspec.structs.replace(finding, apart=moment.gaps.get(finding.vital))
            )

    def found(
        self,
        state: ScoreState,
        readings: Sequence[Reading],
        late: Collection[str],
        patient: PatientEntry,
    ) -> Iterator[Finding]:
        """Enter the readings of one instant into their days, and yield the findings."""
        for reading in readings:
            table = self._tables.get(reading.vital)
            if (
                table is None
                or reading.value is None
                or not self._doubted.isdisjoint(reading.flags)
            ):
                continue
            kept = state.days.get(reading.vital)
            if kept is None:
                kept = state.days[reading.vital] = Days()
            is_late = reading.id in late
            entered = table.enter(kept, reading.measured_at, self._numbers.of(reading))
            if reading.vital in self._averages and (entered or kept.is_reported):
                yield from self._average(state, reading, patient, (entered, is_late))
            if reading.vital in self._drops:
                yield from self._drop(state, reading, is_late)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when the slots of the days are taken, no rise holds and nothing drops."""
        until = FOREVER
        for vital, column in stretch.columns.items():
            table = self._tables.get(vital)
            if table is None:
                continue
            kept = state.days.get(vital)
            if kept is None or kept.is_reported:
                return stretch.begin
            until = min(until, table.taken_until(kept, column.begin))
            if vital in self._drops:
                until = min(until, self._no_drop_until(state, kept, column))
        return until

    def _no_drop_until(self, state: ScoreState, kept: Days, column: Column) -> datetime:
        """Up to when the values of a stream stay above what would be a drop."""
        row = self._drops[column.vital]
        day = day_of(column.begin)
        first = max(day - row.days, self._since(state, row.vital))
        if kept.usual is None or kept.usual[:2] != (first, day):
            return column.begin  # not asked yet
        usual = kept.usual[2]
        if usual is None:
            return FOREVER
        if _member(column.vital) not in state.calm:
            return column.begin
        history = state.drops.get(row.vital)
        tail = None if history is None else goes_on(history, column.begin, column.end)
        if tail is None or tail.level != "inside" or tail.points is not None or tail.side:
            return column.begin
        if not all(is_continuous(reading, self._knowledge) for reading in column.readings):
            return column.begin
        least = usual - float(row.by) + 1e-6
        low = {
            value
            for value, reading in column.by_value().items()
            if self._numbers.of(reading) <= least
        }
        return next((each.measured_at for each in column.readings if each.value in low), FOREVER)

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Where a usual is known the vital lies above a drop from it."""
        for vital in self._drops.keys() & stretch.columns.keys():
            column = stretch.columns[vital]
            usual = state.days[vital].usual
            if usual is not None and usual[2] is not None:
                go_on(state.drops[vital], None, column.end, len(column.readings))
                note_calm_for(state, _member(vital), column.begin, column.end)

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings from their days and from what a drop counts."""
        counted = state.recent.get(_member(wrong[0].vital), [])
        times = {reading.measured_at for reading in wrong}
        counted[:] = [one for one in counted if one.at not in times]
        for reading in wrong:
            table = self._tables.get(reading.vital)
            kept = state.days.get(reading.vital)
            if table is not None and kept is not None and reading.value is not None:
                table.forget(kept, reading.measured_at, self._numbers.of(reading))

    # --- the mean of the last days ----------------------------------------------------------------

    def _average(
        self, state: ScoreState, reading: Reading, patient: PatientEntry, how: tuple[bool, bool]
    ) -> Iterator[Finding]:
        """The rule as of the reading's day.

        For a late reading it is also that of the newest day, if the reading reaches it.
        """
        entered, is_late = how
        row = self._averages[reading.vital]
        kept = state.days[reading.vital]
        day = day_of(reading.measured_at)
        newest = max(kept.days)
        risen, words = (kept.risen, kept.old_words) if day == newest else (None, None)
        if entered:
            risen = self._risen(state, row, day, patient)
            words = None
            kept.old_words, kept.risen = (
                None,
                risen if day == newest else self._risen(state, row, newest, patient),
            )
            if newest - day < row.fast_days:
                risen = kept.risen or risen
            if not is_late:
                rise = self._rise(state, row, newest) or self._above_discharge(
                    state, row, newest, patient
                )
                is_calm = kept.risen is None and (rise is None or rise.by < rise.threshold / 2)
                note_calm(state, _member(reading.vital), reading.measured_at, is_calm)
        if risen is not None:
            rule = JOINED if risen.beside else risen.rule
            words = self._words.rise(reading, risen), rule
        if words is not None:
            bound = None if risen is None else risen.bound
            yield self._finding(reading, words[1], words[0], bound, is_late)

    def _rise(self, state: ScoreState, row: Average, day: int) -> Rise | None:
        kept = state.days.get(row.vital)
        table = self._tables[row.vital]
        if kept is None:
            return None
        first = day - row.fast_days - row.slow_days + 1
        before = table.medians(kept, max(first, self._since(state, row.vital)), day - row.fast_days)
        last = table.medians(kept, day - row.fast_days + 1, day)
        if len(before) < row.slow_least_days or len(last) < row.fast_least_days:
            return None
        threshold = max(float(row.least), float(row.spreads) * spread(before))
        return Rise(fast=fmean(last), slow=fmean(before), threshold=threshold)

    def _since(self, state: ScoreState, vital: str) -> int:
        """The first day that counts. Days before a new normal do not."""
        accepted = state.accepted.get(self._knowledge.vitals[vital].group)
        return 0 if accepted is None else day_of(accepted)

    def _above_discharge(
        self, state: ScoreState, row: Average, day: int, patient: PatientEntry
    ) -> Rise | None:
        """How far the day lies above the weight at discharge, used until own days are known."""
        compared = self._discharge.compared(patient, row.vital, day)
        today = self._tables[row.vital].medians(state.days[row.vital], day, day)
        if compared is None or not today:
            return None
        return Rise(fast=today[0], slow=compared[0], threshold=compared[1] + LEAST_ABOVE)

    def _risen(
        self, state: ScoreState, row: Average, day: int, patient: PatientEntry
    ) -> Risen | None:
        """Why the rule holds on ``day``, or None where it does not."""
        rise = self._rise(state, row, day)
        rule = AVERAGE
        if rise is None:
            rise = self._above_discharge(state, row, day, patient)
            rule = DISCHARGE
        thumb = self._thumb(state, row.vital, day)
        joined = self._joined.get(row.vital)
        beside = self._beside(state, joined, day) if joined is not None else ""
        if rise is not None and rise.is_over:
            risen = Risen(rule, rise.slow + rise.threshold, rise.fast, rise.slow)
        elif thumb is not None and beside:
            risen = Risen(rule, thumb.slow + thumb.threshold)
        else:
            return None
        if thumb is not None:
            risen.up = thumb.by
            risen.within = thumb.days
        risen.beside = beside
        return risen

    def _thumb(self, state: ScoreState, vital: str, day: int) -> Thumb | None:
        """The first rule of thumb that holds on ``day``."""
        table = self._tables[vital]
        kept = state.days[vital]
        today = table.medians(kept, day, day)
        for row in self._rules.rule_of_thumb:
            before = table.medians(kept, max(day - row.days, self._since(state, vital)), day - 1)
            if (
                row.vital == vital
                and today
                and before
                and today[0] - min(before) >= float(row.by) - 1e-6
            ):
                return Thumb(
                    fast=today[0], slow=min(before), threshold=float(row.by), days=row.days
                )
        return None

    def _beside(self, state: ScoreState, row: Joined, day: int) -> str:
        """What accompanies a rise, in words: a worse answer, or a heart rate above its usual."""
        found = [self._answer(state, row, day)]
        for vital in row.averages:
            rise = self._rise(state, self._averages[vital], day)
            if rise is not None and rise.is_over:
                found.append(f"{self._knowledge.vitals[vital].plain} {rise.by:.0f} above usual")
        return ", ".join(filter(None, found))

    def _answer(self, state: ScoreState, row: Joined, day: int) -> str:
        kept = state.days.get(row.answer)
        table = self._tables[row.answer]
        fresh = [each for each in (kept.days if kept else ()) if day - row.fresh_days < each <= day]
        if kept is None or not fresh:
            return ""
        (now,) = table.medians(kept, max(fresh), max(fresh))
        first = max(day - self._rules.kept_days, self._since(state, row.vital))
        before = table.medians(kept, first, max(fresh) - 1)
        plain = self._knowledge.vitals[row.answer].plain
        if len(before) >= row.usual_least_days:
            usual = fmean(before)
            return (
                f"{plain} {now:.0f}, usual is {usual:.0f}" if now - usual >= float(row.rise) else ""
            )
        return f"{plain} {now:.0f}" if now >= float(row.least) else ""

    # --- a drop from the usual --------------------------------------------------------------------

    def _drop(self, state: ScoreState, reading: Reading, is_late: bool) -> Iterator[Finding]:
        row = self._drops[reading.vital]
        at = reading.measured_at
        day = day_of(at)
        first = max(day - row.days, self._since(state, row.vital))
        usual = self._tables[row.vital].usual(state.days[row.vital], day, first, row.least_days)
        if usual is None:
            return
        is_low = self._numbers.of(reading) <= usual - float(row.by) + 1e-6
        lasted = self._lasts(state, row, reading, is_low)
        if not is_late:
            note_calm(state, _member(reading.vital), at, not is_low)
        if is_low and lasted:
            why = (
                f"{self._usual_words.value(reading, usual)} of the last {row.days} days, {lasted}"
                " (trend)"
            )
            yield self._finding(reading, DROP, why, usual - float(row.by), is_late)

    def _lasts(self, state: ScoreState, row: Drop, reading: Reading, is_low: bool) -> str:
        """How long a drop has lasted, in words, or empty if not long enough.

        In a stream minutes count, otherwise the number of readings.
        """
        broken = (DROPPED,) if is_low else ()
        at = reading.measured_at
        if is_continuous(reading, self._knowledge):
            history = state.drops.setdefault(row.vital, VitalHistory())
            segment = segment_of(reading, "beyond" if is_low else "inside", None, broken)
            segment.reading = None
            placing = add(history, segment)
            around = run(history, placing.index, DROPPED)
            enough = is_low and around.end - around.start >= timedelta(minutes=row.minutes)
            return f"for {row.minutes} minutes or longer" if enough else ""
        recent = state.recent.setdefault(_member(row.vital), [])
        place = enter(recent, at, broken)
        enough = is_low and among_last(recent, place, DROPPED, row.of)
        forget(recent)
        return f"in {row.of.count} of the last {row.of.last} readings" if enough else ""

    # --- findings ---------------------------------------------------------------------------------

    def _finding(
        self, reading: Reading, rule: str, why: str, bound: float | None, is_late: bool
    ) -> Finding:
        """The finding of a rule.

        ``bound`` is the level in the vital's first unit beyond which the rule holds. It is None for
        words of an older release. A rise is one of days, so the reading's own value may be short of
        the bound. It is then not used as the number that later values are compared with.
        """
        vital = self._knowledge.vitals[reading.vital]
        side: Direction = "low" if rule == DROP else "high"
        level = None if bound is None else round(Decimal(bound), 3)
        number = number_of(self._knowledge, reading)
        is_beyond = level is not None and (number <= level if side == "low" else number >= level)
        return Finding(
            kind="trend",
            key=Key(vital=reading.vital),
            member=_member(reading.vital),
            rule=f"{rule}.{reading.vital}@{self._rules.version}",
            group=vital.group,
            priority=self._knowledge.priorities.of(rule),
            title=f"{vital.display} {'below usual' if rule == DROP else 'rising'}",
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
            late=is_late,
            direction=side,
            number=number if is_beyond else None,
            bound=level,
        )


def _member(vital: str) -> str:
    return member_name("trend", Key(vital=vital))
