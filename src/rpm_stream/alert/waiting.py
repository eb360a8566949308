"""What time alone does to alerts: a snooze ends, and what nobody acknowledges escalates.

Both hold from the moment at which they were due, whenever they are noticed (CONTRACT 3): so a slow tick or a restart
changes nothing but the moment of noticing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from rpm_stream.alert.episodes import Episode, Episodes, Escalated, change
from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import Alert
from rpm_stream.words import SERVICE


def overdue(episodes: Episodes, priorities: Priorities, now: datetime) -> list[Alert]:
    """Each alert that time has changed up to ``now``, a record a step, oldest first within an alert."""
    changed: list[Alert] = []
    for _, episode in sorted(episodes.items()):
        if episode.snoozed is not None and episode.snoozed.until <= now:
            changed.append(change(episode, "open", episode.snoozed.until, SERVICE, "the snooze is over"))
        changed += _escalations(episode, priorities, now)
    return changed


def _escalations(episode: Episode, priorities: Priorities, now: datetime) -> list[Alert]:
    minutes = priorities.escalate_after_minutes.get(episode.alert.priority)
    if minutes is None or episode.alert.state != "open":
        return []
    since = _waits_since(episode.alert)
    if episode.escalated is None or episode.escalated.since != since:
        episode.escalated = Escalated(since=since, times=0)
    steps: list[Alert] = []
    while episode.escalated.times < priorities.escalation.most:
        waited = minutes * (episode.escalated.times + 1)
        due = since + timedelta(minutes=waited)
        if due > now:
            break
        episode.escalated.times += 1
        change(episode, "open", due, SERVICE, f"escalated: nobody has acknowledged it for {waited} minutes")
        episode.alert = msgspec.structs.replace(episode.alert, escalation=episode.alert.escalation + 1)
        steps.append(episode.alert)
    return steps


def _waits_since(alert: Alert) -> datetime:
    """Since when the alert is open at its present priority without a break."""
    since = alert.history[-1].at
    for step in reversed(alert.history):
        if step.state != "open" or step.priority != alert.priority:
            break
        since = step.at
    return since
