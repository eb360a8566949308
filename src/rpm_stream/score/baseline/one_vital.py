"""One vital against this person's usual: a score a reading, and a low finding if it lasts."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.records import Finding, Key, Reading, Score
from rpm_stream.score.baseline.learning import (
    LiveDetectors,
    Paused,
    calm_by_time,
    is_sustained,
)
from rpm_stream.score.baseline.report import LiveReport, ReportTables, score_record
from rpm_stream.score.baseline.runner import DetectorCall, Looked, Runner
from rpm_stream.score.detectors.protocol import Detector
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.member_names import detector_member
from rpm_stream.score.memory.state import FlagRun, ScoreState, emits, note_calm_for

NOTHING = Looked()


class Personal(LiveReport):
    """The row of single vitals."""

    def __init__(self, tables: ReportTables, runner: Runner) -> None:
        super().__init__(tables, runner)
        self._table = tables.knowledge.detectors.personal
        self._groups = {name: row.group for name, row in self._vitals.items()}

    def look(
        self, state: ScoreState, live: LiveDetectors, reading: Reading, late: bool, paused: Paused
    ) -> Looked:
        """Score one reading, then learn it unless it came late or learning is paused."""
        vital = reading.vital
        key = self._keys.get(vital)
        if key is None or reading.value is None:
            return NOTHING
        at = reading.measured_at
        asked = DetectorCall(
            key, {vital: self._numbers.of(reading)}, at, self._groups[vital], paused, late
        )
        detector = self._runner.answer(state, live, asked)
        if detector is None:
            return NOTHING
        run = asked.run
        record = self._record(state, reading, detector, asked.score) if asked.warm else None
        finding = (
            self._finding(reading, detector, run, asked.group) if run and asked.is_news else None
        )
        learned = self._runner.learn(state, live, asked)
        if record is None and finding is None and not learned:
            return NOTHING
        return Looked(
            score=record, finding=finding, learned=learned, in_spite_of=run if learned else None
        )

    def calm_until(self, state: ScoreState, live: LiveDetectors, column: Column) -> datetime:
        """Up to when the detector, that is warm, neither flags a reading nor learns or puts out
        one.
        """
        vital = column.vital
        key = self._keys.get(vital)
        if key is None:
            return FOREVER
        until = calm_by_time(state, live, (key, vital), column.begin)
        if until <= column.begin:
            return column.begin
        detector = live.of[key]
        flagged: set[str | None] = set()
        for value, reading in column.by_value().items():
            try:
                score = detector.score_one({vital: self._numbers.of(reading)})
            except ValueError:  # as in ``Runner.answer``
                return column.begin
            if score >= self._kind.threshold:
                flagged.add(value)
        if flagged:
            first = next(each for each in column.readings if each.value in flagged)
            until = min(until, first.measured_at)
        return until

    def pass_by(self, state: ScoreState, column: Column) -> None:
        """The vital is calm by the readings."""
        key = self._keys.get(column.vital)
        if key is not None:
            note_calm_for(state, detector_member(key), column.begin, column.end)

    def settle(self, live: LiveDetectors, vital: str, usual: tuple[float, float]) -> None:
        """Begin again around a usual value and spread, if the detector would be slow to forget."""
        if self._kind.around is not None:
            live.of[vital] = live.touched[vital] = self._kind.around(
                self._numbers.features[vital], usual
            )

    def _record(
        self, state: ScoreState, reading: Reading, detector: Detector, score: float
    ) -> Score | None:
        threshold = self._kind.threshold
        if not emits(
            state, reading.vital, reading.measured_at, "flagged" if score >= threshold else ""
        ):
            return None
        usual, spread = detector.expected()[reading.vital]
        limits = {"usual": round(usual, 6), "spread": round(spread, 6)}
        return score_record(self._entry, (reading, reading), score, limits)

    def _finding(
        self, reading: Reading, detector: Detector, run: FlagRun, group: str
    ) -> Finding | None:
        if not is_sustained(
            run, reading.measured_at, self._table.sustained_count, self._table.sustained_minutes
        ):
            return None
        usual = detector.expected()[reading.vital][0]
        return Finding(
            kind="detector",
            key=Key(vital=reading.vital),
            member=detector_member(reading.vital),
            rule=f"detector.{detector.name}.{reading.vital}@{detector.version}",
            group=group,
            priority="low",
            title=f"{self._vitals[reading.vital].display} unusual for this person",
            why=f"{self._tables.words.value(reading, usual)} (learned)",
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
        )
