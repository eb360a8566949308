"""What a person decided, in a patient's state: the alert's life, and what the detectors may
learn again.
"""

from __future__ import annotations

from datetime import datetime

from rpm_stream.alert import unkept
from rpm_stream.alert.decisions import Context, decide
from rpm_stream.alert.episode import Episode
from rpm_stream.alert.episodes import group_of
from rpm_stream.alert.telling import note_told
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.alerting import Alerting
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Action, Alert


def decided(work: Work, action: Action, alerting: Alerting, knowledge: Knowledge) -> None:
    """Put the alert's new records; nothing where it is not open any more."""
    state = work.state
    group = None if action.alert is None else group_of(state.episodes, action.alert)
    if group is None:
        if (alert := _unkept(action, state.patient, work.now)) is not None:
            work.alerts.append(alert)
        return
    episode = state.episodes[group]
    context = Context(
        knowledge.priorities,
        work.situation,
        alerting.recovered(work),
        alerting.may_be_new_normal,
        work.now,
    )
    records = decide(state.episodes, group, action, context)
    for alert in records:
        work.alerts.append(alert)
    if not records:
        return
    if records[-1].history[-1].event == "new_normal":
        _accept(state, group, episode, knowledge)
    work.alerts.pop()
    alerting.put(work, episode)
    if group in state.episodes:
        note_told(episode, work.situation, work.now)


def _unkept(action: Action, patient: str, now: datetime) -> Alert | None:
    """The end of an alert that this state does not hold (it was lost since), of the record that
    the action brings.
    """
    listed = action.listed
    if (
        listed is None
        or (listed.id, listed.patient) != (action.alert, patient)
        or action.action not in unkept.ENDS
    ):
        return None
    return unkept.decided(listed, action, now)


def _accept(state: PatientState, group: str, episode: Episode, knowledge: Knowledge) -> None:
    """What was measured so far counts as usual: learning resumes, and a trend up to here is told
    no more.
    """
    state.score.accepted[group] = _seen_up_to(state, group, episode, knowledge)
    for vital, days in state.score.days.items():
        if knowledge.vitals[vital].group == group:
            days.forget_told()


def _seen_up_to(
    state: PatientState, group: str, episode: Episode, knowledge: Knowledge
) -> datetime:
    """When the newest reading of the group was measured: a person accepts what was there to be
    seen, nothing later.
    """
    newest = [
        reading.measured_at
        for vital, reading in state.score.latest.items()
        if knowledge.vitals[vital].group == group
    ]
    return max((episode.decided_at, *newest))
