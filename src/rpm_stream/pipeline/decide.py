"""What a person decided, in a patient's state: the alert's life, and what the detectors may learn again."""

from __future__ import annotations

from datetime import datetime

from rpm_stream.alert.decisions import decide
from rpm_stream.alert.episodes import Episode, group_of
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.patient import PatientState
from rpm_stream.records import Action, Alert


def decided(state: PatientState, action: Action, knowledge: Knowledge, now: datetime) -> tuple[Alert, ...]:
    """The alert's new record; nothing where it is not open any more."""
    group = None if action.alert is None else group_of(state.episodes, action.alert)
    if group is None:
        return ()
    if action.action == "new_normal":
        state.score.accepted[group] = _seen_up_to(state, group, state.episodes[group], knowledge)
        for vital, days in state.score.days.items():
            if knowledge.vitals[vital].group == group:
                days.told = None
    alert = decide(state.episodes, group, action, knowledge.priorities, now)
    return () if alert is None else (alert,)


def _seen_up_to(state: PatientState, group: str, episode: Episode, knowledge: Knowledge) -> datetime:
    """When the newest reading of the group was measured: a person accepts what was there to be seen, nothing later."""
    newest = [
        reading.measured_at for vital, reading in state.score.latest.items() if knowledge.vitals[vital].group == group
    ]
    return max((episode.decided_at, *newest))
