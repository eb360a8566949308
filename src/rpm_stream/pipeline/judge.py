"""The verbs score, alert and publish in order for one patient: readings in, results out.

The results are Scores, Alerts and Observations. Each patient has one ``PatientState``. Each message
of readings is applied once (CONTRACT 3). ``now`` is the receipt of the current record, never less
than the patient's last. Findings of one instant enter their episodes with the highest priority
first. A step that fails leaves the state as it was, gives a Reject for each reading and informs a
person (CONTRACT 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import is_not

import msgspec

from rpm_stream.ahead import as_judged, as_stamped
from rpm_stream.alert.episodes import mark_stale
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.alert_records import put_unchanged
from rpm_stream.pipeline.alerting import Alerting
from rpm_stream.pipeline.corrections import void
from rpm_stream.pipeline.decide import decided
from rpm_stream.pipeline.endings import Endings
from rpm_stream.pipeline.holdings import as_message
from rpm_stream.pipeline.judge_failure import finding_of, reject_of
from rpm_stream.pipeline.message_end import MessageEnd
from rpm_stream.pipeline.moments import Moments
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.patient_rules import PATIENT_RULES
from rpm_stream.pipeline.patient_state import (
    MOST_SINCE,
    Acted,
    Input,
    Patient,
    PatientState,
    is_applied,
    line_of,
)
from rpm_stream.pipeline.publishing import publish
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.silence import Staleness
from rpm_stream.pipeline.state_budget import StateBudget
from rpm_stream.pipeline.work import Work
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir import summaries
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.records import Action, Alert, Forwarded, Reading, Readings, Record, Reject, Score
from rpm_stream.score.memory.column import measured_at
from rpm_stream.score.rules.protocol import share
from rpm_stream.score.rules.table import RULES

__all__ = ["Judge", "Judged", "Patient", "PatientState"]


class Judged(Record, frozen=True, kw_only=True):
    """All output of one step, in the order of cause."""

    scores: tuple[Score, ...] = ()
    alerts: tuple[Alert, ...] = ()
    observations: tuple[Published, ...] = ()
    rejects: tuple[Reject, ...] = ()


class Steps:
    """The steps of the judge: one input in, its output out. None of them undoes anything."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry
        rules = tuple(make(knowledge, registry) for make in PATIENT_RULES)
        tables = share(knowledge, registry)
        self.scoring = Scoring(tables, [make(tables) for make in RULES], rules)
        self.budget = StateBudget(knowledge)
        self._at_ticks, self._at_steps = (
            [rule for rule in rules if rule.when == when] for when in ("tick", "step")
        )
        self._endings = Endings(registry, rules)
        self._staleness = Staleness(knowledge)
        self.alerting = Alerting(knowledge, self.scoring)
        self.moments = Moments(knowledge, self.scoring, self.alerting)
        self._message_end = MessageEnd(self.scoring, self._staleness)

    def read(self, patient: Patient, message: Readings) -> Judged:
        """Apply one message of readings."""
        state = patient.state
        work = self.work(patient, message.received_at)
        state.now = work.now
        state.first_at = state.first_at or work.now
        self._endings.unworn(work, work.now)
        self.alerting.wait(work)
        waited = work.alerts
        work.alerts = []
        work.recorded = {}
        self.alerting.begin(work)
        ordered = sorted(map(as_stamped, message.readings), key=_order)
        judged = list(map(as_judged, (*ordered, *message.refused)))
        if message.refused or any(map(is_not, judged, ordered)):
            judged.sort(key=_order)
        work.readings = judged
        self.moments.take(work, [list(group) for _, group in groupby(judged, key=measured_at)])
        state.applied[line_of(message)] = (message.offset, message.chunk)
        for rule in self._at_steps:
            for due in rule.due(state, work.entry, work.now):
                self.alerting.enter_one(work, due.finding, due.at)
        self._endings.settings(work)
        alerts = (*waited, *self._message_end.finish(work))
        observations = publish(
            patient.windows, ordered, work.evidence.values(), self._knowledge, work.also_seen
        )
        return Judged(
            scores=tuple(work.scores),
            alerts=alerts,
            observations=(*observations, *self.budget.make(state)),
        )

    def act(self, patient: Patient, acted: Acted) -> Judged:
        """Apply a person's decision."""
        action, received_at = acted
        work = self.work(patient, received_at)
        if action.action == "adopt":
            return self.read(patient, as_message(action, patient.state.patient, received_at))
        self._endings.unworn(work, work.now)
        self.alerting.wait(work)
        if action.action == "void":
            observations, heir = void(work, action, self.scoring, self._knowledge)
            self.moments.note_well(work)
            if heir is not None:
                return _after(work.alerts, observations, self.read(patient, heir))
        else:
            decided(work, action, self.scoring, self._knowledge)
            observations = publish(patient.windows, (), work.evidence.values(), self._knowledge)
        closed = self.budget.make(patient.state)
        return Judged(alerts=tuple(work.alerts), observations=(*observations, *closed))

    def tick(self, patient: Patient, at: datetime) -> Judged:
        """Apply time without data."""
        state = patient.state
        work = self.work(patient, at)
        closed = summaries.tick(patient.windows, work.now)
        found = [due for rule in self._at_ticks for due in rule.due(state, work.entry, work.now)]
        found.sort(key=lambda due: due.at)
        self._endings.unworn(work, found[0].at if found else work.now)
        self.alerting.wait(work)
        for due in found:
            self._endings.unworn(work, due.at)  # first end what was over before this began
            self.alerting.enter_one(work, due.finding, due.at)
        if state.episodes:
            self.alerting.wait(work)
            for group, moment in list(
                self._staleness.stale(state.score, work.entry, state.episodes, work.now)
            ):
                if mark_stale(state.episodes, group, moment):
                    put_unchanged(work, state.episodes[group])
            self._endings.settings(work)
            self._endings.unworn(work, work.now)
            self.budget.make_for_silence(state)
        singly = publish(patient.windows, (), work.evidence.values(), self._knowledge)
        summed = tuple(fhir.summary(window, self._knowledge) for window in closed)
        return Judged(alerts=tuple(work.alerts), observations=(*summed, *singly))

    def again(self, patient: Patient, applied: Input) -> Judged:
        """Apply an input that was applied before."""
        if isinstance(applied, Readings):
            return self.read(patient, applied)
        if isinstance(applied, Acted):
            return self.act(patient, applied)
        return self.tick(patient, applied)

    def work(self, patient: Patient, at: datetime) -> Work:
        """Return the work of one input, whose ``now`` never goes back.

        Only data moves the state's own ``now``. A tick or a click must change no later alert.
        """
        state = patient.state
        now = at if state.now is None else max(state.now, at)
        return self.alerting.work(patient, self._registry.patient(state.patient), now)


