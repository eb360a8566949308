"""What people decide about an alert. What cannot be done is said in the alert's history; nothing is
refused silently. A refusal that the history says already, since a person's decision was last
carried out, is not said again: presses without end would fill it.

Only ``resolve`` and ``withdraw`` take an alert off the list, and ``new_normal`` one that nothing
but a learned detector holds; of a high alert whose values are not back, ``resolve`` is carried out
as ``acknowledge``; one that is not about values (a silence, a device, a setting) a person ends,
whatever its priority. A high alert can be acknowledged, not snoozed (law 3); one that has become
high while somebody decided about less stays as it is, and so does one that has got worse by a tier
since the record that the person saw.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import msgspec

from rpm_stream.alert.episode import Episode, Episodes, Member, Snoozed
from rpm_stream.alert.episodes import change, settle
from rpm_stream.alert.life_cycle import next_state
from rpm_stream.alert.refusals import FULL, is_told, refused_words, sentence
from rpm_stream.alert.situation import Situation
from rpm_stream.alert.tiers import decision_at, has_passed, moment_of
from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import RANK, Action, Alert, Cause, Direction, Event, Priority, Transition
from rpm_stream.text import SERVICE, is_of_values

BOTH: tuple[Direction, ...] = ("low", "high")
ANY_TIME = ("comment", "assign")  # these silence nothing, whatever has come since
# bytes of a patient's histories that people may fill: a quarter of the state (CONTRACT 8)
MOST_SAID = 12_000
EACH_STEP = 100  # bytes that a step takes besides its words
EVENTS: dict[str, Event] = {
    "acknowledge": "acknowledged",
    "snooze": "snoozed",
    "resolve": "resolved",
    "withdraw": "withdrawn",
    "new_normal": "new_normal",
    "assign": "assigned",
    "comment": "commented",
    "see": "seen",
}


class Context(msgspec.Struct, frozen=True):
    """What a decision depends on beside the alert. ``recovered``: whether a member's values are
    back inside; ``may_be_new_normal``: whether a person may call what a member found the patient's
    new normal.
    """

    priorities: Priorities
    situation: Situation
    recovered: Callable[[str, Member], bool]
    may_be_new_normal: Callable[[Member], bool]
    now: datetime


def decide(episodes: Episodes, group: str, action: Action, context: Context) -> list[Alert]:
    """Apply a decision about the open episode of ``group``; its alert's new records, none where
    nothing changes.
    """
    episode = episodes[group]
    stood = _stood(episode, action.record)
    refused = _overtaken(episode, action, context, stood) or refusal(
        episode.alert, action, context.priorities, context.now, stood
    )
    if refused is None and (done := _final(episodes, group, action, context)) is not None:
        return done
    if _is_full(episodes):
        return _refuse(episode, action, context, "no_room")
    if refused is not None:
        return _refuse(episode, action, context, refused)
    if action.action == "snooze" and action.until is not None:
        return [_snooze(episode, action, action.until, context.now)]
    if action.action == "new_normal":
        _forget_learned(episode, context)
    return [_step(episode, action, context.now, EVENTS[action.action])]


def _final(episodes: Episodes, group: str, action: Action, context: Context) -> list[Alert] | None:
    """Decisions that always have room: to see, acknowledge, resolve and withdraw, and what ends by
    a new normal. None of any other.
    """
    episode = episodes[group]
    now = context.now
    match action.action:
        case "withdraw":
            return [_end(episodes, group, action, now)]
        case "resolve":
            if (
                episode.alert.priority != "high"
                or not is_of_values(group)
                or _is_back(episode, context)
            ):
                return [_end(episodes, group, action, now)]
            first = (
                [] if episode.alert.state == "acknowledged" else _acknowledge(episode, action, now)
            )
            return [*first, *_refuse(episode, action, context, "not_back")]
        case "see" if not episode.seen:
            episode.seen = True
            return [_step(episode, action, now, "seen"), *_settled(episodes, group, now)]
        case "acknowledge" | "see" if is_needless(episode.alert, action.action, action.who):
            return []
        case "acknowledge":
            return [*_acknowledge(episode, action, now), *_settled(episodes, group, now)]
        case "new_normal" if all(map(context.may_be_new_normal, episode.members.values())):
            return [_end(episodes, group, action, now)]
        case _:
            return None


def refusal(
    alert: Alert,
    action: Action,
    priorities: Priorities,
    now: datetime,
    stood: Priority | None = None,
) -> Cause | None:
    """Why a decision about an alert cannot be carried out; None where it can.

    ``stood``: the priority of the record that the person names, where it is known.
    """
    if action.action not in ANY_TIME and has_risen(alert, action.seen, action.record, stood):
        return "risen"
    if action.action == "snooze":
        return _snooze_refusal(alert, action, priorities, now)
    if action.action == "assign" and not assignee_of(action):
        return "no_assignee"
    if action.action == "comment" and not action.reason:
        return "no_words"
    if action.action == "withdraw" and not action.reason:
        return "no_reason"
    return None


def _overtaken(
    episode: Episode, action: Action, context: Context, stood: Priority | None
) -> Cause | None:
    """Whether the alert has got worse by a tier since the record that the person saw."""
    if action.action in ANY_TIME or has_risen(episode.alert, action.seen, action.record, stood):
        return None
    is_passed = has_passed(episode, action.record or action.at, context.situation)
    return "overtaken" if is_passed else None


def is_needless(alert: Alert, kind: str, who: str) -> bool:
    """Whether an alert says already what would come of a decision, so that no record follows. (Of
    ``resolve``: unless the values are back by now.)
    """
    match kind:
        case "acknowledge":
            return alert.state == "acknowledged"
        case "resolve":
            return alert.state == "acknowledged" and is_told(alert, "resolve", "not_back")
        case "see":  # since the service last changed anything
            newest = takewhile(lambda step: step.who != SERVICE, reversed(alert.history))
            return any((step.event, step.who) == ("seen", who) for step in newest)
        case _:
            return False


def has_risen(
    alert: Alert, seen: Priority | None, record: datetime | None, stood: Priority | None = None
) -> bool:
    """Whether the alert has become higher than a person saw it: as they say, or as the record said
    that they name.

    ``stood``: the priority of that record, where it is known; else the history's up to its time. A
    step has the time of the message, so that one of the same moment may have come after the record.
    """
    named = [step.priority for step in alert.history if record is not None and step.at <= record]
    of_record = stood or next(reversed(named), None)
    return any(RANK[alert.priority] > RANK[each] for each in (of_record, seen) if each is not None)


def _stood(episode: Episode, record: datetime | None) -> Priority | None:
    """The alert's priority in the record that a person names; None where that is not known."""
    place = None if record is None else moment_of(episode, record)
    return None if place is None else episode.moments[place].priority


