"""All vitals of a patient together: an unusual combination, on fresh and complete vectors alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Reading, Score
from rpm_stream.score.codec import StateError
from rpm_stream.score.detector import Feature, Vector
from rpm_stream.score.detectors import VECTOR_DETECTORS
from rpm_stream.score.half_space_trees import HalfSpaceTrees
from rpm_stream.score.learning import LiveDetectors, Numbers, Paused, flag_run, is_sustained, is_time_to_learn
from rpm_stream.score.rules import emits
from rpm_stream.score.state import ScoreState
from rpm_stream.score.usual_words import UsualWords

GROUP = "vital_signs"  # of the multi-vital detector
PULSE = ("heart_rate", "pulse_rate")  # one feature, whichever device told it last
NAME = HalfSpaceTrees.name
TOLD = 3  # vitals in the words, at most,
TOLD_FROM = 0.25  # and of those only with so much of the first one's share: the second is always told


class Combined:
    """The multi-vital detector, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge, numbers: Numbers, words: UsualWords) -> None:
        self._numbers, self._words = numbers, words
        self._table = knowledge.detectors.combined
        self._kind = VECTOR_DETECTORS[NAME]
        self._features = tuple(
            Feature(vital=name, resolution=numbers.features[PULSE[0] if name == "pulse" else name].resolution)
            for name in self._table.features
        )
        self._sources = {name: PULSE if name == "pulse" else (name,) for name in self._table.features}
        self._watched = frozenset(vital for vitals in self._sources.values() for vital in vitals)
        self._pause = timedelta(hours=self._table.learn_for_hours)
        self._fresh = timedelta(minutes=self._table.fresh_for_minutes)

    def look(
        self, state: ScoreState, live: LiveDetectors, instant: Sequence[Reading], paused: Paused
    ) -> tuple[Score | None, Finding | None]:
        """Score one instant, then learn it, where every vital is known and fresh."""
        readings = self._complete(state, instant)
        if readings is None:
            return None, None
        at = instant[0].measured_at
        detector = live.combined
        if detector is None:
            detector = live.combined = self._restored(state)
        x: Vector = {feature: self._numbers.of(reading) for feature, reading in readings.items()}
        try:
            score = detector.score_one(x)
        except ValueError:
            return None, None
        flagged = detector.warm and score >= self._kind.threshold
        parts = detector.contributions(x) if flagged else {}
        record = None
        if detector.warm and emits(state, NAME, at, "flagged" if flagged else ""):
            record = self._record(detector, score, parts, (instant[0], *readings.values()))
        run = flag_run(state, NAME, at, flagged)
        finding = None
        is_news = run is not None and not paused.is_accepted(run.since, GROUP)
        if run and is_news and is_sustained(run, at, self._table.sustained_count, self._table.sustained_minutes):
            finding = self._finding(detector, parts, readings, instant[0])
        since = paused.open_since(run, GROUP)
        if (since is None or at - since >= self._pause) and is_time_to_learn(state, NAME, at, detector.warm):
            detector.learn_one(x)
            live.touched[NAME] = detector
        return record, finding

    def _restored(self, state: ScoreState) -> HalfSpaceTrees:
        stored = state.detectors.get(NAME)
        try:
            return HalfSpaceTrees.from_state(self._features, stored) if stored else HalfSpaceTrees(self._features)
        except StateError:
            return HalfSpaceTrees(self._features)

    def _complete(self, state: ScoreState, instant: Sequence[Reading]) -> dict[str, Reading] | None:
        """The newest reading of each feature, if all are fresh and this instant brought one of them."""
        if not any(reading.vital in self._watched for reading in instant):
            return None
        at, latest = instant[0].measured_at, state.latest
        found: dict[str, Reading] = {}
        for feature, vitals in self._sources.items():
            known = [latest[vital] for vital in vitals if vital in latest]
            newest = max(known, key=lambda reading: reading.measured_at, default=None)
            if newest is None or newest.value is None or not timedelta(0) <= at - newest.measured_at <= self._fresh:
                return None
            found[feature] = newest
        here = {reading.id for reading in instant}
        return found if any(reading.id in here for reading in found.values()) else None

    def _record(
        self, detector: HalfSpaceTrees, score: float, parts: Mapping[str, float], readings: Sequence[Reading]
    ) -> Score:
        """``readings``: the one that gives the id, then those of the vector."""
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
        self, detector: HalfSpaceTrees, parts: Mapping[str, float], readings: Mapping[str, Reading], first: Reading
    ) -> Finding:
        ranked = sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:TOLD]
        told = [name for place, (name, share) in enumerate(ranked) if place < 2 or share >= TOLD_FROM * ranked[0][1]]
        leading = readings[told[0]]
        here = [reading for reading in readings.values() if reading.measured_at == first.measured_at]
        opening = leading if leading in here else here[0]
        usual = detector.expected()
        said = self._words.together((readings[name], usual[name][0]) for name in told)
        return Finding(
            member=f"detector:{detector.name}",
            rule=f"detector.{detector.name}@{detector.version}",
            group=GROUP,
            priority="low",
            title="Vital signs unusual together for this person",
            why=f"unusual together: {said} (learned)",
            evidence=(opening, *(reading for reading in readings.values() if reading.id != opening.id)),
            vital=opening.vital,
            measured_at=first.measured_at,
        )
