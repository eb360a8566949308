"""The size budget of a patient's state: 48 KB in all and 16 KB for each vital (CONTRACT 8).

A state larger than what Kafka accepts would end the worker, so a broken gateway would stop the care
of other patients. The state is measured after each message and each action. If it is too large, it
gives up the least harmful parts first (``STEPS``), of the vitals that are too large or of all. What
is kept follows from the messages alone, so a replay gives up the same. Parts that do not follow
from messages have budgets of their own or are not measured: what ticks add (silence, escalations),
and what is sealed only now and then (detectors). One thing is left: a tick that is ahead of its
data ends snoozes and closes windows early, which may make room in a full state.

These parts are never given up:

- an open alert with its priority, its state and since when it waits
- one limit of each vital in an open alert
- a vital that is silent
- the place of each message that was applied
- what was learned

An ordinary patient takes 6 to 12 KB and gives up nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import product
from typing import Final, TypeAlias

import msgspec

from rpm_stream.ahead import STAMPED_AT
from rpm_stream.alert.episode import Episode
from rpm_stream.alert.size import (
    forget_escalations,
    lighten,
    lighten_people,
    lighten_service,
    without_people,
)
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir.codes import KIND_ATTRIBUTE
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.publish.fhir.summaries import shed
from rpm_stream.score.detectors.entries import entries
from rpm_stream.score.memory import size
from rpm_stream.text import SERVICE, is_of_devices

STATE_BYTES: Final = 48 * 1024
VITAL_BYTES: Final = 16 * 1024
SILENCE_BYTES: Final = 1_600  # for what ticks write in the alert about silence, without its members
# for a vital whose silence was reported: a member of that alert, and the mark that it was reported
SILENT_BYTES: Final = 350
# for the steps that ticks add to an alert: a snooze's end, what was held back, escalations
TICKED_BYTES: Final = 400
# for a partition of rpm.frames or rpm.actions: its number, an offset of 64 bits, a chunk
PLACE_BYTES: Final = 20
NAME_BYTES: Final = 32  # for a detector's name and framing
FRAME_BYTES: Final = 128  # for names of the fields, checksum and versions
# attributes that publishing and rules read later
ATTRIBUTES: Final = frozenset({"characteristic", STAMPED_AT, *KIND_ATTRIBUTE.values()})

_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode


class Crowd(msgspec.Struct, frozen=True):
    """A state that is too large, and what is to shrink.

    With ``whole`` the state as a whole is too large. Otherwise only single vitals are too large.
    ``vitals`` are those that give something up.
    """

    state: PatientState
    vitals: frozenset[str]
    whole: bool


TrimStep: TypeAlias = Callable[[Crowd], None]


def _alerts(most: int, of_devices: bool) -> TrimStep:
    def step(crowd: Crowd) -> None:
        if not crowd.whole:
            return
        lighten(_episodes(crowd.state, of_devices), most)
        silence = crowd.state.episodes.get(SILENCE)
        if silence is not None and not of_devices:
            lighten_people(silence, most)

    return step


def _runs(most: int) -> TrimStep:
    return lambda crowd: size.forget_runs(crowd.state.score, crowd.vitals, most)


def _signal(most: int) -> TrimStep:
    return lambda crowd: size.forget_signal(crowd.state.score, most)


def _hours(crowd: Crowd) -> None:
    if crowd.whole:
        size.forget_hours(crowd.state.score)


STEPS: Final[tuple[TrimStep | int, ...]] = (
    lambda crowd: size.slim_readings(crowd.state.score, crowd.vitals, ATTRIBUTES),
    lambda crowd: size.forget_twins(crowd.state.score, crowd.vitals),
    _alerts(24, of_devices=True),
    _alerts(40, of_devices=False),
    _alerts(8, of_devices=True),
    lambda crowd: size.forget_evidence(crowd.state.score, crowd.vitals, 1),
    4,
    _runs(16),
    _alerts(2, of_devices=True),
    _alerts(20, of_devices=False),
    2,
    _runs(8),
    _signal(8),
    _alerts(10, of_devices=False),
    _runs(2),
    1,
    _alerts(5, of_devices=False),
    _signal(2),
    _alerts(1, of_devices=True),
    _hours,
    lambda crowd: size.forget_evidence(crowd.state.score, crowd.vitals, 0),
    _alerts(1, of_devices=False),
    _signal(1),
)
"""What is given up, in this order, until the state fits.

