"""Readings -> Scores, Alerts, Observations: the verbs score, alert and publish in order, for one patient.

State is one ``PatientState`` a patient. Each message of readings is applied once (CONTRACT 3); ``now`` is the receipt
of the record in hand, never less than the patient's last. A finding of one instant enters its episode highest first.
A step that fails leaves the state as it was, gives a Reject a reading and tells a person (CONTRACT 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from rpm_stream.alert.decisions import LEARNED
from rpm_stream.alert.episodes import (
    RANK,
    Episode,
    apply,
    mark_fresh,
    mark_stale,
    resolve,
    resolve_recovered,
)
from rpm_stream.alert.waiting import overdue
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.correct import as_message, void
from rpm_stream.pipeline.decide import decided
from rpm_stream.pipeline.devices import GROUPS as DEVICE_GROUPS
from rpm_stream.pipeline.devices import DeviceAlerts
from rpm_stream.pipeline.not_judged import finding_of, reject_of
from rpm_stream.pipeline.patient import MOST_SINCE, Input, Patient, PatientState
from rpm_stream.pipeline.publishing import publish
from rpm_stream.pipeline.room import Room
from rpm_stream.pipeline.scoring import Scoring
from rpm_stream.pipeline.settings import GROUP as SETTINGS
from rpm_stream.pipeline.settings import MENDED, Settings
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.pipeline.silence import Silence
from rpm_stream.pipeline.state import pack_patient, unpack_patient
from rpm_stream.publish import fhir, summaries
from rpm_stream.publish.fhir import Published
from rpm_stream.records import Action, Alert, PatientEntry, Reading, Readings, Record, Reject, Score
from rpm_stream.registry import Registry

__all__ = ["Judge", "Judged", "Patient", "PatientState"]


class Judged(Record, frozen=True, kw_only=True):
    """All that one step put out, in the order of cause."""

    scores: tuple[Score, ...] = ()
    alerts: tuple[Alert, ...] = ()
    observations: tuple[Published, ...] = ()
    rejects: tuple[Reject, ...] = ()


class _Work:
    """One message on its way."""

    def __init__(self, patient: Patient, entry: PatientEntry, now: datetime) -> None:
        self.patient, self.entry, self.now = patient, entry, now
        self.scores: list[Score] = []
        self.alerts: list[Alert] = []
        self.evidence: dict[str, Reading] = {}


class Judge:
    """The pure judge agent: tables in; a step for readings, for an action, for time without data."""

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self.knowledge, self.registry = knowledge, registry
        self._scoring, self._room = Scoring(knowledge, registry), Room(knowledge)
        self._settings = Settings(knowledge, registry)
        self._silence, self._devices = Silence(knowledge, registry), DeviceAlerts(knowledge, registry)

    def step(self, patient: Patient, message: Readings) -> Judged | None:
        """Apply one message of readings; None when it was applied before."""
        place = (message.offset, message.chunk)
        if place <= patient.state.applied.get(message.partition, (-1, -1)):
            return None
        try:
            judged = self._step(patient, message)
        except Exception as error:  # noqa: BLE001  # whatever it is: undone, refused, told; other patients go on
            return self._not_judged(patient, message, error)
        self._note(patient, message)
        return judged

    def act(self, patient: Patient, action: Action) -> Judged:
        """Apply what a person decided; nothing happens where the alert is not open any more."""
        try:
            judged = self._act(patient, action)
        except Exception as error:  # as of a step, where there are readings to tell of
            if not action.readings:
                raise
            return self._not_judged(patient, as_message(action, patient.state.patient), error)
        self._note(patient, action)
        return judged

    def tick(self, patient: Patient, at: datetime) -> Judged:
        """Time without data: summaries that are due, silence, alerts without fresh readings."""
        judged = self._tick(patient, at)
        self._note(patient, at)
        return judged

    def close(self, patient: Patient) -> Judged:
        """End of a replay: the windows that are still open."""
        windows = summaries.close(patient.windows)
        return Judged(observations=tuple(fhir.summary(window, self.knowledge) for window in windows))

    def _note(self, patient: Patient, applied: Input) -> None:
        patient.note(applied)
        if patient.weight >= MOST_SINCE:
            pack_patient(patient)

    def _not_judged(self, patient: Patient, message: Readings, error: Exception) -> Judged:
        """The state as it was before the message, a Reject a reading, and an alert that tells a person."""
        self._rewind(patient)
        state = patient.state
        work = self._work(patient, message.received_at)
        state.now, state.first_at = work.now, state.first_at or work.now
        state.applied[message.partition] = (message.offset, message.chunk)
        if message.readings and (alert := apply(state.episodes, state.patient, finding_of(message.readings), work.now)):
            work.alerts.append(alert)
        closed = self._room.make(state)
        pack_patient(patient)
        rejects = tuple(reject_of(message, reading, work.now, error) for reading in message.readings)
        return Judged(alerts=tuple(work.alerts), observations=closed, rejects=rejects)

    def _rewind(self, patient: Patient) -> None:
        """Rebuild the state before the input in hand: the last sealed one, and again what was applied since."""
        actions = patient.state.actions  # places in rpm.actions, kept by the agent
        patient.restore(unpack_patient(patient.sealed, patient.state.patient).state)
        for applied in patient.since:
            if isinstance(applied, Readings):
                self._step(patient, applied)
            elif isinstance(applied, Action):
                self._act(patient, applied)
            else:
                self._tick(patient, applied)
        patient.state.actions = actions

    def _step(self, patient: Patient, message: Readings) -> Judged:
        state = patient.state
        work = self._work(patient, message.received_at)
        state.now, state.first_at = work.now, state.first_at or work.now
        waited = overdue(state.episodes, self.knowledge.priorities, work.now)
        ordered = sorted(message.readings, key=_order)
        told = sorted((*message.readings, *message.refused), key=_order) if message.refused else ordered
        for _, group in groupby(told, key=lambda reading: reading.measured_at):
            self._instant(work, list(group))
        state.applied[message.partition] = (message.offset, message.chunk)
        for finding in self._settings.findings(state.score, work.entry, work.now):
            if alert := apply(state.episodes, state.patient, finding, work.now):
                work.alerts.append(alert)
        self._end_settings(work)
        alerts = (*waited, *self._marked(work))
        observations = publish(patient.windows, ordered, work.evidence.values(), self.knowledge)
        return Judged(scores=tuple(work.scores), alerts=alerts, observations=(*observations, *self._room.make(state)))

    def _act(self, patient: Patient, action: Action) -> Judged:
        work = self._work(patient, action.at)
        if action.action == "adopt":
            return self._step(patient, as_message(action, patient.state.patient))
        late = overdue(patient.state.episodes, self.knowledge.priorities, work.now)
        alerts: Sequence[Alert]
        if action.action == "void":
            alerts, observations = void(patient.state, patient.windows, action, self.knowledge, work.now)
        else:
            alerts, observations = decided(patient.state, action, self.knowledge, work.now), ()
        closed = self._room.make(patient.state)
        return Judged(alerts=(*late, *alerts), observations=(*observations, *closed))

    def _tick(self, patient: Patient, at: datetime) -> Judged:
        state = patient.state
        work = self._work(patient, at)
        due = summaries.tick(patient.windows, work.now)
        work.alerts += overdue(state.episodes, self.knowledge.priorities, work.now)
        if work.entry.expected_every:
            for finding, moment in self._silence.findings(state, work.entry, work.now):
                if alert := apply(state.episodes, state.patient, finding, moment):
                    work.alerts.append(alert)
        if state.episodes:
            work.alerts += overdue(state.episodes, self.knowledge.priorities, work.now)
            for group, moment in list(self._silence.stale(state.score, work.entry, state.episodes, work.now)):
                if alert := mark_stale(state.episodes, group, moment):
                    work.alerts.append(alert)
            self._end_settings(work)
            for group in list(self._silence.ended(state.score, work.entry, state.episodes, work.now)):
                work.alerts.append(resolve(state.episodes, group, work.now, "no longer expected from this device"))
            for group in self._devices.ended(state, work.now):
                work.alerts.append(resolve(state.episodes, group, work.now, "no longer worn: the device is unassigned"))
            self._room.make_for_silence(state)
        return Judged(
            alerts=tuple(work.alerts), observations=tuple(fhir.summary(window, self.knowledge) for window in due)
        )

    def _end_settings(self, work: _Work) -> None:
        state = work.patient.state
        if SETTINGS in state.episodes and self._settings.is_mended(state.score, work.entry, work.now):
            work.alerts.append(resolve(state.episodes, SETTINGS, work.now, MENDED))

    def _work(self, patient: Patient, at: datetime) -> _Work:
        """``now`` never goes back. Only data moves the state's own: a tick or a click must change no later alert."""
        state = patient.state
        return _Work(patient, self.registry.patient(state.patient), at if state.now is None else max(state.now, at))

    def _instant(self, work: _Work, readings: Sequence[Reading]) -> None:
        """All readings of one moment: findings of limits, NEWS2 and detectors, then episodes."""
        state = work.patient.state
        found = self._scoring.instant(work.patient, work.entry, readings)
        work.scores += found.scores
        findings = [*found.findings, *self._devices.findings(state.score, readings)]
        findings.sort(key=lambda finding: -RANK[finding.priority])
        for finding in findings:
            if alert := apply(state.episodes, state.patient, finding, work.now):
                work.alerts.append(alert)
                work.evidence.update((reading.id, reading) for reading in finding.evidence)
        # What came late ends nothing: a night that arrives in the morning is one alert, and somebody can see it. Of a
        # reading that no rule keeps (a mean pressure, one without a value) nobody knows whether it came late.
        latest, vitals = state.score.latest, self.knowledge.vitals
        heard = {vitals[reading.vital].group for reading in found.judged if latest.get(reading.vital) is reading}
        work.alerts += self._recovered(work, heard | DEVICE_GROUPS)

    def _recovered(self, work: _Work, groups: set[str]) -> list[Alert]:
        state = work.patient.state
        if not state.episodes:
            return []

        def recovered(name: str, member_vital: str) -> bool:
            if name.startswith("silence:"):
                return self._silence.heard(state.score, name, state.episodes)
            if name.startswith("device:"):
                return self._devices.recovered(state.score, name)
            return self._scoring.recovered(work.patient, name, member_vital)

        return resolve_recovered(state.episodes, (*groups, SILENCE), lambda n, m: recovered(n, m.vital), work.now)

    def _marked(self, work: _Work) -> tuple[Alert, ...]:
        """The message's alert records, with the marks that hold after the whole message.

        ``historical``: its vital is known to be back inside already, or usual again where nothing but a learned
        detector holds it. An open alert that is so no more, or that has fresh data again, is told anew.
        """
        state = work.patient.state
        told = {alert.id for alert in work.alerts}
        for group, episode in state.episodes.items():
            alert = episode.alert
            if alert.stale and not self._silence.is_stale(state.score, work.entry, episode, work.now):
                work.alerts.append(mark_fresh(state.episodes, group, work.now))
            if not (alert.id in told or alert.historical):
                continue
            over = self._is_over(state, episode)
            if over != alert.historical:
                episode.alert = msgspec.structs.replace(episode.alert, historical=over)
                if alert.id not in told:
                    work.alerts.append(episode.alert)
        final = {alert.id: alert.historical or _began_and_ended(alert) for alert in work.alerts}
        final.update({episode.alert.id: episode.alert.historical for episode in state.episodes.values()})
        return tuple(msgspec.structs.replace(alert, historical=final[alert.id]) for alert in work.alerts)

    def _is_over(self, state: PatientState, episode: Episode) -> bool:
        if episode.alert.group.startswith(("device:", SETTINGS)):  # a good value says nothing of other trouble
            return False
        if all(name.startswith(LEARNED) for name in episode.members):  # its values may be inside every limit all along
            known = [state.score.calm.get(name) for name in episode.members]
            return all(calm is not None and calm.until > episode.decided_at for calm in known)
        history = state.score.histories.get(episode.vital)
        tail = history.segments[-1] if history else None
        return tail is not None and tail.level == "inside" and tail.end > episode.decided_at


def _order(reading: Reading) -> tuple[datetime, str, str]:
    """Within a message: by time, vital and id (CONTRACT 3)."""
    return reading.measured_at, reading.vital, reading.id


def _began_and_ended(alert: Alert) -> bool:
    """Whether an alert was opened and resolved by one message: it was over before anybody could see it."""
    return alert.state == "resolved" and alert.opened_at == alert.updated_at
