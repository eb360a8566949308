"""What time alone does to alerts: a snooze ends, what nobody acknowledges escalates, what was held
back is told.

All hold from the moment at which they were due, whenever they are noticed (CONTRACT 3): so a slow
tick or a restart changes nothing but the moment of noticing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from rpm_stream.alert.episode import Episode, Episodes, Escalated
from rpm_stream.alert.episodes import service_step
from rpm_stream.alert.situation import Situation
from rpm_stream.alert.tiers import held
from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import Alert


def overdue(
    episodes: Episodes, priorities: Priorities, situation: Situation, now: datetime
) -> Iterator[tuple[Episode, Alert]]:
    """Each alert that time has changed up to ``now``, a record a step, oldest first within an
    alert.
    """
    for _, episode in sorted(episodes.items()):
        snoozed = episode.snoozed
        # what was due before the snooze ends comes first
        until = now if snoozed is None else min(now, snoozed.until)
        if (alert := held(episode, situation, until)) is not None:
            yield episode, alert
        if (snoozed := episode.snoozed) is not None and snoozed.until <= now:
            yield episode, service_step(episode, snoozed.until, "snooze_ended")
            if (alert := held(episode, situation, now)) is not None:
                yield episode, alert
        for alert in _escalations(episode, priorities, now):
            yield episode, alert


def _escalations(episode: Episode, priorities: Priorities, now: datetime) -> Iterator[Alert]:
    minutes = priorities.escalate_after_minutes.get(episode.alert.priority)
    if minutes is None or episode.alert.state != "open" or episode.alert.over:
        return
    since = waits_since(episode.alert)
    if episode.escalated is None or episode.escalated.since != since:
        episode.escalated = Escalated(since=since, times=0)
    while episode.escalated.times < priorities.escalation.most:
        due = since + timedelta(minutes=minutes * (episode.escalated.times + 1))
        if due > now:
            break
        episode.escalated.times += 1
        service_step(episode, due, "escalated")
        episode.alert = msgspec.structs.replace(
            episode.alert, escalation=episode.alert.escalation + 1
        )
        yield episode.alert


def waits_since(alert: Alert) -> datetime:
    """Since when the alert is open at its present priority without a break, and not over."""
    since = alert.history[-1].at
    for step in reversed(alert.history):
        if step.state != "open" or step.priority != alert.priority:
            break
        since = step.at
        if step.event == "returned":
            break
    return since
