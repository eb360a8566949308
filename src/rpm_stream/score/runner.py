"""Runs one row of the table of detectors: restores, scores, keeps the run of flagged values, learns when it is time.

Prequential: what is asked is scored, the caller says what it means, then it is learned (``learning.py`` says when).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rpm_stream.records import Reading, Record
from rpm_stream.score.codec import StateError
from rpm_stream.score.detector import Detector, Vector
from rpm_stream.score.entries import Entry, sources_of
from rpm_stream.score.learning import LiveDetectors, Numbers, Paused, flag_run, is_time_to_learn
from rpm_stream.score.state import FlagRun, ScoreState


class Asked(Record, frozen=True, kw_only=True, gc=False):
    """What a detector is asked: of a vital (of several together any name), when, and what pauses learning."""

    vital: str
    x: Vector
    at: datetime
    group: str
    paused: Paused
    late: bool = False


class Answer(Record, frozen=True, kw_only=True, gc=False):
    """What it answered. ``is_news``: a run of flagged values that nobody has called the new normal."""

    detector: Detector
    score: float
    flagged: bool
    run: FlagRun | None = None
    is_news: bool = False


class Runner:
    """One row, bound to how long learning pauses."""

    def __init__(self, entry: Entry, pause: timedelta) -> None:
        self.entry, self._pause = entry, pause
        self._threshold, self._is_live = entry.kind.threshold, entry.mode == "live"
        self._keys = {each.vital: entry.key(each.vital) for each in entry.features}
        self.vitals = frozenset(self._keys)
        self.numbers_of = sources_of(entry.features)
        self._watched = frozenset(vital for vitals in self.numbers_of.values() for vital in vitals)
        self._fresh = timedelta(minutes=entry.fresh_for_minutes)

    def detector(self, state: ScoreState, live: LiveDetectors, vital: str) -> Detector:
        """Return the live detector that looks at a vital; a new one where what was learned cannot be read."""
        key = self._keys.get(vital, self.entry.prefix)
        detector = live.of.get(key)
        if detector is None:
            features, stored = self.entry.of(vital), state.detectors.get(key)
            try:
                detector = self.entry.kind.restore(features, stored) if stored else self.entry.kind.fresh(features)
            except StateError:  # learned under other settings; the state itself was checked
                detector = self.entry.kind.fresh(features)
            live.of[key] = detector
        return detector

    def answer(self, state: ScoreState, live: LiveDetectors, asked: Asked) -> Answer | None:
        """Score what is asked and carry on the run of flagged values; None where the detector has no answer."""
        detector = self.detector(state, live, asked.vital)
        try:
            score = detector.score_one(asked.x)
        except ValueError:  # zero: no logarithm, and no body; the limits have judged it
            return None
        flagged = detector.warm and score >= self._threshold
        if asked.late or not self._is_live:
            return Answer(detector=detector, score=score, flagged=flagged)
        run = flag_run(state, self._keys.get(asked.vital, self.entry.prefix), asked.at, flagged)
        is_news = run is not None and not asked.paused.is_accepted(run.since, asked.group)
        return Answer(detector=detector, score=score, flagged=flagged, run=run, is_news=is_news)

    def learn(self, state: ScoreState, live: LiveDetectors, asked: Asked, answer: Answer) -> bool:
        """Learn what was asked, unless it came late or something is going on; whether it was learned."""
        if asked.late:
            return False
        since = asked.paused.open_since(answer.run, asked.group)
        if since is not None and asked.at - since < self._pause:
            return False
        key = self._keys.get(asked.vital, self.entry.prefix)
        if not is_time_to_learn(state, key, asked.at, answer.detector.warm):
            return False
        answer.detector.learn_one(asked.x)
        live.touched[key] = answer.detector
        return True

    def complete(self, state: ScoreState, instant: Sequence[Reading]) -> dict[str, Reading] | None:
        """Return the newest reading of each feature, if all are fresh and this instant brought one of them."""
        if not any(reading.vital in self._watched for reading in instant):
            return None
        at, latest = instant[0].measured_at, state.latest
        found: dict[str, Reading] = {}
        for feature, vitals in self.numbers_of.items():
            known = [latest[vital] for vital in vitals if vital in latest]
            newest = max(known, key=lambda reading: reading.measured_at, default=None)
            if newest is None or newest.value is None or not timedelta(0) <= at - newest.measured_at <= self._fresh:
                return None
            found[feature] = newest
        here = {reading.id for reading in instant}
        return found if any(reading.id in here for reading in found.values()) else None


def vector_of(numbers: Numbers, readings: dict[str, Reading]) -> Vector:
    """Return the readings of a vector as numbers."""
    return {feature: numbers.of(reading) for feature, reading in readings.items()}
