"""The life of an alert from its history: steps as text, assignee, who has seen it, snooze.

Only the typed fields of the steps are used. A step's ``reason`` is shown and never searched.
old_life.py first converts records that were written before steps had these fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from rpm_stream.publish.old_life import is_person, typed
from rpm_stream.publish.time_words import duration_words, utc_words
from rpm_stream.records import Alert, AlertState, Direction, Event, Record, Transition
from rpm_stream.text import is_of_values

STATE_WORDS: dict[AlertState, str] = {
    "open": "Open",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}

# The text of every step. _words fills in the names in braces. An unknown part stays empty.
EVENT_WORDS: dict[Event, str] = {
    "opened": "Opened at {priority} priority",
    "raised": "Raised to {priority}{again}",
    "joined": "A further finding",
    "reopened": "Opened again: a further finding",
    "worse": "Opened again: it got worse",
    "returned": "Opened again after all values had been back",
    "over": "All values are back inside their limits; nobody has seen it yet",
    "escalated": "Escalated: nobody has acknowledged it{waited}",
    "snooze_ended": "Opened again: the snooze has ended",
    "recovered": "Resolved by new values",
    "ended": "Resolved without new values",
    "corrected": "Readings corrected",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed{until}{side}",
    "resolved": "Resolved",
    "withdrawn": "Withdrawn",
    "new_normal": "New normal: learning resumes; no limit changes",
    "assigned": "Assigned{assignee}",
    "commented": "Comment",
    "seen": "Seen",
    "refused": "Not carried out",
}
# For alerts that are not about values (a silence, a device).
OTHER_WORDS: dict[Event, str] = {
    "over": "What it told of is over; nobody has seen it yet",
    "returned": "Opened again after that was over",
}
SIDE_WORDS: dict[Direction, str] = {"low": " (low values only)", "high": " (high values only)"}
AGAIN = " and opened again"
WAITED = " for {length}"
UNTIL = " until {moment}"
ASSIGNEE = " to {name}"
BY = "{what} by {who}"
REFUSED_BY = "{what}, asked for by {who}"

# A person who saw the alert before one of these steps has not seen its present content. ("over"
# itself means that no person has seen it.)
ANEW: frozenset[Event] = frozenset(
    {"opened", "raised", "reopened", "worse", "returned", "snooze_ended", "over"}
)
SEEING: frozenset[Event] = frozenset({"seen", "acknowledged"})
WORSE: frozenset[Event] = frozenset({"raised", "worse", "returned"})
# a further rule, or one with a higher priority than before
FURTHER: frozenset[Event] = frozenset({"joined", "reopened"})

TimeFormat = Callable[[datetime], str]


class TimelineStep(Record, frozen=True, kw_only=True):
    """One step as text.

    ``who`` is None if it was the service. ``why`` is "" if no reason was given.
    """

    at: datetime
    event: Event
    who: str | None
    what: str
    why: str


class Sleep(Record, frozen=True, kw_only=True):
    """A snooze: its end, and the side of the limits that it covers if it covers only one."""

    until: datetime
    direction: Direction | None


def steps(
    history: Sequence[Transition],
    clock: TimeFormat = utc_words,
    words: Mapping[Event, str] = EVENT_WORDS,
) -> tuple[TimelineStep, ...]:
    """Return the history as text, in its own order.

    ``clock`` writes a moment. ``words`` has the texts for the alert's group.
    """
    known = typed(history)
    return tuple(
        TimelineStep(
            at=step.at,
            event=_event(step),
            who=step.who if is_person(step) else None,
            what=_words(known, place, clock, words),
            why=step.reason,
        )
        for place, step in enumerate(known)
    )


def words_of(group: str) -> Mapping[Event, str]:
    """Return the text of every step for an alert of this group."""
    return EVENT_WORDS if is_of_values(group) else EVENT_WORDS | OTHER_WORDS


def step_words(step: TimelineStep) -> str:
    """Return what happened and who did it: "Acknowledged by N. Adeyemi"."""
    if step.who is None:
        return step.what
    return (REFUSED_BY if step.event == "refused" else BY).format(what=step.what, who=step.who)


def assignee(alert: Alert) -> str | None:
    """Return the person to whom the alert was last assigned, or None."""
    return next(
        (step.assignee for step in reversed(typed(alert.history)) if step.event == "assigned"), None
    )


def sleep(alert: Alert) -> Sleep | None:
    """Return the present snooze, or None if the alert is not snoozed."""
    for step in _of_the_present_state(alert, "snoozed"):
        if step.event == "snoozed" and step.until is not None:
            return Sleep(until=step.until, direction=step.direction)
    return None


def acknowledgement(alert: Alert) -> Transition | None:
    """Return the step that put the alert into the acknowledged state, if it is in that state.

    Later steps that keep the state (a further finding of lower priority) are not returned.
    """
    found = _of_the_present_state(alert, "acknowledged")
    if not found:
        return None
    return next((step for step in reversed(found) if step.event == "acknowledged"), found[-1])


def seen_by(alert: Alert) -> tuple[str, ...]:
    """Return the people who looked at the alert since it last opened, rose or was over, in order.

    A step "seen" or "acknowledged" shows it. What was seen before such a change is not the alert's
    present content.
    """
    found: list[str] = []
    for step in reversed(typed(alert.history)):
        if step.event in SEEING and is_person(step):
            found.append(step.who)
        if step.event in ANEW:
            break
    return tuple(dict.fromkeys(reversed(found)))


def worse_since(history: Sequence[Transition], record: datetime) -> Transition | None:
    """Return the last step after ``record`` with which the alert became worse, or None.

    ``record`` is the ``updated_at`` of what somebody saw. If there is no such step, the last one
    with a further reason is returned.
    """
    since = [step for step in reversed(typed(history)) if step.at > record]
    return next(
        (step for events in (WORSE, FURTHER) for step in since if step.event in events), None
    )


def _of_the_present_state(alert: Alert, state: AlertState) -> list[Transition]:
    """Return the steps since the alert is in ``state``, latest first, or none in another state."""
    found: list[Transition] = []
    for step in reversed(typed(alert.history) if alert.state == state else ()):
        if step.state != state:
            break
        found.append(step)
    return found


def _event(step: Transition) -> Event:
    assert step.event is not None, "old_life.typed leaves no step without an event"
    return step.event


def _words(
    history: tuple[Transition, ...], place: int, clock: TimeFormat, words: Mapping[Event, str]
) -> str:
    step = history[place]
    before = history[place - 1] if place else None
    was_shut = before is not None and before.state != "open" and step.state == "open"
    return words[_event(step)].format(
        priority=step.priority,
        again=AGAIN if was_shut else "",
        waited=_waited(history, place),
        until=UNTIL.format(moment=clock(step.until)) if step.until is not None else "",
        side=SIDE_WORDS[step.direction] if step.direction is not None else "",
        assignee=ASSIGNEE.format(name=step.assignee) if step.assignee else "",
    )


def _waited(history: tuple[Transition, ...], place: int) -> str:
    """Return the text for how long the alert had been open at its priority.

    It is empty if the history does not have the beginning of that time.
    """
    begin = place
    while begin and history[begin].event != "returned":
        before = history[begin - 1]
        if before.state != "open" or before.priority != history[begin].priority:
            break
        begin -= 1
    length = history[place].at - history[begin].at
    return WAITED.format(length=duration_words(length)) if length >= timedelta(minutes=1) else ""