def assignee_of(action: Action) -> str:
    """The name of who gets the alert; empty where none is given: a name has a letter or a digit."""
    name = " ".join((action.to or "").split())
    return name if any(letter.isalnum() for letter in name) else ""


def _is_back(episode: Episode, context: Context) -> bool:
    return episode.alert.over or all(
        context.recovered(name, member) for name, member in episode.members.items()
    )


def _refuse(episode: Episode, action: Action, context: Context, cause: Cause) -> list[Alert]:
    alert = episode.alert
    if is_told(alert, action.action, cause):
        return []
    words = FULL
    if cause != "no_room":
        words = refused_words(action.action, sentence(cause, alert.priority, context.priorities))
    return [
        _step(
            episode, action, context.now, "refused", reason=words, asked=action.action, cause=cause
        )
    ]


def _acknowledge(episode: Episode, action: Action, now: datetime) -> list[Alert]:
    episode.seen = True
    alert = _step(episode, action, now, "acknowledged")
    episode.decided = decision_at(episode, action.record or action.at)
    return [alert]


def _settled(episodes: Episodes, group: str, now: datetime) -> list[Alert]:
    """An alert that was over and is seen now has nothing to wait for."""
    alert = settle(episodes, group, now) if episodes[group].alert.over else None
    return [] if alert is None else [alert]


def _end(episodes: Episodes, group: str, action: Action, now: datetime) -> Alert:
    episode = episodes.pop(group)
    episode.alert = msgspec.structs.replace(episode.alert, over=False)
    event = EVENTS[action.action]
    return _step(
        episode, action, now, event, state=next_state(episode.alert.state, event, is_last=True)
    )


def _step(episode: Episode, action: Action, now: datetime, event: Event, **other: Any) -> Alert:
    """A person's step, with their own words; ``other``: fields of the step that are other ones."""
    alert = episode.alert
    step = Transition(
        at=now,
        state=next_state(alert.state, event),
        priority=alert.priority,
        who=action.who,
        reason=action.reason,
        event=event,
        assignee=assignee_of(action) if event == "assigned" else None,
        until=action.until if event == "snoozed" else None,
        direction=action.direction if event == "snoozed" else None,
    )
    return change(episode, msgspec.structs.replace(step, **other))


def _snooze(episode: Episode, action: Action, until: datetime, now: datetime) -> Alert:
    covers = (action.direction,) if action.direction else _directions(episode)
    alert = _step(episode, action, now, "snoozed")
    episode.snoozed = Snoozed(until=until, covers=covers)
    episode.decided = decision_at(episode, action.record or action.at)
    episode.seen = True
    return alert


def _snooze_refusal(
    alert: Alert, action: Action, priorities: Priorities, now: datetime
) -> Cause | None:
    rules = priorities.snooze
    if alert.priority in rules.never:
        return "never_snoozed"
    if action.until is None:
        return "no_end"
    if action.until <= now:
        return "end_past"
    if action.until - now > timedelta(hours=rules.at_most_hours):
        return "too_long"
    return None


def _directions(episode: Episode) -> tuple[Direction, ...]:
    """The sides that a snooze without one covers: those that the person could see; both where
    the alert has none.
    """
    seen = {member.direction for member in episode.members.values()}
    return tuple(side for side in BOTH if side in seen) or BOTH


def _forget_learned(episode: Episode, context: Context) -> None:
    """Drop the members that a person may call the new normal."""
    left = {
        name: member
        for name, member in episode.members.items()
        if not context.may_be_new_normal(member)
    }
    if len(left) < len(episode.members):
        episode.members = left
        if episode.first is not None and not any(
            member.why == episode.first.why for member in left.values()
        ):
            episode.first = None


def _is_full(episodes: Episodes) -> bool:
    """Whether the patient's open alerts have no room for more words of people; to acknowledge,
    resolve or withdraw always works. What the service says in them is given up where people need
    the room (size.py).
    """
    steps = (
        step
        for episode in episodes.values()
        for step in episode.alert.history
        if step.who != SERVICE
    )
    return sum(EACH_STEP + len(f"{step.reason}{step.who}".encode()) for step in steps) > MOST_SAID
