"""Apply people's decisions about an alert.

A decision that cannot be carried out is refused, and the refusal is entered in the alert's history.
A refusal that is in the history already is not entered again until a decision of a person has been
carried out. Otherwise repeated presses would fill the history.

Only three actions take an alert off the list: ``resolve``, ``withdraw``, and ``new_normal`` where
only learned detectors hold the alert. ``resolve`` is carried out as ``acknowledge`` while the
values of a high alert are not back. An alert that is not about values (a silence, a device, a
setting) is ended by a person whatever its priority. A high alert can be acknowledged but not
snoozed (law 3). Two kinds of decision change nothing: one about an alert that has become high since
the person saw it as less, and one about an alert that has got worse by a tier since the record that
the person saw.
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
from rpm_stream.alert.refusals import FULL, is_recorded, refused_words, sentence
from rpm_stream.alert.situation import Situation
from rpm_stream.alert.tiers import decision_at, has_passed, moment_of
from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import RANK, Action, Alert, Cause, Direction, Event, Priority, Transition
from rpm_stream.text import SERVICE, is_of_values

BOTH: tuple[Direction, ...] = ("low", "high")
# these silence nothing, so they apply whatever has come since
ANY_TIME = ("comment", "assign")
# bytes of a patient's histories that people may fill: a quarter of the state (CONTRACT 8)
MOST_NOTES_BYTES = 12_000
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
    """What a decision depends on besides the alert.

    ``recovered`` returns whether the values of a member are back inside. ``may_be_new_normal``
    returns whether a person may declare what a member found to be the patient's new normal.
    """

    priorities: Priorities
    situation: Situation
    recovered: Callable[[str, Member], bool]
    may_be_new_normal: Callable[[Member], bool]
    now: datetime


def decide(episodes: Episodes, group: str, action: Action, context: Context) -> list[Alert]:
    """Apply a decision about the open episode of ``group``.

    Return the new records of its alert, none where nothing changes.
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
    """Apply a decision that always has room in the history.

    These are to see, to acknowledge, to resolve, to withdraw, and a new normal that ends the alert.
    Return None for every other decision.
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
    """Why a decision about an alert cannot be carried out, or None where it can.

    ``stood`` is the priority in the record that the person names, where it is known.
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
    """Return ``overtaken`` if the alert got worse by a tier since the record that was seen."""
    if action.action in ANY_TIME or has_risen(episode.alert, action.seen, action.record, stood):
        return None
    is_passed = has_passed(episode, action.record or action.at, context.situation)
    return "overtaken" if is_passed else None


def is_needless(alert: Alert, kind: str, who: str) -> bool:
    """Whether the alert already shows what the decision would lead to, so that no record follows.

    For ``resolve`` this holds only while the values are not back.
    """
    match kind:
        case "acknowledge":
            return alert.state == "acknowledged"
        case "resolve":
            return alert.state == "acknowledged" and is_recorded(alert, "resolve", "not_back")
        case "see":  # counted since the last step of the service
            newest = takewhile(lambda step: step.who != SERVICE, reversed(alert.history))
            return any((step.event, step.who) == ("seen", who) for step in newest)
        case _:
            return False


def has_risen(
    alert: Alert, seen: Priority | None, record: datetime | None, stood: Priority | None = None
) -> bool:
    """Whether the alert has a higher priority than the person saw.

    What the person saw is the priority ``seen`` that the action gives and the priority of the
    ``record`` that the action names. ``stood`` is the priority of that record, where it is known.
    Otherwise it is the priority of the last step of the history up to the record's time. A step
    carries the time of its message, so a step with the same time may have come after the record.
    """
    named = [step.priority for step in alert.history if record is not None and step.at <= record]
    of_record = stood or next(reversed(named), None)
    return any(RANK[alert.priority] > RANK[each] for each in (of_record, seen) if each is not None)


def _stood(episode: Episode, record: datetime | None) -> Priority | None:
    """The alert's priority in the record that a person names, or None where that is not known."""
    place = None if record is None else moment_of(episode, record)
    return None if place is None else episode.moments[place].priority


def assignee_of(action: Action) -> str:
    """The name of the person who gets the alert, or an empty string where none is given.

    A name has at least one letter or digit.
    """
    name = " ".join((action.to or "").split())
    return name if any(letter.isalnum() for letter in name) else ""


def _is_back(episode: Episode, context: Context) -> bool:
    return episode.alert.over or all(
        context.recovered(name, member) for name, member in episode.members.items()
    )


def _refuse(episode: Episode, action: Action, context: Context, cause: Cause) -> list[Alert]:
    alert = episode.alert
    if is_recorded(alert, action.action, cause):
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
    """Settle an alert that was over and has now been seen: it has nothing to wait for."""
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
    """Enter a person's step with their own words.

    ``other`` holds fields of the step that differ from that.
    """
    step = step_of(episode.alert, action, now, event)
    return change(episode, msgspec.structs.replace(step, **other))


def step_of(alert: Alert, action: Action, now: datetime, event: Event) -> Transition:
    """The step that a decision adds to the history of an alert, with the person's own words."""
    return Transition(
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
    """The sides that a snooze without a direction covers.

    These are the sides that the person could see, or both where the alert has none.
    """
    seen = {member.direction for member in episode.members.values()}
    return tuple(side for side in BOTH if side in seen) or BOTH


def _forget_learned(episode: Episode, context: Context) -> None:
    """Drop the members that a person may declare to be the new normal."""
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
    """Whether the patient's open alerts have no room for more words of people.

    To acknowledge, resolve or withdraw an alert always works. Words of the service in these alerts
    are dropped where people need the room (``alert/size.py``).
    """
    steps = (
        step
        for episode in episodes.values()
        for step in episode.alert.history
        if step.who != SERVICE
    )
    return (
        sum(EACH_STEP + len(f"{step.reason}{step.who}".encode()) for step in steps)
        > MOST_NOTES_BYTES
    )
