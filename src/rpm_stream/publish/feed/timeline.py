"""What an alert's history says of its life: each step in plain words, whose it is, who has seen it,
how long it sleeps.

Read from the typed fields of the steps alone; a step's ``reason`` is shown and never searched.
Records that were written before steps had these fields are read by old_life.py first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from rpm_stream.publish.moments import duration_words, utc_words
from rpm_stream.publish.old_life import is_person, typed
from rpm_stream.records import Alert, Direction, Event, Record, State, Transition
from rpm_stream.text import is_of_values

STATE_WORDS: dict[State, str] = {
    "open": "Open",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}

# Every step in words. The names in braces are filled in by _words; a part that is not known stays
# empty.
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
# Of alerts that are not about values (a silence, a device).
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

# After these whoever saw the alert before has not seen what it says now ("over": the judge says
# that nobody has).
ANEW: frozenset[Event] = frozenset(
    {"opened", "raised", "reopened", "worse", "returned", "snooze_ended", "over"}
)
SEEING: frozenset[Event] = frozenset({"seen", "acknowledged"})
WORSE: frozenset[Event] = frozenset({"raised", "worse", "returned"})
# a further rule, or one that counts more than before
FURTHER: frozenset[Event] = frozenset({"joined", "reopened"})

Clock = Callable[[datetime], str]


class Step(Record, frozen=True, kw_only=True):
    """One step in words: when, who (None where it was the service), what, and why ("" where
    nobody said).
    """

    at: datetime
    event: Event
    who: str | None
    what: str
    why: str


class Sleep(Record, frozen=True, kw_only=True):
    """A snooze: its end, and the side of the limits that it covers where it covers one alone."""

    until: datetime
    direction: Direction | None


def steps(
    history: Sequence[Transition],
    clock: Clock = utc_words,
    words: Mapping[Event, str] = EVENT_WORDS,
) -> tuple[Step, ...]:
    """The history in words, in its own order; ``clock`` writes a moment, ``words`` are those of
    its alert's group.
    """
    known = typed(history)
    return tuple(
        Step(
            at=step.at,
            event=_event(step),
            who=step.who if is_person(step) else None,
            what=_words(known, place, clock, words),
            why=step.reason,
        )
        for place, step in enumerate(known)
    )


def words_of(group: str) -> Mapping[Event, str]:
    """Every step in words, for an alert of this group."""
    return EVENT_WORDS if is_of_values(group) else EVENT_WORDS | OTHER_WORDS


def told(step: Step) -> str:
    """What happened and who did it: "Acknowledged by N. Adeyemi"."""
    if step.who is None:
        return step.what
    return (REFUSED_BY if step.event == "refused" else BY).format(what=step.what, who=step.who)


def assignee(alert: Alert) -> str | None:
    """To whom the alert was last assigned."""
    return next(
        (step.assignee for step in reversed(typed(alert.history)) if step.event == "assigned"), None
    )


def sleep(alert: Alert) -> Sleep | None:
    """The snooze that holds, None for an alert that is not snoozed."""
    for step in _of_the_present_state(alert, "snoozed"):
        if step.event == "snoozed" and step.until is not None:
            return Sleep(until=step.until, direction=step.direction)
    return None


def acknowledgement(alert: Alert) -> Transition | None:
    """The step that put the alert into the acknowledged state, when it is in that state.

    Later steps may keep the state (a further finding of lower priority): those acknowledged
    nothing.
    """
    found = _of_the_present_state(alert, "acknowledged")
    if not found:
        return None
    return next((step for step in reversed(found) if step.event == "acknowledged"), found[-1])


def seen_by(alert: Alert) -> tuple[str, ...]:
    """Who has said that they looked at the alert (seen, acknowledged) since it last opened, rose or
    was over, in order.

    What was seen before one of these is not what the alert says now.
    """
    found: list[str] = []
    for step in reversed(typed(alert.history)):
        if step.event in SEEING and is_person(step):
            found.append(step.who)
        if step.event in ANEW:
            break
    return tuple(dict.fromkeys(reversed(found)))


def worse_since(history: Sequence[Transition], record: datetime) -> Transition | None:
    """The last step after ``record`` (the ``updated_at`` of what somebody saw) with which the alert
    became worse; where there is none, the last with which it got a further reason.
    """
    since = [step for step in reversed(typed(history)) if step.at > record]
    return next(
        (step for events in (WORSE, FURTHER) for step in since if step.event in events), None
    )


def _of_the_present_state(alert: Alert, state: State) -> list[Transition]:
    """The steps since the alert is in this state, the latest first; none where it is in another."""
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
    history: tuple[Transition, ...], place: int, clock: Clock, words: Mapping[Event, str]
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
    """For how long the alert had been open at its priority; empty where the history holds no
    more of that time.
    """
    begin = place
    while begin and history[begin].event != "returned":
        before = history[begin - 1]
        if before.state != "open" or before.priority != history[begin].priority:
            break
        begin -= 1
    length = history[place].at - history[begin].at
    return WAITED.format(length=duration_words(length)) if length >= timedelta(minutes=1) else ""
