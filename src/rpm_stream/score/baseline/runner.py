"""Runs one row of the table of detectors.

It restores the detector, scores, keeps the run of flagged values, and learns when it is time. The
order is prequential: a value is scored, the caller evaluates the score, and then the value is
learned (``learning.py`` decides when).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, groupby

import msgspec

from rpm_stream.records import Finding, Reading, Record, Score
from rpm_stream.score.baseline.learning import (
    LiveDetectors,
    Numbers,
    Paused,
    flag_run,
    is_time_to_learn,
)
from rpm_stream.score.detectors.codec import StateError
from rpm_stream.score.detectors.detector_entry import DetectorEntry, sources_of
from rpm_stream.score.detectors.protocol import Detector, Vector
from rpm_stream.score.memory.column import Column, measured_at
from rpm_stream.score.memory.state import FlagRun, ScoreState

NO_TIME = timedelta(0)


class DetectorCall(msgspec.Struct, gc=False):
    """A question to a detector and its answer.

    The question is the detector (``key``, its name in the state), the vector, the time, and what
    pauses its learning. ``Runner.answer`` fills in the rest. ``is_news`` is true for a run of
    flagged values that no person has declared the new normal.
    """

    key: str
    x: Vector
    at: datetime
    group: str
    paused: Paused
    late: bool = False
    score: float = 0.0
    warm: bool = False
    flagged: bool = False
    run: FlagRun | None = None
    is_news: bool = False


class Looked(Record, frozen=True, kw_only=True):
    """The result of one reading.

    ``learned`` is true if the detector learned it. ``in_spite_of`` is the run of flagged values
    that did not prevent that, if there is one.
    """

    score: Score | None = None
    finding: Finding | None = None
    learned: bool = False
    in_spite_of: FlagRun | None = None


class Runner:
    """One row of the table, bound to the length of the learning pause."""

    def __init__(self, entry: DetectorEntry, pause: timedelta) -> None:
        self.entry = entry
        self._pause = pause
        self._threshold = entry.kind.threshold
        self._is_live = entry.mode == "live"
        self.keys = {each.vital: entry.key(each.vital) for each in entry.features}
        self._features = {key: entry.of(vital) for vital, key in self.keys.items()}
        self._sources = sources_of(entry.features)
        self._watched = frozenset(vital for vitals in self._sources.values() for vital in vitals)
        self._fresh = timedelta(minutes=entry.fresh_for_minutes)

    def detector(self, state: ScoreState, live: LiveDetectors, key: str) -> Detector:
        """Return the live detector of that name, or a new one where its state cannot be read."""
        detector = live.of.get(key)
        if detector is None:
            features = self._features[key]
            stored = state.detectors.get(key)
            try:
                detector = (
                    self.entry.kind.restore(features, stored)
                    if stored
                    else self.entry.kind.fresh(features)
                )
            except StateError:  # learned under other settings, as the state itself was checked
                detector = self.entry.kind.fresh(features)
            live.of[key] = detector
        return detector

    def answer(
        self, state: ScoreState, live: LiveDetectors, asked: DetectorCall
    ) -> Detector | None:
        """Score the question and update the run of flagged values.

        Return None where the detector has no score.
        """
        detector = live.of.get(asked.key)
        if detector is None:
            detector = self.detector(state, live, asked.key)
        try:
            asked.score = score = detector.score_one(asked.x)
        except ValueError:  # a zero has no logarithm, and the limits have judged it
            return None
        asked.warm = warm = detector.warm
        asked.flagged = flagged = warm and score >= self._threshold
        if asked.late or not self._is_live:
            return detector
        asked.run = run = flag_run(state, asked.key, asked.at, flagged)
        asked.is_news = run is not None and not asked.paused.is_accepted(run.since, asked.group)
        return detector

    def learn(self, state: ScoreState, live: LiveDetectors, asked: DetectorCall) -> bool:
        """Learn the vector of the question, unless it came late or learning is paused.

        Return whether it was learned.
        """
        if asked.late:
            return False
        if asked.run is not None or asked.group in asked.paused.since:
            since = asked.paused.open_since(asked.run, asked.group)
            if since is not None and asked.at - since < self._pause:
                return False
        if not is_time_to_learn(state, asked.key, asked.at, asked.warm):
            return False
        detector = live.of[asked.key]
        detector.learn_one(asked.x)
        live.touched[asked.key] = detector
        return True

    def complete(self, state: ScoreState, instant: Sequence[Reading]) -> dict[str, Reading] | None:
        """Return the newest reading of each feature, or None.

        All must be fresh, and at least one must be of this instant.
        """
        if not any(reading.vital in self._watched for reading in instant):
            return None
        found = self._fresh_ones(state.latest, instant[0].measured_at)
        if found is None:
            return None
        here = {reading.id for reading in instant}
        return found if any(reading.id in here for reading in found.values()) else None

    def completed(
        self, state: ScoreState, columns: Mapping[str, Column], times: Sequence[datetime]
    ) -> Iterator[tuple[datetime, dict[str, Reading]]]:
        """The moments of ``times`` at which ``complete`` will have an answer, each with it.

        ``columns`` bring the readings that are not in the state yet.
        """
        if self._is_never_complete(state, columns, times[0]):
            return
        watched = [columns[vital].readings for vital in columns if vital in self._watched]
        coming = sorted(chain.from_iterable(watched), key=measured_at)
        newest = {vital: state.latest[vital] for vital in self._watched & state.latest.keys()}
        for at, group in groupby(coming, key=measured_at):
            here = {reading.vital: reading for reading in group}
            newest.update(here)
            found = self._fresh_ones(newest, at)
            if found is not None and any(here.get(each.vital) is each for each in found.values()):
                yield at, found

    def _fresh_ones(self, latest: Mapping[str, Reading], at: datetime) -> dict[str, Reading] | None:
        """Return the newest reading of each feature, or None unless all are fresh at ``at``."""
        found: dict[str, Reading] = {}
        for feature, vitals in self._sources.items():
            newest = _newest(latest, vitals)
            if newest is None or newest.value is None:
                return None
            if not NO_TIME <= at - newest.measured_at <= self._fresh:
                return None
            found[feature] = newest
        return found

    def _is_never_complete(
        self, state: ScoreState, columns: Collection[str], begin: datetime
    ) -> bool:
        """Whether nothing is watched, or what else is needed is unknown or too old already."""
        if self._watched.isdisjoint(columns):
            return True
        for vitals in self._sources.values():
            if not any(vital in columns for vital in vitals):
                newest = _newest(state.latest, vitals)
                if newest is None or newest.value is None:
                    return True
                if begin - newest.measured_at > self._fresh:
                    return True
        return False


def _newest(latest: Mapping[str, Reading], vitals: Sequence[str]) -> Reading | None:
    known = [latest[vital] for vital in vitals if vital in latest]
    return max(known, key=measured_at, default=None)


def vector_of(numbers: Numbers, readings: dict[str, Reading]) -> Vector:
    """Return the readings of a vector as numbers."""
    return {feature: numbers.of(reading) for feature, reading in readings.items()}
