"""When a detector learns, and what all detectors share.

Shared are the live objects of a patient, numbers, and runs of flagged values. Learning of a vital
pauses while its values are flagged or its episode is open. The pause lasts at most
``learn_for_hours`` of measured time, or until a person declares the values the new normal. In this
way deterioration is not learned as normal, and a lasting shift is not locked out for ever (law 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Reading, Record
from rpm_stream.score.detectors.protocol import Detector, Feature
from rpm_stream.score.memory.column import Column
from rpm_stream.score.memory.member_names import detector_member
from rpm_stream.score.memory.state import EMIT_EVERY, FlagRun, ScoreState, note_calm

LEARN_EVERY: Final = timedelta(minutes=15)
"""How often a warm detector learns.

At 1 Hz the usual value would otherwise be that of the last minutes, not of the last days.
"""

MOST_NUMBERS: Final = 50_000

Columns: TypeAlias = Mapping[str, Column]
"""The readings of a stretch by vital."""


class Paused(Record, frozen=True, kw_only=True):
    """The groups whose vitals do not learn, because an episode of theirs is open.

    ``since`` is when (measured) the episode of a group began. ``accepted`` is up to when a person
    has declared the values of a group the new normal. What began before then pauses nothing and is
    not reported again.
    """

    since: Mapping[str, datetime]
    accepted: Mapping[str, datetime] = {}

    def is_accepted(self, since: datetime | None, group: str) -> bool:
        """Whether what began at ``since`` is part of the new normal."""
        accepted = self.accepted.get(group)
        return since is not None and accepted is not None and since <= accepted

    def open_since(self, run: FlagRun | None, group: str) -> datetime | None:
        """When the first of the group's pauses began, or None if nothing pauses its learning."""
        begun = (run.since if run else None, self.since.get(group))
        return min(
            (moment for moment in begun if moment and not self.is_accepted(moment, group)),
            default=None,
        )


class LiveDetectors:
    """The detectors of one patient as objects.

    ``of`` has those that were restored so far, and ``touched`` those that have learned since they
    were last stored. Both are by name in the state.
    """

    def __init__(self) -> None:
        self.of: dict[str, Detector] = {}
        self.touched: dict[str, Detector] = {}

    def store(self, state: ScoreState) -> None:
        """Seal the detectors that have learned since the last call into the state."""
        for name, detector in self.touched.items():
            state.detectors[name] = detector.to_state()
        self.touched.clear()


class Numbers:
    """Readings as numbers in the vital's own unit, which is what a detector takes."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._known: dict[tuple[str, str, str], float] = {}
        self.features = {
            name: Feature(vital=name, resolution=float(row.resolution))
            for name, row in knowledge.vitals.items()
        }

    def of(self, reading: Reading) -> float:
        """The number of a reading, which must have a value."""
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


class StretchTimes(msgspec.Struct, gc=False):
    """The moments of a stretch, and those of them at which all vitals together were known."""

    moments: Sequence[datetime]
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
    if detector_member(name) not in state.calm:
        return begin
    if emitted is None or emitted.content or begin < emitted.at:
        return begin
    return min(learned + LEARN_EVERY, emitted.at + EMIT_EVERY)


def flag_run(state: ScoreState, name: str, at: datetime, flagged: bool) -> FlagRun | None:
    """Continue or end the run of values that a detector flagged."""
    note_calm(state, detector_member(name), at, not flagged)
    if not flagged:
        state.runs.pop(name, None)
        return None
    run = state.runs.get(name)
    if run is None:
        run = state.runs[name] = FlagRun(since=at, count=0)
    run.count += 1
    return run


def is_sustained(run: FlagRun, at: datetime, count: int, minutes: int) -> bool:
    """Whether a run is long enough to be reported."""
    return run.count >= count and at - run.since >= timedelta(minutes=minutes)


def is_time_to_learn(state: ScoreState, name: str, at: datetime, warm: bool) -> bool:
    """Whether a value is to be learned, and note its time if so.

    A warm detector does not learn each second.
    """
    last = state.learned_at.get(name)
    if warm and last is not None and at - last < LEARN_EVERY:
        return False
    state.learned_at[name] = at
    return True
