"""Correct readings that were wrong or another person's: the record, the open alerts and the memory.

Two things are not corrected. A learned detector keeps what it has learned, as it forgets by itself.
Alerts that are already resolved stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal

import msgspec

from rpm_stream.ahead import as_judged, as_stamped
from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.normalise.wearer import USER
from rpm_stream.pipeline.alerting import Alerting
from rpm_stream.pipeline.chunks import chunks
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.pipeline.publishing import publish
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.withdraw import correct_alerts
from rpm_stream.pipeline.work import Work
from rpm_stream.publish.fhir.corrections import taken_back
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.publish.fhir.summaries import drop_again, note_again
from rpm_stream.publish.windows import SPAN_SECONDS, place_of
from rpm_stream.records import Action, Assignment, Reading, Readings, Record
from rpm_stream.sameness import measured
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules import same_measurement as same

CORRECTED = -2  # no partition of Kafka: adopted readings do not come from a message of rpm.readings
# in one action: half of what the contract allows, because it also names the windows around them
MOST_READINGS = 250
ADOPTED = "adopted"  # flag of a reading that was first assigned to another person


def adopted_id(reading_id: str, patient: str) -> str:
    """Return the id of a reading as ``patient``'s own.

    The old id stays with the record of the wrong patient.
    """
    return deterministic_id("adopted", reading_id, patient)


def as_message(action: Action, patient: str, received_at: datetime | None = None) -> Readings:
    """Return the readings of a correction as a message of ``patient``.

    The message was received with the correction. None means when the correction was made.
    """
    at = action.at if received_at is None else received_at
    return _message(at, patient, tuple(_adopted(reading, patient) for reading in action.readings))


def _message(at: datetime, patient: str, readings: tuple[Reading, ...]) -> Readings:
    return Readings(
        patient=patient,
        frame="",
        partition=CORRECTED,
        offset=0,
        chunk=0,
        received_at=at,
        readings=readings,
    )


def _adopted(reading: Reading, patient: str) -> Reading:
    flags = reading.flags if ADOPTED in reading.flags else (*reading.flags, ADOPTED)
    return msgspec.structs.replace(
        reading, id=adopted_id(reading.id, patient), patient=patient, flags=flags
    )


def void(
    work: Work, action: Action, alerting: Alerting, scoring: Scoring, knowledge: Knowledge
) -> tuple[tuple[Published, ...], Readings | None]:
    """Take ``action.readings`` back and add records of the alerts that change.

    Returns the Observations that change, and a message or None. The message has the readings that
    report the same measurements as the removed ones, and takes their place.
    """
    state = work.state
    windows = work.patient.windows
    wrong = [reading for reading in action.readings if reading.patient == state.patient]
    ids = frozenset(reading.id for reading in wrong)
    second = same.not_counted(state.score, wrong)
    evidence = {each for episode in state.episodes.values() for each in episode.alert.evidence}
    shown = frozenset(ids & (evidence | set(action.shown)))
    first = [as_judged(reading) for reading in wrong if reading.id not in second]
    heirs = tuple(map(as_stamped, same.heirs(state.score, state.patient, wrong)))
    right = list(_right_copies(state, wrong, heirs))
    for reading in heirs:
        drop_again(windows, reading, knowledge)
    _forget_all(work, first, scoring)
    for reading in wrong:
        if reading.id in second:
            same.forget(state.score, reading)
            if reading.id not in shown:
                drop_again(windows, reading, knowledge)
    if wrong:
        scoring.renew(state, work.entry)
        correct_alerts(work, action, ids, alerting, scoring)
    singly = publish(windows, (), work.evidence.values(), knowledge) if work.evidence else ()
    published = [reading for reading in wrong if reading.id not in second - shown]
    # these keep no place of a wrong reading
    right = [each for each in right if drop_again(windows, each, knowledge)]
    observations = taken_back(windows, published, shown, action.windows, knowledge)
    for reading in right:
        note_again(windows, reading, knowledge)
    return (*observations, *singly), _message(work.now, state.patient, heirs) if heirs else None


def _right_copies(
    state: PatientState, wrong: Sequence[Reading], heirs: Sequence[Reading]
) -> Iterator[Reading]:
    """Yield readings that stand for correct copies in a window.

    A window counts how often a value came again, but not for which measurement. A copy may belong
    to a measurement that stays, or that an heir takes over. For each such copy this yields one of
    the wrong readings with its value and in its window.
    """
    withdrawn, taking = (
        {measured(each) for each in some if each.value is not None} for some in (wrong, heirs)
    )
    alike = {
        (place_of(each), measured(each).value): each for each in wrong if each.value is not None
    }
    for vital in sorted({reading.vital for reading in wrong}):
        known = sorted(same.copies(state.score, vital))
        gone = withdrawn - {first for first, copy in known if copy in taking}
        for first, copy in known:
            place = state.patient, vital, copy.at // (SPAN_SECONDS * 1_000_000) * SPAN_SECONDS
            if (
                first not in gone
                and copy not in withdrawn | taking
                and (place, copy.value) in alike
            ):
                yield alike[place, copy.value]


def _forget_all(work: Work, wrong: Sequence[Reading], scoring: Scoring) -> None:
    score = work.state.score
    for vital in sorted({reading.vital for reading in wrong}):
        of_vital = [reading for reading in wrong if reading.vital == vital]
        scoring.forget(work.state, work.entry, of_vital)
        _forget_newest(score, vital, of_vital)
    for reading in wrong:
        same.forget(score, reading)
    if wrong:
        score.calm.clear()  # the calm period may have been another person's, so each starts again


def _forget_newest(score: ScoreState, vital: str, wrong: Sequence[Reading]) -> None:
    """Replace the newest reading of a vital by the newest that is left.

    Also note up to when readings of the vital were taken back.
    """
    times = [reading.measured_at for reading in wrong]
    ids = {reading.id for reading in wrong}
    history = score.histories.get(vital)
    latest = score.latest.get(vital)
    if history is not None:
        score.cut[vital] = max(*times, score.cut.get(vital, times[0]))
    if latest is None or latest.id not in ids:
        return
    tail = history.segments[-1].reading if history is not None and history.segments else None
    if tail is not None:
        score.latest[vital] = tail
    else:  # only the time of its last value is kept, or nothing
        del score.latest[vital]
        score.heard[vital] = (
            latest.measured_at
            if history is None or not history.segments
            else history.segments[-1].end
        )


class Holdings:
    """The present owner of each reading of one device and period.

    It combines how the readings were ingested and how corrections moved them since. Fill it with
    the messages of rpm.readings and rpm.actions. Order and repetition do not matter.
    """

    def __init__(self, device: str, span: Assignment) -> None:
        self._device = device
        self._span = span
        self._readings: dict[str, Reading] = {}
        self._voided: set[str] = set()

    def add(self, readings: Sequence[Reading]) -> None:
        """Add readings of rpm.readings."""
        self._readings.update(
            (reading.id, reading) for reading in readings if self._is_meant(reading)
        )

    def act(self, action: Action) -> None:
        """Apply a message of rpm.actions."""
        if action.action == "adopt":
            self.add(as_message(action, action.patient).readings)
        elif action.action == "void":
            self._voided |= {reading.id for reading in action.readings}

    def wrong(self, patient: str | None) -> list[Reading]:
        """Return the readings that a patient other than ``patient`` has, by wearer and time.

        None means that they belong to no patient.
        """
        found = [
            reading
            for reading in self._readings.values()
            if reading.patient != patient and reading.id not in self._voided
        ]
        return sorted(
            found,
            key=lambda reading: (reading.patient, reading.measured_at, reading.vital, reading.id),
        )

    @property
    def voided(self) -> frozenset[str]:
        """The ids of readings, of any device, that were already taken back."""
        return frozenset(self._voided)

    def corrections(
        self, order: Correction, shown: Collection[str], remaining: Remaining
    ) -> list[Action]:
        """Return the actions that move the readings to ``order.patient``.

        They give ``order.patient`` the readings that it does not have yet, and take them from the
        patients who have them. ``shown`` has the ids of what was published singly. ``remaining``
        has what else is in the windows of ``wrong``.

        Readings are first adopted and then taken back. So an interrupted correction can be given
        again, and does only the rest.
        """
        actions: list[Action] = []
        for wearer, readings in groupby(
            self.wrong(order.patient), key=lambda reading: reading.patient
        ):
            for batch in chunks(list(readings), MOST_READINGS):
                if order.patient and (new := self._not_yet(batch, order.patient)):
                    actions.append(_action(order, "adopt", order.patient, new))
                singly = tuple(reading.id for reading in batch if reading.id in shown)
                void = _action(order, "void", wearer, batch)
                actions.append(
                    msgspec.structs.replace(void, shown=singly, windows=remaining.of(batch))
                )
        return actions

    def _not_yet(self, readings: Sequence[Reading], patient: str) -> tuple[Reading, ...]:
        """Return those that no earlier correction gave to ``patient``."""
        return tuple(
            reading for reading in readings if adopted_id(reading.id, patient) not in self._readings
        )

    def _is_meant(self, reading: Reading) -> bool:
        span = self._span
        at = reading.measured_at
        if reading.device != self._device or (
            span.user is not None and reading.attributes.get(USER) != span.user
        ):
            return False
        return (span.from_ is None or span.from_ <= at) and (span.until is None or at < span.until)


class Correction(Record, frozen=True, kw_only=True):
    """A person's order about a device's readings.

    ``patient`` is the owner of the readings, or None if they belong to no patient. ``who``, ``at``
    and ``reason`` describe the order itself.
    """

    patient: str | None
    who: str
    at: datetime
    reason: str


def _action(
    order: Correction, kind: Literal["adopt", "void"], patient: str, readings: tuple[Reading, ...]
) -> Action:
    return Action(
        patient=patient,
        action=kind,
        who=order.who,
        at=order.at,
        reason=order.reason,
        readings=readings,
    )
