"""What time alone does to alerts.

A snooze ends, an alert that no person acknowledges escalates, and what was held back is reported.
Each step holds from the moment at which it was due, whenever it is noticed (CONTRACT 3). A slow
tick or a restart therefore changes only when the step is noticed.
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
    """Apply what was due up to ``now``, and yield each changed alert.

    Each step is a record of its own, the oldest first within an alert.
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
    """Since when the alert has been open at its present priority without a break and not over."""
    since = alert.history[-1].at
    for step in reversed(alert.history):
        if step.state != "open" or step.priority != alert.priority:
            break
        since = step.at
        if step.event == "returned":
            break
    return since
