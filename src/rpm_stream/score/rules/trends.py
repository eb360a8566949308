"""Trends over days: this person's last days against their own days before, as of a reading.

Nothing here is learned for good. The window moves on, so a lasting shift becomes the usual after
its own length. When a person declares values the new normal, the days before no longer count.
Values that their device doubts, and those of an unknown user of a shared scale, enter no day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from rpm_stream.records import Direction, Finding, Key, PatientEntry, Reading
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.continuous import number_of
from rpm_stream.score.memory.days import DROP, JOINED, Days, day_of
from rpm_stream.score.memory.state import ScoreState, note_calm
from rpm_stream.score.rules.drops import Drops
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.rises import Rises
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.score.rules.trend_days import TrendDays, member_of_trend
from rpm_stream.score.rules.trend_wording import TrendWords


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
        self._days = TrendDays(knowledge)
        self._rises = Rises(knowledge, self._days)
        self._drops = Drops(knowledge, self._days, self._numbers)
        self._words = TrendWords(knowledge, UsualWords(knowledge), self._rises.averages)
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
            table = self._days.tables.get(reading.vital)
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
            if reading.vital in self._rises.averages and (entered or kept.is_reported):
                yield from self._average(state, reading, patient, (entered, is_late))
            if reading.vital in self._drops.rows:
                drop = self._drops.found(state, reading, is_late)
                if drop is not None:
                    yield self._finding(reading, DROP, *drop, is_late)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when the slots of the days are taken, no rise holds and nothing drops."""
        until = FOREVER
        for vital, column in stretch.columns.items():
            table = self._days.tables.get(vital)
            if table is None:
                continue
            kept = state.days.get(vital)
            if kept is None or kept.is_reported:
                return stretch.begin
            until = min(until, table.taken_until(kept, column.begin))
            if vital in self._drops.rows:
                until = min(until, self._drops.none_until(state, kept, column))
        return until

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """Where a usual is known the vital lies above a drop from it."""
        for vital in self._drops.rows.keys() & stretch.columns.keys():
            self._drops.pass_by(state, stretch.columns[vital])

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings from their days and from what a drop counts."""
        counted = state.recent.get(member_of_trend(wrong[0].vital), [])
        times = {reading.measured_at for reading in wrong}
        counted[:] = [one for one in counted if one.at not in times]
        for reading in wrong:
            table = self._days.tables.get(reading.vital)
            kept = state.days.get(reading.vital)
            if table is not None and kept is not None and reading.value is not None:
                table.forget(kept, reading.measured_at, self._numbers.of(reading))

    def _average(
        self, state: ScoreState, reading: Reading, patient: PatientEntry, how: tuple[bool, bool]
    ) -> Iterator[Finding]:
        """The rule as of the reading's day.

        For a late reading it is also that of the newest day, if the reading reaches it.
        """
        entered, is_late = how
        row = self._rises.averages[reading.vital]
        kept = state.days[reading.vital]
        day = day_of(reading.measured_at)
        newest = max(kept.days)
        risen, words = (kept.risen, kept.old_words) if day == newest else (None, None)
        if entered:
            risen = self._rises.risen(state, row, day, patient)
            words = None
            kept.old_words = None
            kept.risen = risen if day == newest else self._rises.risen(state, row, newest, patient)
            if newest - day < row.fast_days:
                risen = kept.risen or risen
            if not is_late:
                is_calm = kept.risen is None and self._rises.is_calm(state, row, newest, patient)
                note_calm(state, member_of_trend(reading.vital), reading.measured_at, is_calm)
        if risen is not None:
            rule = JOINED if risen.beside else risen.rule
            words = self._words.rise(reading, risen), rule
        if words is not None:
            bound = None if risen is None else risen.bound
            yield self._finding(reading, words[1], words[0], bound, is_late)

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
            member=member_of_trend(reading.vital),
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