A number is how many windows of each vital stay open. The older ones are published before their
time. After all steps whole vitals are removed, the largest first.
"""


class StateBudget:
    """The size budget, bound to the knowledge table.

    It sets aside the maximum size of the detectors that the table selects.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        rows = entries(knowledge)
        # reused to measure each state, as a new buffer each time costs a fifth more
        self._buffer = bytearray()
        learned = sum((row.kind.state_bytes + NAME_BYTES) * row.states for row in rows)
        vital = sum(row.kind.state_bytes + NAME_BYTES for row in rows if row.is_of_each)
        self._most_of_silence = SILENCE_BYTES + len(knowledge.vitals) * SILENT_BYTES
        set_aside = learned + self._most_of_silence
        self._most = STATE_BYTES - FRAME_BYTES - set_aside
        self._most_of_vital = VITAL_BYTES - vital

    def make(self, state: PatientState) -> tuple[Published, ...]:
        """Make the state fit, and return the summaries that were published early for it."""
        self.make_for_silence(state)
        crowd = self._crowd(state)
        if crowd is not None and crowd.whole:
            # They go first, so that all else that goes follows from the messages.
            for episode in state.episodes.values():
                forget_escalations(episode)
            crowd = self._crowd(state)
        if crowd is None:
            return ()
        closed: list[Published] = []
        for step in STEPS:
            if isinstance(step, int):
                closed += self._closed(state, crowd.vitals, step)
            else:
                step(crowd)
            crowd = self._crowd(state)
            if crowd is None:
                return tuple(closed)
        ordered = sorted(crowd.vitals, key=lambda vital: (-_vital_size(state, vital), vital))
        for forget, vital in product((size.forget_vital, size.forget_counts), ordered):
            forget(state.score, vital)
            closed += self._closed(state, (vital,), 0)
            if self._crowd(state) is None:
                break
        return tuple(closed)

    def _closed(
        self, state: PatientState, vitals: Collection[str], most: int
    ) -> Iterator[Published]:
        if state.summaries is not None:
            for window in shed(state.summaries, sorted(vitals), most):
                yield fhir.summary(window, self._knowledge)

    def make_for_silence(self, state: PatientState) -> None:
        """Make the alert about silence fit its own budget.

        Notes of people in it count in the budget of the whole state. No silent vital is given up,
        because the alert lasts until all of them are heard.
        """
        episode = state.episodes.get(SILENCE)
        if episode is None:
            return
        for most in (32, 12, 5, 1):
            if (
                len(_encode((without_people(episode), state.score.told_silent)))
                <= self._most_of_silence
            ):
                return
            lighten_service(episode, most)

    def _crowd(self, state: PatientState) -> Crowd | None:
        """Return what is too large, or None if all fits.

        A state that is smaller than the budget of one vital needs one measurement.
        """
        _encoder.encode_into(state, self._buffer)
        if len(self._buffer) + _to_come(state) <= self._most_of_vital:
            return None
        vitals = _vitals(state)
        if _without_aside(state) + _to_come(state) > self._most:
            return Crowd(state, vitals, whole=True)
        large = frozenset(
            vital for vital in vitals if _vital_size(state, vital) > self._most_of_vital
        )
        return Crowd(state, large, whole=False) if large else None


def _to_come(state: PatientState) -> int:
    """Return how many bytes can be added at most before the next message.

    These are places of messages and what ticks add.
    """
    alerts = len(state.episodes.keys() - {SILENCE})
    return PLACE_BYTES * (len(state.applied) + 1) + TICKED_BYTES * alerts


def _without_aside(state: PatientState) -> int:
    """Return the bytes of the state without the parts that have a budget of their own."""
    silence = state.episodes.get(SILENCE)
    said = silence and [step for step in silence.alert.history if step.who != SERVICE]
    plain = msgspec.structs.replace(
        state,
        applied={},
        actions={},
        score=msgspec.structs.replace(state.score, detectors={}, told_silent={}),
        episodes={
            group: _without_ticks(each)
            for group, each in state.episodes.items()
            if group != SILENCE
        },
    )
    return len(_encode((plain, said)))


def _without_ticks(episode: Episode) -> Episode:
    """Return an episode without what ticks leave in it beside steps of its history."""
    alert = msgspec.structs.replace(episode.alert, escalation=0, updated_at=episode.alert.opened_at)
    return msgspec.structs.replace(episode, escalated=None, alert=alert)


def _vitals(state: PatientState) -> frozenset[str]:
    courses = state.summaries.courses if state.summaries is not None else {}
    return frozenset((*size.vitals(state.score), *courses))


def _vital_size(state: PatientState, vital: str) -> int:
    course = state.summaries.courses.get(vital) if state.summaries is not None else None
    return size.size(state.score, vital) + len(_encode(course))


def _episodes(state: PatientState, of_devices: bool) -> Iterator[Episode]:
    for group, episode in state.episodes.items():
        if group != SILENCE and is_of_devices(group) == of_devices:
            yield episode
