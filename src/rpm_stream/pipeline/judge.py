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
from functools import partial
from itertools import groupby
from operator import is_not

import msgspec

from rpm_stream.ahead import as_judged, as_stamped
from rpm_stream.alert.episodes import end, mark_stale, note_well
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.alert_records import put, put_unchanged
from rpm_stream.pipeline.alerting import Alerting
from rpm_stream.pipeline.corrections import void
from rpm_stream.pipeline.decide import decided
from rpm_stream.pipeline.device_alerts import GROUPS as DEVICE_GROUPS
from rpm_stream.pipeline.device_alerts import DeviceAlerts
from rpm_stream.pipeline.holdings import as_message
from rpm_stream.pipeline.judge_failure import finding_of, reject_of
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.patient_rule import Ends
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
from rpm_stream.pipeline.settings import GROUP as SETTINGS
from rpm_stream.pipeline.settings import SettingsRule
from rpm_stream.pipeline.silence import GROUP as SILENCE
from rpm_stream.pipeline.silence import Staleness
from rpm_stream.pipeline.state_budget import StateBudget
from rpm_stream.pipeline.work import Work
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir import summaries
from rpm_stream.publish.fhir.observation import Published
from rpm_stream.records import Action, Alert, Forwarded, Reading, Readings, Record, Reject, Score
from rpm_stream.score.memory.column import measured_at
from rpm_stream.score.rules.protocol import share
from rpm_stream.score.rules.stretch import MOST_MOMENTS, stretch_of
from rpm_stream.score.rules.table import RULES

__all__ = ["Judge", "Judged", "Patient", "PatientState"]
LEAST_CALM = 4  # moments; of fewer a stretch would save nothing
DEVICES = DEVICE_GROUPS | {SILENCE}


class Judged(Record, frozen=True, kw_only=True):
    """All output of one step, in the order of cause."""

    scores: tuple[Score, ...] = ()
    alerts: tuple[Alert, ...] = ()
    observations: tuple[Published, ...] = ()
    rejects: tuple[Reject, ...] = ()


