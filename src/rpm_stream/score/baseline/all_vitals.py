"""All vitals of a patient together: unusual combinations in fresh and complete vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Key, Reading, Score
from rpm_stream.score.baseline.learning import LiveDetectors, Numbers, Paused, is_sustained
from rpm_stream.score.baseline.runner import Asked, Runner, vector_of
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.protocol import Detector
from rpm_stream.score.memory.marks import emits
from rpm_stream.score.memory.state import ScoreState

GROUP = "vital_signs"  # the group of the detector of several vitals
NAME = HalfSpaceTrees.name
TOLD = 3  # most vitals that a text names
# The third vital is named only if it has this part of the first one's share. The second always is.
TOLD_FROM = 0.25


class Combined:
    """The detector of all vitals, bound to the knowledge."""

    def __init__(
        self, knowledge: Knowledge, runner: Runner, numbers: Numbers, words: UsualWords
    ) -> None:
        self._runner = runner
        self._numbers = numbers
        self._words = words
        self._table = knowledge.detectors.combined
        self._kind = runner.entry.kind

    def look(
        self, state: ScoreState, live: LiveDetectors, instant: Sequence[Reading], paused: Paused
    ) -> tuple[Score | None, Finding | None]:
        """Score one instant, then learn it, if every vital is known and fresh."""
        readings = self._runner.complete(state, instant)
        if readings is None:
            return None, None
        at = instant[0].measured_at
        asked = Asked(NAME, vector_of(self._numbers, readings), at, GROUP, paused)
        detector = self._runner.answer(state, live, asked)
        if detector is None:
            return None, None
        run = asked.run
        parts = detector.contributions(asked.x) if asked.flagged else {}
        record = None
        if asked.warm and emits(state, NAME, at, "flagged" if asked.flagged else ""):
            record = self._record(detector, asked.score, parts, (instant[0], *readings.values()))
        finding = None
        if (
            run
            and asked.is_news
            and is_sustained(run, at, self._table.sustained_count, self._table.sustained_minutes)
        ):
            finding = self._finding(detector, parts, readings, instant[0])
        self._runner.learn(state, live, asked)
        return record, finding

    def _record(
        self,
        detector: Detector,
        score: float,
        parts: Mapping[str, float],
        readings: Sequence[Reading],
    ) -> Score:
        """The record of a score.

        ``readings`` are the one that gives the id, then those of the vector.
        """
        first = readings[0]
        return Score(
            id=deterministic_id("score", detector.name, first.id),
            patient=first.patient,
            readings=tuple(reading.id for reading in readings[1:]),
            vital=None,
            value=None,
            detector=detector.name,
            version=detector.version,
            score=score,
            score_min=score,
            score_max=score,
            threshold=self._kind.threshold,
            contributions=dict(parts),
            measured_at=first.measured_at,
        )

    def _finding(
        self,
        detector: Detector,
        parts: Mapping[str, float],
        readings: Mapping[str, Reading],
        first: Reading,
    ) -> Finding:
        ranked = sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:TOLD]
        told = [
            name
            for place, (name, share) in enumerate(ranked)
            if place < 2 or share >= TOLD_FROM * ranked[0][1]
        ]
        leading = readings[told[0]]
        here = [
            reading for reading in readings.values() if reading.measured_at == first.measured_at
        ]
        opening = leading if leading in here else here[0]
        usual = detector.expected()
        said = self._words.together((readings[name], usual[name][0]) for name in told)
        return Finding(
            kind="detector",
            key=Key(what=detector.name),
            member=f"detector:{detector.name}",
            rule=f"detector.{detector.name}@{detector.version}",
            group=GROUP,
            priority="low",
            title="Vital signs unusual together for this person",
            why=f"unusual together: {said} (learned)",
            evidence=(
                opening,
                *(reading for reading in readings.values() if reading.id != opening.id),
            ),
            vital=opening.vital,
            measured_at=first.measured_at,
        )
