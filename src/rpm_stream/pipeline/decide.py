"""Apply a person's decision to a patient's state.

It changes the alert's life and what the detectors may learn again.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from rpm_stream.alert import unkept
from rpm_stream.alert.decisions import Context, decide
from rpm_stream.alert.episode import Episode
from rpm_stream.alert.episodes import group_of
from rpm_stream.alert.telling import note_last_record
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.pipeline.alert_records import put
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.work import Work
from rpm_stream.records import Action, Alert


def decided(work: Work, action: Action, scoring: Scoring, knowledge: Knowledge) -> None:
    """Add the alert's new records, or none if the alert is not open any more."""
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
        partial(scoring.recovered, work.state, work.entry),
        scoring.may_be_new_normal,
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
    put(work, episode)
    if group in state.episodes:
        note_last_record(episode, work.situation, work.now)


def _unkept(action: Action, patient: str, now: datetime) -> Alert | None:
    """Return the end of an alert that this state has lost, or None.

    The record that the action brings takes the place of the lost one.
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
    """Count all values up to now as usual.

    Learning resumes, and a trend up to here is not reported any more.
    """
    state.score.accepted[group] = _seen_up_to(state, group, episode, knowledge)
    for vital, days in state.score.days.items():
        if knowledge.vitals[vital].group == group:
            days.forget_reported()


def _seen_up_to(
    state: PatientState, group: str, episode: Episode, knowledge: Knowledge
) -> datetime:
    """Return when the newest reading of the group was measured.

    A person accepts what was there to be seen, and nothing later.
    """
    newest = [
        reading.measured_at
        for vital, reading in state.score.latest.items()
        if knowledge.vitals[vital].group == group
    ]
    return max((episode.decided_at, *newest))
