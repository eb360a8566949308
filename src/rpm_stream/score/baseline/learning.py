"""When a detector learns, and what all of them share: the live objects of a patient, numbers, runs
of flagged values.

Learning of a vital pauses while its values are flagged or its episode is open, at most
``learn_for_hours`` of measured time or until a person says that it is the new normal: deterioration
is not learned as normal, and a lasting shift is not locked out for ever (law 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Reading, Record
from rpm_stream.score.detectors.protocol import Detector, Feature
from rpm_stream.score.memory.marks import EMIT_EVERY, note_calm
from rpm_stream.score.memory.state import FlagRun, ScoreState

LEARN_EVERY: Final = timedelta(minutes=15)
"""Once warm: at 1 Hz the "usual" would else be the last minutes, not the last days."""

MOST_NUMBERS: Final = 50_000


class Paused(Record, frozen=True, kw_only=True):
    """Since when (measured) an episode is open, by group: its vitals do not learn.

    ``accepted``: up to when a person has called a group's values the new normal: what began before
    then pauses nothing and is not told again.
    """

    since: Mapping[str, datetime]
    accepted: Mapping[str, datetime] = {}

    def is_accepted(self, since: datetime | None, group: str) -> bool:
        """Whether what began then is part of the new normal."""
        accepted = self.accepted.get(group)
        return since is not None and accepted is not None and since <= accepted

    def open_since(self, run: FlagRun | None, group: str) -> datetime | None:
        """When the first of what keeps the group's vitals from learning began."""
        begun = (run.since if run else None, self.since.get(group))
        return min(
            (moment for moment in begun if moment and not self.is_accepted(moment, group)),
            default=None,
        )


class LiveDetectors:
    """The detectors of one patient as objects, restored when first needed, and those that have
    learned since.

    Both by their name in the state.
    """

    def __init__(self) -> None:
        self.of: dict[str, Detector] = {}
        self.touched: dict[str, Detector] = {}

    def store(self, state: ScoreState) -> None:
        """Seal what has learned since the last time into the state."""
        for name, detector in self.touched.items():
            state.detectors[name] = detector.to_state()
        self.touched.clear()


class Numbers:
    """Readings as numbers in the vital's own unit, as a detector takes them."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._known: dict[tuple[str, str, str], float] = {}
        self.features = {
            name: Feature(vital=name, resolution=float(row.resolution))
            for name, row in knowledge.vitals.items()
        }

    def of(self, reading: Reading) -> float:
        """The reading's value, which must be there."""
        assert reading.value is not None
        key = (reading.vital, reading.value, reading.unit)
        number = self._known.get(key)
        if number is None:
            if len(self._known) > MOST_NUMBERS:
                self._known.clear()
            row = self._knowledge.vitals[reading.vital]
            number = float(self._knowledge.convert(Decimal(reading.value), reading.unit, row.unit))
            self._known[key] = number
        return number


class Seen(msgspec.Struct, gc=False):
    """The moments of a stretch, and those of them at which all vitals together were known."""

    times: Sequence[datetime]
    complete: list[datetime] = []


def calm_by_time(
    state: ScoreState, live: LiveDetectors, names: tuple[str, str], begin: datetime
) -> datetime:
    """Up to when a warm detector that flags nothing neither learns nor puts out a score; ``begin``
    where it is not warm or has to look. ``names``: of the detector, and of its score.
    """
    name, score = names
    detector = live.of.get(name)
    learned = state.learned_at.get(name)
    emitted = state.emitted.get(score)
    if detector is None or not detector.warm or learned is None or name in state.runs:
        return begin
    if emitted is None or emitted.said or begin < emitted.at:
        return begin
    return min(learned + LEARN_EVERY, emitted.at + EMIT_EVERY)


def flag_run(state: ScoreState, name: str, at: datetime, flagged: bool) -> FlagRun | None:
    """Carry on or end the run of values that a detector flagged."""
    note_calm(state, f"detector:{name}", at, not flagged)
    if not flagged:
        state.runs.pop(name, None)
        return None
    run = state.runs.get(name)
    if run is None:
        run = state.runs[name] = FlagRun(since=at, count=0)
    run.count += 1
    return run


def is_sustained(run: FlagRun, at: datetime, count: int, minutes: int) -> bool:
    """Whether a run is long enough to be told."""
    return run.count >= count and at - run.since >= timedelta(minutes=minutes)


def is_time_to_learn(state: ScoreState, name: str, at: datetime, warm: bool) -> bool:
    """Whether a value is learned: once warm not the second after another. Notes it if so."""
    last = state.learned_at.get(name)
    if warm and last is not None and at - last < LEARN_EVERY:
        return False
    state.learned_at[name] = at
    return True
