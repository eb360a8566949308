"""The River detectors over one instant of one patient: what is unusual for this person.

Prequential: each value is scored, then learned. Learning of a vital pauses while its values are flagged or its
episode is open, at most ``learn_for_hours`` of measured time: deterioration is not learned as normal, and a lasting
shift is not locked out for ever (law 5). A late reading is scored against the present state and not learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Reading, Record, Score
from rpm_stream.score.codec import StateError
from rpm_stream.score.detector import Feature
from rpm_stream.score.detectors import VECTOR_DETECTORS, VITAL_DETECTORS
from rpm_stream.score.gaussian import Gaussian
from rpm_stream.score.half_space_trees import HalfSpaceTrees
from rpm_stream.score.rules import emits, note_calm
from rpm_stream.score.state import FlagRun, ScoreState
from rpm_stream.words import plain_value

LEARN_EVERY = timedelta(minutes=15)  # once warm: at 1 Hz the "usual" would else be the last minutes, not the last days

GROUP = "vital_signs"  # of the multi-vital detector


class Paused(Record, frozen=True, kw_only=True):
    """Since when (measured) an episode is open, by group: its vitals do not learn.

    ``accepted``: up to when a person has called a group's values the new normal: what began before then pauses
    nothing and is not told again.
    """

    since: Mapping[str, datetime]
    accepted: Mapping[str, datetime] = {}

    def is_accepted(self, run: FlagRun | None, group: str) -> bool:
        """Whether a run of unusual values is part of the new normal."""
        accepted = self.accepted.get(group)
        return run is not None and accepted is not None and run.since <= accepted

    def open_since(self, run: FlagRun | None, group: str) -> list[datetime]:
        """When what keeps the group's vitals from learning began."""
        begun = (run.since if run else None, self.since.get(group))
        accepted = self.accepted.get(group)
        return [moment for moment in begun if moment and (accepted is None or moment > accepted)]


class LiveDetectors:
    """The detectors of one patient as River objects, restored when first needed."""

    def __init__(self) -> None:
        self.vitals: dict[str, Gaussian] = {}
        self.combined: HalfSpaceTrees | None = None
        self.touched: set[str] = set()

    def store(self, state: ScoreState) -> None:
        """Seal what has learned since the last time into the state."""
        for name in self.touched:
            detector = self.combined if name == HalfSpaceTrees.name else self.vitals[name]
            if detector is not None:
                state.detectors[name] = detector.to_state()
        self.touched.clear()


