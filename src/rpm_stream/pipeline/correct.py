"""What follows when readings were wrong or another person's: the record, the open alerts and the memory are mended.

What is not mended: what a learned detector has learned (it forgets by itself), and alerts that are resolved already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rpm_stream.alert.episodes import Episode, change, resolve
from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import PatientState
from rpm_stream.publish.corrections import taken_back
from rpm_stream.publish.fhir import Published
from rpm_stream.publish.summaries import Summaries
from rpm_stream.records import Action, Alert, Reading, Readings
from rpm_stream.score.history import cut

CORRECTED = -2  # no partition of Kafka: adopted readings are no message of rpm.readings
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

    An alert all of whose readings were wrong is withdrawn; one that rests on others too stays, and says so (law 3).
    """
    wrong = [reading for reading in action.readings if reading.patient == state.patient]
    ids = {reading.id for reading in wrong}
    evidence = {each for episode in state.episodes.values() for each in episode.alert.evidence}
    shown = frozenset(ids & (evidence | set(action.shown)))
    alerts = []
    for group in sorted(state.episodes):
        episode = state.episodes[group]
        if left := [each for each in episode.alert.evidence if each not in ids]:
            if len(left) < len(episode.alert.evidence):
                alerts.append(_weaken(episode, left, action, now))
        else:
            reason = f"withdrawn: {action.reason or 'its readings were taken back'}"
            alerts.append(resolve(state.episodes, group, now, reason, action.who))
    for vital in sorted({reading.vital for reading in wrong}):
        _forget(state, vital, [reading for reading in wrong if reading.vital == vital])
    return alerts, taken_back(windows, wrong, shown, knowledge)


def _weaken(episode: Episode, left: Sequence[str], action: Action, now: datetime) -> Alert:
    """An alert with less evidence: nobody but a person can say what is left of it."""
    said = f"{len(episode.alert.evidence) - len(left)} of its readings were taken back"
    episode.alert = msgspec.structs.replace(episode.alert, evidence=tuple(left))
    reason = f"{said}: {action.reason}" if action.reason else said
    return change(episode, episode.alert.state, now, action.who, reason)


def _forget(state: PatientState, vital: str, wrong: Sequence[Reading]) -> None:
    """The history of a vital without the time of its wrong readings, and its newest reading that is left."""
    times = [reading.measured_at for reading in wrong]
    history = state.score.histories.get(vital)
    if history is not None:
        cut(history, min(times), max(times), len(times))
    latest, ids = state.score.latest.get(vital), {reading.id for reading in wrong}
    if latest is None or latest.id not in ids:
        return
    segments = history.segments if history is not None else []
    left = [segment.reading for segment in segments if segment.reading is not None and segment.reading.id not in ids]
    if left:
        state.score.latest[vital] = left[-1]
    else:
        del state.score.latest[vital]
