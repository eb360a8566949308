"""All vitals of a patient together: unusual combinations in fresh and complete vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rpm_stream.records import Finding, Key, Reading, Score
from rpm_stream.score.baseline.learning import (
    Columns,
    LiveDetectors,
    Paused,
    StretchTimes,
    calm_by_time,
    is_sustained,
)
from rpm_stream.score.baseline.report import LiveReport, ReportTables, score_record
from rpm_stream.score.baseline.runner import DetectorCall, Runner, vector_of
from rpm_stream.score.detectors.protocol import Detector
from rpm_stream.score.memory.column import FOREVER
from rpm_stream.score.memory.member_names import detector_member
from rpm_stream.score.memory.state import ScoreState, emits, note_calm_for

GROUP = "vital_signs"  # the group of the detector of several vitals
MOST_NAMED = 3  # most vitals that a text names
# The third vital is named only if it has this part of the first one's share. The second always is.
NAMED_FROM = 0.25


class Combined(LiveReport):
    """The row of all vitals together."""

    def __init__(self, tables: ReportTables, runner: Runner) -> None:
        super().__init__(tables, runner)
        self._name = runner.entry.name
        self._table = tables.knowledge.detectors.combined

    def look(
        self, state: ScoreState, live: LiveDetectors, instant: Sequence[Reading], paused: Paused
    ) -> tuple[Score | None, Finding | None]:
        """Score one instant, then learn it, if every vital is known and fresh."""
        readings = self._runner.complete(state, instant)
        if readings is None:
            return None, None
        at = instant[0].measured_at
        asked = DetectorCall(self._name, vector_of(self._numbers, readings), at, GROUP, paused)
        detector = self._runner.answer(state, live, asked)
        if detector is None:
            return None, None
        run = asked.run
        parts = detector.contributions(asked.x) if asked.flagged else {}
        record = None
        if asked.warm and emits(state, self._name, at, "flagged" if asked.flagged else ""):
            vector = (instant[0], *readings.values())
            record = score_record(self._entry, vector, asked.score, contributions=parts)
        finding = None
        if (
            run
            and asked.is_news
            and is_sustained(run, at, self._table.sustained_count, self._table.sustained_minutes)
        ):
            finding = self._finding(detector, parts, readings, instant[0])
        self._runner.learn(state, live, asked)
        return record, finding

    def calm_until(
        self, state: ScoreState, live: LiveDetectors, columns: Columns, times: StretchTimes
    ) -> datetime:
        """Up to when the warm detector flags, learns and puts out nothing.

        The moments at which it looked are appended to ``times.complete``.
        """
        times.complete.clear()
        until = FOREVER
        scores: dict[tuple[float, ...], float] = {}
        for at, readings in self._runner.completed(state, columns, times.moments):
            if not times.complete:
                until = calm_by_time(state, live, (self._name, self._name), at)
            if at >= until:
                break
            x = vector_of(self._numbers, readings)
            values = tuple(x.values())
            if values not in scores:
                try:
                    scores[values] = live.of[self._name].score_one(x)
                except ValueError:  # as in ``Runner.answer``
                    return at
            if scores[values] >= self._kind.threshold:
                return at
            times.complete.append(at)
        return until

    def pass_by(self, state: ScoreState, complete: Sequence[datetime]) -> None:
        """The vitals together are calm at the moments at which all of them were known."""
        if complete:
            note_calm_for(state, detector_member(self._name), complete[0], complete[-1])

    def _finding(
        self,
        detector: Detector,
        parts: Mapping[str, float],
        readings: Mapping[str, Reading],
        first: Reading,
    ) -> Finding:
        ranked = sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:MOST_NAMED]
        named = [
            name
            for place, (name, share) in enumerate(ranked)
            if place < 2 or share >= NAMED_FROM * ranked[0][1]
        ]
        leading = readings[named[0]]
        here = [
            reading for reading in readings.values() if reading.measured_at == first.measured_at
        ]
        opening = leading if leading in here else here[0]
        usual = detector.expected()
        listed = self._tables.words.together((readings[name], usual[name][0]) for name in named)
        return Finding(
            kind="detector",
            key=Key(what=detector.name),
            member=detector_member(detector.name),
            rule=f"detector.{detector.name}@{detector.version}",
            group=GROUP,
            priority="low",
            title="Vital signs unusual together for this person",
            why=f"unusual together: {listed} (learned)",
            evidence=(
                opening,
                *(reading for reading in readings.values() if reading.id != opening.id),
            ),
            vital=opening.vital,
            measured_at=first.measured_at,
        )
