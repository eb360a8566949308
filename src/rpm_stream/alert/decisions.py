"""What people decide about an alert. What cannot be done is said in the alert's history; nothing is refused silently.

Only ``resolve`` and ``withdraw`` take an alert off the list, and ``new_normal`` one that nothing but a learned detector
holds. A high alert can be acknowledged, not snoozed (law 3); one that has become high while somebody decided about less
stays as it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

import msgspec

from rpm_stream.alert.episodes import RANK, Episode, Episodes, Snoozed, change, resolve, why_of
from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import Action, Alert, Direction, Priority
from rpm_stream.words import SERVICE, assigned_words, snoozed_words

BOTH: tuple[Direction, ...] = ("low", "high")
ANY_TIME = ("comment", "assign")  # these silence nothing, whatever has come since
LEARNED = "detector:"  # the name of a member that only a learned detector holds begins so
MOST_SAID = 12_000  # octets of a patient's histories that people may fill: a quarter of the state (CONTRACT 8)
EACH_STEP = 100  # octets that a step takes besides its words
FULL = "refused, as this one and all further notes: this alert's history has no more room"


def decide(episodes: Episodes, group: str, action: Action, priorities: Priorities, now: datetime) -> Alert | None:
    """Apply a decision about the open episode of ``group``; its alert's new record, None where nothing changes."""
    episode = episodes[group]
    refused = refusal(episode.alert, action, priorities, now)
    if action.action == "acknowledge" and episode.alert.state == "acknowledged":
        return None
    if refused is None:
        if action.action == "resolve":
            return resolve(episodes, group, now, action.reason, action.who)
        if action.action == "withdraw":
            return resolve(episodes, group, now, f"withdrawn: {action.reason}", action.who)
        if action.action == "acknowledge":
            return change(episode, "acknowledged", now, action.who, action.reason)
        if action.action == "new_normal" and not _forget_learned(episode):
            return resolve(episodes, group, now, _said("new normal: learning resumes", action), action.who)
    if _is_full(episodes):
        is_told = episode.alert.history[-1].reason == FULL
        return None if is_told else change(episode, episode.alert.state, now, action.who, FULL)
    if refused is not None:
        return change(episode, episode.alert.state, now, action.who, f"{action.action} refused: {refused}")
    if action.action == "snooze" and action.until is not None:
        return _snooze(episode, action, action.until, now)
    return change(episode, episode.alert.state, now, action.who, _note(action))


def refusal(alert: Alert, action: Action, priorities: Priorities, now: datetime) -> str | None:
    """Why a decision about an alert cannot be carried out, in a few plain words; None where it can."""
    if action.seen is not None and action.action not in ANY_TIME and has_risen(alert, action.seen):
        return f"it has become {alert.priority} since it was seen"
    if action.action == "snooze":
        return _snooze_refusal(alert, action, priorities, now)
    if action.action == "assign" and not assigned_words(action.to or ""):
        return "it does not say to whom"
    if action.action == "comment" and not action.reason:
        return "it says nothing"
    if action.action == "withdraw" and not action.reason:
        return "it does not say why"
    return None


def has_risen(alert: Alert, seen: Priority) -> bool:
    """Whether the alert has become higher than somebody saw it."""
    return RANK[alert.priority] > RANK[seen]


def _note(action: Action) -> str:
    """The words of a decision that leaves the state as it is."""
    if action.action == "assign":
        return _said(assigned_words(action.to or ""), action)
    if action.action == "new_normal":
        return _said("new normal: learning resumes; the limits stay as they are", action)
    return f"comment: {action.reason}"


def _said(what: str, action: Action) -> str:
    return f"{what}: {action.reason}" if action.reason else what


def _snooze(episode: Episode, action: Action, until: datetime, now: datetime) -> Alert:
    covers = (action.direction,) if action.direction else _directions(episode)
    episode.snoozed = Snoozed(until=until, covers=covers)
    words = snoozed_words(_minutes(until - now), action.direction)
    return change(episode, "snoozed", now, action.who, _said(words, action))


def _snooze_refusal(alert: Alert, action: Action, priorities: Priorities, now: datetime) -> str | None:
    rules = priorities.snooze
    if alert.priority in rules.never:
        return f"{alert.priority} alerts cannot be snoozed"
    if action.until is None:
        return "it does not say until when"
    if action.until <= now:
        return "its end is past"
    if action.until - now > timedelta(hours=rules.at_most_hours):
        return f"it would last over {rules.at_most_hours} hours"
    return None


def _directions(episode: Episode) -> tuple[Direction, ...]:
    """The sides that a snooze without one covers: those that the person could see; both where the alert has none."""
    seen = {member.direction for member in episode.members.values()}
    return tuple(side for side in BOTH if side in seen) or BOTH


def _minutes(lasts: timedelta) -> int:
    """Begun minutes: rounded, half a minute more or less was read back as another end."""
    return max(1, ceil(lasts.total_seconds() / 60))


def _forget_learned(episode: Episode) -> bool:
    """Drop the members that only a learned detector holds; whether any other is left."""
    left = {name: member for name, member in episode.members.items() if not name.startswith(LEARNED)}
    if left and len(left) < len(episode.members):
        episode.members = left
        episode.alert = msgspec.structs.replace(episode.alert, why=why_of(left))
    return bool(left)


def _is_full(episodes: Episodes) -> bool:
    """Whether the patient's open alerts have no room for more words of people; to acknowledge, resolve or withdraw
    always works. What the service says in them is given up where people need the room (room.py).
    """
    steps = (step for episode in episodes.values() for step in episode.alert.history if step.who != SERVICE)
    return sum(EACH_STEP + len(f"{step.reason}{step.who}".encode()) for step in steps) > MOST_SAID
