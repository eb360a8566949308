"""Rises over days: how far the last days lie above those before, and why that counts."""

from __future__ import annotations

from statistics import fmean

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.trends import Average, Joined
from rpm_stream.records import PatientEntry
from rpm_stream.score.memory.days import AVERAGE, DISCHARGE, Risen, spread
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.discharge_weight import DischargeWeight
from rpm_stream.score.rules.rise import Rise, Thumb
from rpm_stream.score.rules.trend_days import TrendDays

# For "more than": days are kept in steps, so equal weights differ by less than this.
LEAST_ABOVE = 1e-6


class Rises:
    """The rules about rises, bound to the tables."""

    def __init__(self, knowledge: Knowledge, days: TrendDays) -> None:
        self._vitals = knowledge.vitals
        self._rules = knowledge.trends
        self._days = days
        self._discharge = DischargeWeight(knowledge)
        self.averages = {row.vital: row for row in self._rules.average}
        self._joined = {row.vital: row for row in self._rules.joined}

    def _rise(self, state: ScoreState, row: Average, day: int) -> Rise | None:
        kept = state.days.get(row.vital)
        table = self._days.tables[row.vital]
        if kept is None:
            return None
        first = day - row.fast_days - row.slow_days + 1
        before = table.medians(
            kept, max(first, self._days.since(state, row.vital)), day - row.fast_days
        )
        last = table.medians(kept, day - row.fast_days + 1, day)
        if len(before) < row.slow_least_days or len(last) < row.fast_least_days:
            return None
        threshold = max(float(row.least), float(row.spreads) * spread(before))
        return Rise(fast=fmean(last), slow=fmean(before), threshold=threshold)

    def _above_discharge(
        self, state: ScoreState, row: Average, day: int, patient: PatientEntry
    ) -> Rise | None:
        """How far the day lies above the weight at discharge, used until own days are known."""
        compared = self._discharge.compared(patient, row.vital, day)
        today = self._days.tables[row.vital].medians(state.days[row.vital], day, day)
        if compared is None or not today:
            return None
        return Rise(fast=today[0], slow=compared[0], threshold=compared[1] + LEAST_ABOVE)

    def risen(
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
        table = self._days.tables[vital]
        kept = state.days[vital]
        today = table.medians(kept, day, day)
        for row in self._rules.rule_of_thumb:
            before = table.medians(
                kept, max(day - row.days, self._days.since(state, vital)), day - 1
            )
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
            rise = self._rise(state, self.averages[vital], day)
            if rise is not None and rise.is_over:
                found.append(f"{self._vitals[vital].plain} {rise.by:.0f} above usual")
        return ", ".join(filter(None, found))

    def _answer(self, state: ScoreState, row: Joined, day: int) -> str:
        kept = state.days.get(row.answer)
        table = self._days.tables[row.answer]
        fresh = [each for each in (kept.days if kept else ()) if day - row.fresh_days < each <= day]
        if kept is None or not fresh:
            return ""
        (now,) = table.medians(kept, max(fresh), max(fresh))
        first = max(day - self._rules.kept_days, self._days.since(state, row.vital))
        before = table.medians(kept, first, max(fresh) - 1)
        plain = self._vitals[row.answer].plain
        if len(before) >= row.usual_least_days:
            usual = fmean(before)
            return (
                f"{plain} {now:.0f}, usual is {usual:.0f}" if now - usual >= float(row.rise) else ""
            )
        return f"{plain} {now:.0f}" if now >= float(row.least) else ""

    def is_calm(self, state: ScoreState, row: Average, day: int, patient: PatientEntry) -> bool:
        """Whether ``day`` lies less than half as far above the days before as a rise does."""
        rise = self._rise(state, row, day) or self._above_discharge(state, row, day, patient)
        return rise is None or rise.by < rise.threshold / 2
