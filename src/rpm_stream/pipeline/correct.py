"""What follows when readings were wrong or another person's: the record, the open alerts and the memory are mended.

What is not mended: what a learned detector has learned (it forgets by itself), and alerts that are resolved already.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal

import msgspec

from rpm_stream.alert.episodes import MOST_EVIDENCE, Episode, change, resolve
from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.chunks import chunks
from rpm_stream.pipeline.identity import USER
from rpm_stream.pipeline.patient import PatientState
from rpm_stream.pipeline.publishing import publish
from rpm_stream.publish.corrections import taken_back
from rpm_stream.publish.fhir import Published
from rpm_stream.publish.remaining import Remaining
from rpm_stream.publish.summaries import Summaries
from rpm_stream.records import Action, Alert, Assignment, Reading, Readings, Record
from rpm_stream.score.history import cut
from rpm_stream.score.taken_back import forget

CORRECTED = -2  # no partition of Kafka: adopted readings are no message of rpm.readings
MOST_READINGS = 250  # of one action: half of what the contract allows, as it also names the windows around them
ADOPTED = "adopted"  # flag of a reading that was first taken for another person's


def adopted_id(reading_id: str, patient: str) -> str:
    """The id of a reading as ``patient``'s own: the old one names what the wrong patient's record had."""
    return deterministic_id("adopted", reading_id, patient)


def as_message(action: Action, patient: str) -> Readings:
    """The readings of a correction as a message of ``patient``, received when the correction was made."""
    adopted = tuple(_adopted(reading, patient) for reading in action.readings)
    return Readings(
        patient=patient, frame="", partition=CORRECTED, offset=0, chunk=0, received_at=action.at, readings=adopted
    )


def _adopted(reading: Reading, patient: str) -> Reading:
    flags = reading.flags if ADOPTED in reading.flags else (*reading.flags, ADOPTED)
    return msgspec.structs.replace(reading, id=adopted_id(reading.id, patient), patient=patient, flags=flags)


def void(
    state: PatientState, windows: Summaries, action: Action, knowledge: Knowledge, now: datetime
) -> tuple[list[Alert], tuple[Published, ...]]:
    """Take ``action.readings`` back: the alerts that change, and what their Observations say now.

    An alert all of whose readings were wrong is withdrawn, unless a right one is beyond a limit now; one that rests on
    others too stays, and says so (law 3).
    """
    wrong = [reading for reading in action.readings if reading.patient == state.patient]
    ids = {reading.id for reading in wrong}
    evidence = {each for episode in state.episodes.values() for each in episode.alert.evidence}
    shown = frozenset(ids & (evidence | set(action.shown)))
    for vital in sorted({reading.vital for reading in wrong}):
        _forget(state, vital, [reading for reading in wrong if reading.vital == vital])
    for reading in wrong:
        forget(state.score, reading, knowledge.trends.slot_hours)
    if wrong:
        state.score.calm.clear()  # who was calm may have been somebody else: each begins anew
    alerts: list[Alert] = []
    standing: list[Reading] = []
    for group in sorted(state.episodes):
        episode = state.episodes[group]
        if ids.isdisjoint(episode.alert.evidence):
            continue
        left = [each for each in episode.alert.evidence if each not in ids]
        tails = [] if left else _tails(state, episode)
        beyond = [each for each in tails if each is not None and each.id not in ids][:MOST_EVIDENCE]
        if left or beyond or None in tails:
            alerts.append(_weaken(episode, [*left, *(reading.id for reading in beyond)], action, now))
            standing += beyond
        else:
            reason = f"withdrawn: {action.reason or 'its readings were taken back'}"
            alerts.append(resolve(state.episodes, group, now, reason, action.who))
    singly = publish(windows, (), standing, knowledge) if standing else ()
    return alerts, (*taken_back(windows, wrong, shown, action.windows, knowledge), *singly)


def _tails(state: PatientState, episode: Episode) -> list[Reading | None]:
    """What the vitals of an alert end with where that is beyond a limit: it may stand on these (law 3). None: values of
    which only the time was kept, and what is left of it here is not the time of the wrong ones.
    """
    vitals = sorted({member.vital for member in episode.members.values()} & state.score.histories.keys())
    tails = [segment for vital in vitals for segment in state.score.histories[vital].segments[-1:]]
    return [segment.reading for segment in tails if segment.level == "beyond"]


def _weaken(episode: Episode, left: Sequence[str], action: Action, now: datetime) -> Alert:
    """An alert with less evidence: nobody but a person can say what is left of it."""
    said = f"{len(set(episode.alert.evidence) - set(left))} of its readings were taken back"
    episode.alert = msgspec.structs.replace(episode.alert, evidence=tuple(left))
    reason = f"{said}: {action.reason}" if action.reason else said
    return change(episode, episode.alert.state, now, action.who, reason)


def _forget(state: PatientState, vital: str, wrong: Sequence[Reading]) -> None:
    """The history of a vital without the time of its wrong readings, and its newest reading that is left."""
    times = [reading.measured_at for reading in wrong]
    history = state.score.histories.get(vital)
    if history is not None:
        cut(history, min(times), max(times), len(times))
        state.score.cut[vital] = max(*times, state.score.cut.get(vital, times[0]))
    latest, ids = state.score.latest.get(vital), {reading.id for reading in wrong}
    if latest is None or latest.id not in ids:
        return
    segments = history.segments if history is not None else []
    left = [segment.reading for segment in segments if segment.reading is not None and segment.reading.id not in ids]
    if left:
        state.score.latest[vital] = left[-1]
    else:
        del state.score.latest[vital]
        state.score.heard[vital] = latest.measured_at


class Holdings:
    """Whose the readings of one device and time are now: as they were ingested, and as corrections moved them since.

    Fill it with what rpm.readings and rpm.actions hold; order and repetition do not matter.
    """

    def __init__(self, device: str, span: Assignment) -> None:
        self._device, self._span = device, span
        self._readings: dict[str, Reading] = {}
        self._voided: set[str] = set()

    def add(self, readings: Sequence[Reading]) -> None:
        """Readings of rpm.readings."""
        self._readings.update((reading.id, reading) for reading in readings if self._is_meant(reading))

    def act(self, action: Action) -> None:
        """A message of rpm.actions."""
        if action.action == "adopt":
            self.add(as_message(action, action.patient).readings)
        elif action.action == "void":
            self._voided |= {reading.id for reading in action.readings}

    def wrong(self, patient: str | None) -> list[Reading]:
        """The readings that are somebody's and not ``patient``'s (None: nobody's), by wearer and time."""
        found = [
            reading
            for reading in self._readings.values()
            if reading.patient != patient and reading.id not in self._voided
        ]
        return sorted(found, key=lambda reading: (reading.patient, reading.measured_at, reading.vital, reading.id))

    @property
    def voided(self) -> frozenset[str]:
        """The ids of readings, of any device, that were taken back already."""
        return frozenset(self._voided)

    def corrections(self, order: Correction, shown: Collection[str], remaining: Remaining) -> list[Action]:
        """The actions that give ``order.patient`` what is not his yet and take it from whoever has it.

        ``shown``: ids of what was published singly; ``remaining``: what else is in the windows of ``wrong``.

        Adopted first, taken back then: a correction that was interrupted can be given again, and only does the rest.
        """
        actions: list[Action] = []
        for wearer, readings in groupby(self.wrong(order.patient), key=lambda reading: reading.patient):
            for batch in chunks(list(readings), MOST_READINGS):
                if order.patient and (new := self._not_yet(batch, order.patient)):
                    actions.append(_action(order, "adopt", order.patient, new))
                singly = tuple(reading.id for reading in batch if reading.id in shown)
                void = _action(order, "void", wearer, batch)
                actions.append(msgspec.structs.replace(void, shown=singly, windows=remaining.of(batch)))
        return actions

    def _not_yet(self, readings: Sequence[Reading], patient: str) -> tuple[Reading, ...]:
        """Those that ``patient`` was not given by an earlier correction."""
        return tuple(reading for reading in readings if adopted_id(reading.id, patient) not in self._readings)

    def _is_meant(self, reading: Reading) -> bool:
        span, at = self._span, reading.measured_at
        if reading.device != self._device or (span.user is not None and reading.attributes.get(USER) != span.user):
            return False
        return (span.from_ is None or span.from_ <= at) and (span.until is None or at < span.until)


class Correction(Record, frozen=True, kw_only=True):
    """What a person says of a device's readings: whose they are (None: nobody's), who says it, when and why."""

    patient: str | None
    who: str
    at: datetime
    reason: str


def _action(order: Correction, kind: Literal["adopt", "void"], patient: str, readings: tuple[Reading, ...]) -> Action:
    return Action(patient=patient, action=kind, who=order.who, at=order.at, reason=order.reason, readings=readings)