class Judge:
    """The pure judge agent, bound to the tables.

    It has a step for readings, for an action, and for time without data.
    """

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self.knowledge = knowledge
        self.registry = registry
        rules = tuple(make(knowledge, registry) for make in PATIENT_RULES)
        tables = share(knowledge, registry)
        self._scoring = Scoring(tables, [make(tables) for make in RULES], rules)
        self._budget = StateBudget(knowledge)
        self._at_ticks, self._at_steps = (
            [rule for rule in rules if rule.when == when] for when in ("tick", "step")
        )
        self._endings: tuple[Ends, ...] = (*rules, DeviceAlerts(registry))
        self._settings = next(rule for rule in rules if isinstance(rule, SettingsRule))
        self._staleness = Staleness(knowledge)
        self._alerting = Alerting(knowledge, self._scoring, self._staleness)

    def step(self, patient: Patient, message: Readings) -> Judged | None:
        """Apply one message of readings, and return None if it was applied before."""
        place = (message.offset, message.chunk)
        if place <= patient.state.applied.get(line_of(message), (-1, -1)):
            return None
        try:
            judged = self._step(patient, message)
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
            judged = self._act(patient, acted)
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
        judged = self._tick(patient, at)
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
        work = self._work(patient, message.received_at)
        state.now = work.now
        state.first_at = state.first_at or work.now
        state.applied[line_of(message)] = (message.offset, message.chunk)
        if message.readings:
            self._alerting.enter_one(work, finding_of(message.readings), work.now)
        closed = self._budget.make(state)
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
            if isinstance(applied, Readings):
                self._step(patient, applied)
            elif isinstance(applied, Acted):
                self._act(patient, applied)
            else:
                self._tick(patient, applied)
        patient.state.actions = actions

    def _step(self, patient: Patient, message: Readings) -> Judged:
        state = patient.state
        work = self._work(patient, message.received_at)
        state.now = work.now
        state.first_at = state.first_at or work.now
        self._end_unworn(work, work.now)
        self._alerting.wait(work)
        waited = work.alerts
        work.alerts = []
        work.recorded = {}
        self._alerting.begin(work)
        ordered = sorted(map(as_stamped, message.readings), key=_order)
        judged = list(map(as_judged, (*ordered, *message.refused)))
        if message.refused or any(map(is_not, judged, ordered)):
            judged.sort(key=_order)
        work.readings = judged
        self._moments(work, [list(group) for _, group in groupby(judged, key=measured_at)])
        state.applied[line_of(message)] = (message.offset, message.chunk)
        for rule in self._at_steps:
            for due in rule.due(state, work.entry, work.now):
                self._alerting.enter_one(work, due.finding, due.at)
        self._end_settings(work)
        alerts = (*waited, *self._alerting.finish(work))
        observations = publish(
            patient.windows, ordered, work.evidence.values(), self.knowledge, work.also_seen
        )
        return Judged(
            scores=tuple(work.scores),
            alerts=alerts,
            observations=(*observations, *self._budget.make(state)),
        )

    def _act(self, patient: Patient, acted: Acted) -> Judged:
        action, received_at = acted
        work = self._work(patient, received_at)
        if action.action == "adopt":
            return self._step(patient, as_message(action, patient.state.patient, received_at))
        self._end_unworn(work, work.now)
        self._alerting.wait(work)
        if action.action == "void":
            observations, heir = void(work, action, self._scoring, self.knowledge)
            self._note_well(work)
            if heir is not None:
                return _after(work.alerts, observations, self._step(patient, heir))
        else:
            decided(work, action, self._scoring, self.knowledge)
            observations = publish(patient.windows, (), work.evidence.values(), self.knowledge)
        closed = self._budget.make(patient.state)
        return Judged(alerts=tuple(work.alerts), observations=(*observations, *closed))

    def _tick(self, patient: Patient, at: datetime) -> Judged:
        state = patient.state
        work = self._work(patient, at)
        closed = summaries.tick(patient.windows, work.now)
        found = [due for rule in self._at_ticks for due in rule.due(state, work.entry, work.now)]
        found.sort(key=lambda due: due.at)
        self._end_unworn(work, found[0].at if found else work.now)
        self._alerting.wait(work)
        for due in found:
            self._end_unworn(work, due.at)  # first end what was over before this began
            self._alerting.enter_one(work, due.finding, due.at)
        if state.episodes:
            self._alerting.wait(work)
            for group, moment in list(
                self._staleness.stale(state.score, work.entry, state.episodes, work.now)
            ):
                if mark_stale(state.episodes, group, moment):
                    put_unchanged(work, state.episodes[group])
            self._end_settings(work)
            self._end_unworn(work, work.now)
            self._budget.make_for_silence(state)
        singly = publish(patient.windows, (), work.evidence.values(), self.knowledge)
        summed = tuple(fhir.summary(window, self.knowledge) for window in closed)
        return Judged(alerts=tuple(work.alerts), observations=(*summed, *singly))

    def _end_unworn(self, work: Work, until: datetime) -> None:
        """End alerts about devices that were unassigned up to a moment, as of that moment."""
        if not work.state.episodes:
            return
        for rule in self._endings:
            for ended in rule.ended(work.state, work.entry, until):
                self._end(work, ended.group, ended.why, ended.at)

    def _end_settings(self, work: Work) -> None:
        """Remove corrected settings from the alert about settings.

        The alert ends with the last of them.
        """
        episode = work.state.episodes.get(SETTINGS)
        if episode is None:
            return
        wrong = {
            each.member for each in self._settings.problems(work.state.score, work.entry, work.now)
        }
        mended = episode.members.keys() - wrong
        if mended == episode.members.keys():
            why = self._settings.mended(work.state.score, work.entry, mended, work.now)
            self._end(work, SETTINGS, why, work.now)
        elif mended:
            episode.members = {
                name: each for name, each in episode.members.items() if name in wrong
            }
            put(work, episode)

    def _end(self, work: Work, group: str, reason: str, at: datetime) -> None:
        episode = work.state.episodes[group]
        end(work.state.episodes, group, at, reason)
        put_unchanged(work, episode)

    def _work(self, patient: Patient, at: datetime) -> Work:
        """Return the work of one input, whose ``now`` never goes back.

        Only data moves the state's own ``now``. A tick or a click must change no later alert.
        """
        state = patient.state
        now = at if state.now is None else max(state.now, at)
        return self._alerting.work(patient, self.registry.patient(state.patient), now)

    def _moments(self, work: Work, moments: Sequence[Sequence[Reading]]) -> None:
        """Take moments without news at once, and look at each other one.

        A try that gains little costs as much as it would have saved. So after each such try twice
        as many moments are looked at before the next one, which is the shorter for it.
        """
        place = 0
        next_try = 0
        pause = 1
        size = MOST_MOMENTS
        while place < len(moments):
            passed = 0
            is_calm = not work.state.episodes and len(moments) - place >= LEAST_CALM
            if is_calm and place >= next_try:
                ahead = moments[place : place + size]
                stretch = stretch_of(work.entry, work.patient.detectors, ahead)
                if stretch is not None:
                    passed = self._scoring.pass_calm(work.patient, stretch)
                pause = 1 if passed >= LEAST_CALM else 2 * pause
                next_try = place + passed + (0 if pause == 1 else pause)
                size = min(MOST_MOMENTS, max(2 * LEAST_CALM, 2 * passed))
            if not passed:
                self._instant(work, moments[place])
            place += passed or 1

    def _instant(self, work: Work, readings: Sequence[Reading]) -> None:
        """Judge all readings of one moment: findings of all rules first, then episodes."""
        state = work.state
        found = self._scoring.instant(work.patient, work.entry, readings)
        work.scores += found.scores
        work.also_seen += found.also_seen
        self._alerting.enter(work, found, found.findings)
        # A late reading ends nothing: a night that arrives in the morning is one alert that
        # somebody can see. For a reading that no rule keeps (a mean pressure, one without a value)
        # it is unknown whether it came late.
        latest = state.score.latest
        vitals = self.knowledge.vitals
        heard = {
            vitals[reading.vital].group
            for reading in found.judged
            if latest.get(reading.vital) is reading
        }
        self._alerting.recover(work, heard | DEVICE_GROUPS)
        self._note_well(work)

    def _note_well(self, work: Work) -> None:
        """Remove from alerts about devices what is well or heard again.

        Other members stay.
        """
        recovered = partial(self._scoring.recovered, work.state, work.entry)
        for group in sorted(DEVICES & work.state.episodes.keys()):
            if note_well(work.state.episodes[group], recovered, work.now):
                put(work, work.state.episodes[group])


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