class Judge:
    """The pure judge agent, bound to the tables.

    It has a step for readings, for an action, and for time without data. A step that fails is
    undone.
    """

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self.knowledge = knowledge
        self.registry = registry
        self.steps = Steps(knowledge, registry)

    def step(self, patient: Patient, message: Readings) -> Judged | None:
        """Apply one message of readings, and return None if it was applied before."""
        place = (message.offset, message.chunk)
        if place <= patient.state.applied.get(line_of(message), (-1, -1)):
            return None
        try:
            judged = self.steps.read(patient, message)
        except Exception as error:  # noqa: BLE001
            # any error: undo, reject, alert; other patients go on
            return self._not_judged(patient, message, error)
        self._note(patient, message)
        return judged

    def act(self, patient: Patient, action: Action, received_at: datetime | None = None) -> Judged:
        """Apply a person's decision, without effect if the alert is not open any more.

        ``received_at`` is when the decision was received. None means when it was made.
        """
        acted = Acted(action, action.at if received_at is None else received_at)
        try:
            judged = self.steps.act(patient, acted)
        except Exception as error:  # like a failed step, if there are readings to report
            if not action.readings:
                raise
            return self._not_judged(
                patient, as_message(action, patient.state.patient, acted.received_at), error
            )
        self._note(patient, acted)
        return judged

    def tick(self, patient: Patient, at: datetime) -> Judged:
        """Apply time without data: due summaries, silence, and alerts without new readings."""
        judged = self.steps.tick(patient, at)
        self._note(patient, at)
        return judged

    def close(self, patient: Patient) -> Judged:
        """Return the windows that are still open at the end of a replay."""
        windows = summaries.close(patient.windows)
        return Judged(
            observations=tuple(fhir.summary(window, self.knowledge) for window in windows)
        )

    def _note(self, patient: Patient, applied: Input) -> None:
        patient.note(applied)
        if patient.weight >= MOST_SINCE:
            pack_patient(patient)

    def _not_judged(self, patient: Patient, message: Readings, error: Exception) -> Judged:
        """Return the result of a failed message: Rejects and an alert for a person.

        Each reading gets a Reject. The state becomes as it was before the message.
        """
        self._rewind(patient)
        state = patient.state
        work = self.steps.work(patient, message.received_at)
        state.now = work.now
        state.first_at = state.first_at or work.now
        state.applied[line_of(message)] = (message.offset, message.chunk)
        if message.readings:
            self.steps.alerting.enter_one(work, finding_of(message.readings), work.now)
        closed = self.steps.budget.make(state)
        pack_patient(patient)
        rejects = tuple(
            reject_of(message, reading, work.now, error) for reading in message.readings
        )
        return Judged(alerts=tuple(work.alerts), observations=closed, rejects=rejects)

    def _rewind(self, patient: Patient) -> None:
        """Rebuild the state before the current input.

        It is made of the last sealed state and the inputs applied since.
        """
        actions = patient.state.actions  # places in rpm.actions, which are noted after the step
        patient.restore(unpack_patient(patient.sealed, patient.state.patient).state)
        for applied in patient.since:
            self.steps.again(patient, applied)
        patient.state.actions = actions


def act_once(judge: Judge, patient: Patient, message: Forwarded) -> Judged | None:
    """Return the results of a forwarded action, or None if the patient's state has applied it."""
    if is_applied(patient.state, message):
        return None
    judged = judge.act(patient, message.action, message.received_at)
    patient.state.actions[message.partition] = message.offset
    return judged


def _after(alerts: Sequence[Alert], observations: Sequence[Published], judged: Judged) -> Judged:
    """Return the results of a step after those of a correction."""
    return msgspec.structs.replace(
        judged, alerts=(*alerts, *judged.alerts), observations=(*observations, *judged.observations)
    )


def _order(reading: Reading) -> tuple[datetime, str, str]:
    """Return the order within a message: by time, vital and id (CONTRACT 3)."""
    return reading.measured_at, reading.vital, reading.id
