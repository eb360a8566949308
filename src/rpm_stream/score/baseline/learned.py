"""All learned detectors over one instant of one patient: what is unusual for this person.

The class loops over the rows that run (``detectors/entries.py``). Each value is scored, then
learned (``learning.py`` decides when). A late reading is scored against the present state and not
learned. ``one_vital.py`` reports on one vital by a live row, ``all_vitals.py`` on all together,
``lasting_change.py`` on changes that last for days, and ``shadow.py`` on rows that are only tried.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Finding, Reading, Score
from rpm_stream.score.baseline.all_vitals import Combined
from rpm_stream.score.baseline.lasting_change import Lasting
from rpm_stream.score.baseline.learning import Columns, LiveDetectors, Numbers, Paused, StretchTimes
from rpm_stream.score.baseline.one_vital import Personal
from rpm_stream.score.baseline.report import ReportTables
from rpm_stream.score.baseline.runner import Runner
from rpm_stream.score.baseline.shadow import Shadow
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.detectors.detector_entry import SHADOW
from rpm_stream.score.detectors.entries import entries
from rpm_stream.score.memory.state import ScoreState

LearnedResult: TypeAlias = tuple[Score | None, Finding | None]


class Learned:
    """The detectors, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        numbers = Numbers(knowledge)
        tables = ReportTables(knowledge=knowledge, numbers=numbers, words=UsualWords(knowledge))
        pause = timedelta(hours=knowledge.detectors.combined.learn_for_hours)
        rows = entries(knowledge)
        self._known = {row.key(each.vital) for row in rows for each in row.features}
        runners = [Runner(row, pause) for row in rows]
        live = {runner.entry.when: runner for runner in runners if runner.entry.mode == "live"}
        shadows = [runner for runner in runners if runner.entry.mode == "shadow"]
        self._personal = Personal(tables, live["reading"])
        self._lasting = Lasting(tables, live["learned"])
        self._combined = Combined(tables, live["moment"])
        self._of_readings = [
            Shadow(knowledge, each, numbers) for each in shadows if each.entry.is_of_each
        ]
        self._of_moments = [
            Shadow(knowledge, each, numbers) for each in shadows if not each.entry.is_of_each
        ]

    def instant(
        self,
        state: ScoreState,
        live: LiveDetectors,
        readings: Sequence[Reading],
        late: Collection[str],
        paused: Paused,
    ) -> Iterator[LearnedResult]:
        """Yield what each detector finds in the readings of one instant.

        ``late`` has the ids of those that came late.
        """
        if not live.of:
            self._drop_strangers(state)
        for reading in readings:
            looked = self._personal.look(state, live, reading, reading.id in late, paused)
            if looked.score is not None or looked.finding is not None:
                yield looked.score, looked.finding
            if reading.vital in state.changed:
                self._lasting.listed(state, reading, paused)
            if looked.learned:
                lasting, restart_from = self._lasting.learn(state, live, reading, looked, paused)
                if restart_from is not None:
                    self._personal.settle(live, reading.vital, restart_from)
                if lasting is not None:
                    yield None, lasting
            for shadow in self._of_readings:
                yield shadow.one(state, live, reading, reading.id in late, paused), None
        if readings and not late:
            yield self._combined.look(state, live, readings, paused)
            for shadow in self._of_moments:
                yield shadow.together(state, live, readings, paused), None

    def calm_until(
        self, state: ScoreState, live: LiveDetectors, columns: Columns, times: StretchTimes
    ) -> datetime:
        """Up to when nothing is flagged, learned or put out; the first moment where a detector has
        to look at each reading.
        """
        is_watched = self._of_readings or self._of_moments or not live.of
        is_news = not state.changed.keys().isdisjoint(columns)
        if is_watched or is_news:
            return times.moments[0]
        found = (self._personal.calm_until(state, live, each) for each in columns.values())
        return min(*found, self._combined.calm_until(state, live, columns, times))

    def pass_by(self, state: ScoreState, columns: Columns, complete: Sequence[datetime]) -> None:
        """Each vital is calm by its readings; all together at the moments that were complete."""
        self._combined.pass_by(state, complete)
        for column in columns.values():
            self._personal.pass_by(state, column)

    def _drop_strangers(self, state: ScoreState) -> None:
        """Drop what is stored of shadow rows that are no longer in the table, to save room."""
        for stored in (state.detectors, state.learned_at, state.emitted, state.scored_at or {}):
            for key in [key for key in stored if key.startswith(SHADOW) and key not in self._known]:
                del stored[key]
