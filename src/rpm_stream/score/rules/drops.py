"""A drop from the usual of the days before, and how long it has lasted."""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.trends import Drop
from rpm_stream.records import Reading
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.continuous import is_continuous
from rpm_stream.score.memory.days import Days, day_of
from rpm_stream.score.memory.history import VitalHistory, add, go_on, goes_on, segment_of
from rpm_stream.score.memory.recent import among_last, enter, forget
from rpm_stream.score.memory.rows import run
from rpm_stream.score.memory.state import ScoreState, note_calm, note_calm_for
from rpm_stream.score.rules.trend_days import TrendDays, member_of_trend

DROPPED = "dropped"


class Drops:
    """The rules about drops, bound to the tables."""

    def __init__(self, knowledge: Knowledge, days: TrendDays, numbers: Numbers) -> None:
        self._knowledge = knowledge
        self._days = days
        self._numbers = numbers
        self._words = UsualWords(knowledge)
        self.rows = {row.vital: row for row in knowledge.trends.drop}

    def none_until(self, state: ScoreState, kept: Days, column: Column) -> datetime:
        """Up to when the values of a stream stay above what would be a drop."""
        row = self.rows[column.vital]
        day = day_of(column.begin)
        first = max(day - row.days, self._days.since(state, row.vital))
        if kept.usual is None or kept.usual[:2] != (first, day):
            return column.begin  # not asked yet
        usual = kept.usual[2]
        if usual is None:
            return FOREVER
        if member_of_trend(column.vital) not in state.calm:
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

    def pass_by(self, state: ScoreState, column: Column) -> None:
        """Where a usual is known the vital lies above a drop from it."""
        vital = column.vital
        usual = state.days[vital].usual
        if usual is not None and usual[2] is not None:
            go_on(state.drops[vital], None, column.end, len(column.readings))
            note_calm_for(state, member_of_trend(vital), column.begin, column.end)

    def found(self, state: ScoreState, reading: Reading, is_late: bool) -> tuple[str, float] | None:
        """Return why a reading shows a drop that has lasted, and the bound, or None."""
        row = self.rows[reading.vital]
        at = reading.measured_at
        day = day_of(at)
        first = max(day - row.days, self._days.since(state, row.vital))
        usual = self._days.tables[row.vital].usual(
            state.days[row.vital], day, first, row.least_days
        )
        if usual is None:
            return None
        is_low = self._numbers.of(reading) <= usual - float(row.by) + 1e-6
        lasted = self._lasts(state, row, reading, is_low)
        if not is_late:
            note_calm(state, member_of_trend(reading.vital), at, not is_low)
        if is_low and lasted:
            why = (
                f"{self._words.value(reading, usual)} of the last {row.days} days, {lasted} (trend)"
            )
            return why, usual - float(row.by)
        return None

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
        recent = state.recent.setdefault(member_of_trend(row.vital), [])
        place = enter(recent, at, broken)
        enough = is_low and among_last(recent, place, DROPPED, row.of)
        forget(recent)
        return f"in {row.of.count} of the last {row.of.last} readings" if enough else ""