class Learned:
    """The detectors, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._personal, self._combined = knowledge.detectors.personal, knowledge.detectors.combined
        self._features = {
            name: Feature(vital=name, resolution=float(row.resolution)) for name, row in knowledge.vitals.items()
        }
        self._vector = tuple(
            Feature(vital=name, resolution=self._features["heart_rate" if name == "pulse" else name].resolution)
            for name in self._combined.features
        )
        self._pause = timedelta(hours=self._combined.learn_for_hours)
        self._fresh = timedelta(minutes=self._combined.fresh_for_minutes)
        self._numbers: dict[tuple[str, str, str], float] = {}

    def _number(self, reading: Reading) -> float:
        """The value in the vital's own unit, as a detector takes it."""
        assert reading.value is not None
        key = (reading.vital, reading.value, reading.unit)
        if key not in self._numbers:
            if len(self._numbers) > 50_000:
                self._numbers.clear()
            row = self._knowledge.vitals[reading.vital]
            self._numbers[key] = float(self._knowledge.convert(Decimal(reading.value), reading.unit, row.unit))
        return self._numbers[key]

    def personal(
        self, state: ScoreState, live: LiveDetectors, reading: Reading, late: bool, paused: Paused
    ) -> tuple[Score | None, Finding | None]:
        """One reading against this person's usual."""
        if reading.vital not in self._personal.vitals or reading.value is None:
            return None, None
        kind, name, x = VITAL_DETECTORS[Gaussian.name], reading.vital, self._number(reading)
        detector = live.vitals.get(name)
        if detector is None:
            detector = live.vitals[name] = self._restored(state, name)
        try:
            score = detector.score_one(x)
        except ValueError:  # zero: no logarithm, and no body; the limits have judged it
            return None, None
        flagged = detector.warm and score >= kind.threshold
        record = self._score(state, reading, detector, score) if detector.warm else None
        if late:
            return record, None
        group = self._knowledge.vitals[name].group
        run = self._run(state, name, reading.measured_at, flagged)
        is_news = flagged and not paused.is_accepted(run, group)
        finding = self._personal_finding(reading, detector, run, group) if is_news else None
        open_since = paused.open_since(run, group)
        if self._learns(state, name, reading.measured_at, open_since, detector.warm):
            detector.learn_one(x)
            live.touched.add(name)
        return record, finding

    def _restored(self, state: ScoreState, name: str) -> Gaussian:
        """What was learned so far; nothing where it was learned under other settings (the state itself was checked)."""
        feature, stored = self._features[name], state.detectors.get(name)
        try:
            return Gaussian.from_state(feature, stored) if stored else Gaussian(feature)
        except StateError:
            return Gaussian(feature)

    def _restored_combined(self, state: ScoreState) -> HalfSpaceTrees:
        stored = state.detectors.get(HalfSpaceTrees.name)
        try:
            return HalfSpaceTrees.from_state(self._vector, stored) if stored else HalfSpaceTrees(self._vector)
        except StateError:
            return HalfSpaceTrees(self._vector)

    def _run(self, state: ScoreState, name: str, at: datetime, flagged: bool) -> FlagRun | None:
        note_calm(state, f"detector:{name}", at, not flagged)
        if not flagged:
            state.runs.pop(name, None)
            return None
        run = state.runs.get(name)
        if run is None:
            run = state.runs[name] = FlagRun(since=at, count=0)
        run.count += 1
        return run

    def _learns(self, state: ScoreState, name: str, at: datetime, open_since: list[datetime], warm: bool) -> bool:
        """Whether a value is learned: not while something is going on, and once warm not the second after another."""
        if open_since and at - min(open_since) < self._pause:
            return False
        last = state.learned_at.get(name)
        if warm and last is not None and at - last < LEARN_EVERY:
            return False
        state.learned_at[name] = at
        return True

    def _score(self, state: ScoreState, reading: Reading, detector: Gaussian, score: float) -> Score | None:
        threshold = VITAL_DETECTORS[Gaussian.name].threshold
        if not emits(state, reading.vital, reading.measured_at, "flagged" if score >= threshold else ""):
            return None
        usual, spread = detector.expected()
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

    def _personal_finding(
        self, reading: Reading, detector: Gaussian, run: FlagRun | None, group: str
    ) -> Finding | None:
        limits = self._personal
        if run is None or not _sustained(run, reading.measured_at, limits.sustained_count, limits.sustained_minutes):
            return None
        row = self._knowledge.vitals[reading.vital]
        usual, _ = detector.expected()
        digits = max(0, -int(row.resolution.normalize().as_tuple().exponent))
        away = self._number(reading) - usual
        side = "above" if away > 0 else "below"
        return Finding(
            member=f"detector:{reading.vital}",
            rule=f"detector.{detector.name}.{reading.vital}@{detector.version}",
            group=group,
            priority="low",
            title=f"{row.display} unusual for this person",
            why=f"{plain_value(reading)}, {abs(away):.{digits}f} {side} the usual {usual:.{digits}f} of this person "
            "(learned)",
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
        )

    def combined(
        self, state: ScoreState, live: LiveDetectors, instant: Sequence[Reading], paused: Paused
    ) -> tuple[Score | None, Finding | None]:
        """All vitals together, where every one is known and fresh."""
        readings = self._complete(state, instant)
        if readings is None:
            return None, None
        at, name = instant[0].measured_at, HalfSpaceTrees.name
        if live.combined is None:
            live.combined = self._restored_combined(state)
        detector, x = live.combined, {feature: self._number(reading) for feature, reading in readings.items()}
        try:
            score = detector.score_one(x)
        except ValueError:
            return None, None
        threshold = VECTOR_DETECTORS[name].threshold
        flagged = detector.warm and score >= threshold
        record = None
        if detector.warm and emits(state, name, at, "flagged" if flagged else ""):
            record = self._combined_score(detector, score, readings, instant[0])
        run = self._run(state, name, at, flagged)
        finding = None
        is_news = not paused.is_accepted(run, GROUP)
        if run and is_news and _sustained(run, at, self._combined.sustained_count, self._combined.sustained_minutes):
            finding = self._combined_finding(detector, x, readings, instant[0])
        if self._learns(state, name, at, paused.open_since(run, GROUP), detector.warm):
            detector.learn_one(x)
            live.touched.add(name)
        return record, finding

    def _complete(self, state: ScoreState, instant: Sequence[Reading]) -> dict[str, Reading] | None:
        """The newest reading of each feature, if all are fresh and this instant brought one of them."""
        at = instant[0].measured_at
        found: dict[str, Reading] = {}
        for feature in self._combined.features:
            vitals = ("heart_rate", "pulse_rate") if feature == "pulse" else (feature,)
            known = [state.latest[vital] for vital in vitals if vital in state.latest]
            newest = max(known, key=lambda reading: reading.measured_at, default=None)
            if newest is None or newest.value is None or not timedelta(0) <= at - newest.measured_at <= self._fresh:
                return None
            found[feature] = newest
        here = {reading.id for reading in instant}
        return found if any(reading.id in here for reading in found.values()) else None

    def _combined_score(
        self, detector: HalfSpaceTrees, score: float, readings: Mapping[str, Reading], first: Reading
    ) -> Score:
        x = {feature: self._number(reading) for feature, reading in readings.items()}
        flagged = score >= VECTOR_DETECTORS[detector.name].threshold
        return Score(
            id=deterministic_id("score", detector.name, first.id),
            patient=first.patient,
            readings=tuple(reading.id for reading in readings.values()),
            vital=None,
            value=None,
            detector=detector.name,
            version=detector.version,
            score=score,
            score_min=score,
            score_max=score,
            threshold=VECTOR_DETECTORS[detector.name].threshold,
            contributions=detector.contributions(x) if flagged else {},
            measured_at=first.measured_at,
        )

    def _combined_finding(
        self, detector: HalfSpaceTrees, x: Mapping[str, float], readings: Mapping[str, Reading], first: Reading
    ) -> Finding:
        parts = sorted(detector.contributions(x).items(), key=lambda part: (-part[1], part[0]))
        leading = readings[parts[0][0]]
        here = [reading for reading in readings.values() if reading.measured_at == first.measured_at]
        opening = leading if leading in here else here[0]
        said = ", ".join(plain_value(readings[name]) for name, _ in parts[:2])
        return Finding(
            member=f"detector:{detector.name}",
            rule=f"detector.{detector.name}@{detector.version}",
            group=GROUP,
            priority="low",
            title="Vital signs unusual together for this person",
            why=f"unusual together for this person (learned): {said}",
            evidence=(opening, *(reading for reading in readings.values() if reading.id != opening.id)),
            vital=opening.vital,
            measured_at=first.measured_at,
        )


def _sustained(run: FlagRun, at: datetime, count: int, minutes: int) -> bool:
    return run.count >= count and at - run.since >= timedelta(minutes=minutes)
