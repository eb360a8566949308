"""One vital at a time against this person's usual: a score a reading, and a low finding where it lasts."""

from __future__ import annotations

from datetime import timedelta

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Reading, Record, Score
from rpm_stream.score.codec import StateError
from rpm_stream.score.detector import Detector, Vector
from rpm_stream.score.detectors import VITAL_DETECTORS
from rpm_stream.score.learning import LiveDetectors, Numbers, Paused, flag_run, is_sustained, is_time_to_learn
from rpm_stream.score.rules import emits
from rpm_stream.score.state import FlagRun, ScoreState
from rpm_stream.score.usual_words import UsualWords


class Looked(Record, frozen=True, kw_only=True):
    """What one reading was to the detector. ``learned``; ``in_spite_of``: the run of flagged values, then."""

    score: Score | None = None
    finding: Finding | None = None
    learned: bool = False
    in_spite_of: FlagRun | None = None


NOTHING = Looked()


class Personal:
    """The detector that the table chooses, bound to the knowledge."""

    def __init__(self, knowledge: Knowledge, numbers: Numbers, words: UsualWords) -> None:
        self._knowledge, self._numbers, self._words = knowledge, numbers, words
        self._table = knowledge.detectors.personal
        self._kind = VITAL_DETECTORS[self._table.detector]
        self._pause = timedelta(hours=knowledge.detectors.combined.learn_for_hours)

    def look(self, state: ScoreState, live: LiveDetectors, reading: Reading, late: bool, paused: Paused) -> Looked:
        """Score one reading, then learn it unless it came late or something is going on."""
        if reading.vital not in self._table.vitals or reading.value is None:
            return NOTHING
        name, at = reading.vital, reading.measured_at
        x: Vector = {name: self._numbers.of(reading)}
        detector = live.vitals.get(name)
        if detector is None:
            detector = live.vitals[name] = self._restored(state, name)
        try:
            score = detector.score_one(x)
        except ValueError:  # zero: no logarithm, and no body; the limits have judged it
            return NOTHING
        flagged = detector.warm and score >= self._kind.threshold
        record = self._record(state, reading, detector, score) if detector.warm else None
        if late:
            return Looked(score=record)
        group = self._knowledge.vitals[name].group
        run = flag_run(state, name, at, flagged)
        is_news = run is not None and not paused.is_accepted(run.since, group)
        finding = self._finding(reading, detector, run, group) if run and is_news else None
        since = paused.open_since(run, group)
        learned = (since is None or at - since >= self._pause) and is_time_to_learn(state, name, at, detector.warm)
        if learned:
            detector.learn_one(x)
            live.touched[name] = detector
        return Looked(score=record, finding=finding, learned=learned, in_spite_of=run if learned else None)

    def settle(self, live: LiveDetectors, vital: str, usual: tuple[float, float]) -> None:
        """Begin anew around a usual value and spread, where the detector would take long to forget the old one."""
        if self._kind.around is not None:
            live.vitals[vital] = live.touched[vital] = self._kind.around(self._numbers.features[vital], usual)

    def _restored(self, state: ScoreState, name: str) -> Detector:
        """What was learned so far; nothing where it was learned under other settings (the state itself was checked)."""
        feature, stored = self._numbers.features[name], state.detectors.get(name)
        try:
            return self._kind.restore((feature,), stored) if stored else self._kind.fresh(feature)
        except StateError:
            return self._kind.fresh(feature)

    def _record(self, state: ScoreState, reading: Reading, detector: Detector, score: float) -> Score | None:
        threshold = self._kind.threshold
        if not emits(state, reading.vital, reading.measured_at, "flagged" if score >= threshold else ""):
            return None
        usual, spread = detector.expected()[reading.vital]
        return Score(
            id=deterministic_id("score", detector.name, reading.id),
            patient=reading.patient,
            readings=(reading.id,),
            vital=reading.vital,
            value=reading.value,
            detector=detector.name,
            version=detector.version,
            score=score,
            score_min=score,
            score_max=score,
            threshold=threshold,
            limits={"usual": round(usual, 6), "spread": round(spread, 6)},
            measured_at=reading.measured_at,
        )

    def _finding(self, reading: Reading, detector: Detector, run: FlagRun, group: str) -> Finding | None:
        if not is_sustained(run, reading.measured_at, self._table.sustained_count, self._table.sustained_minutes):
            return None
        return Finding(
            member=f"detector:{reading.vital}",
            rule=f"detector.{detector.name}.{reading.vital}@{detector.version}",
            group=group,
            priority="low",
            title=f"{self._knowledge.vitals[reading.vital].display} unusual for this person",
            why=f"{self._words.value(reading, detector.expected()[reading.vital][0])} (learned)",
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
        )
