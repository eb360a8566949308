"""What an alert's history says of its life: each step in plain words, whose it is, and until when it sleeps.

The record's fields are few (CONTRACT 1); the rest is read from the words that alert wrote into the history. A step
that leaves the state as it is and was taken by a person is a note, and only a note can assign: so nobody's free text
(why somebody acknowledged, what a comment says) passes for more than it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.records import Alert, Direction, Record, State, Transition
from rpm_stream.words import SERVICE, assigned_in, snoozed_in

STATE_WORDS: dict[State, str] = {
    "open": "Open",
    "acknowledged": "Acknowledged",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}
NEW_NORMAL = ("new normal: learning resumes; the limits stay as they are", "new normal: learning resumes")


class Step(Record, frozen=True, kw_only=True):
    """One step in words: when, who (None where it was the service), what, and why ("" where nobody said)."""

    at: datetime
    who: str | None
    what: str
    why: str


class Sleep(Record, frozen=True, kw_only=True):
    """A snooze: its end, to the minute, and the side of the limits that it covers where it covers one alone."""

    until: datetime
    direction: Direction | None


def steps(alert: Alert) -> tuple[Step, ...]:
    """The history in words, in its own order."""
    found: list[Step] = []
    before: Transition | None = None
    for transition in alert.history:
        what, why = _words(transition, before)
        who = transition.who if _is_person(transition) else None
        found.append(Step(at=transition.at, who=who, what=what, why=why))
        before = transition
    return tuple(found)


def assignee(alert: Alert) -> str | None:
    """To whom the alert was last assigned."""
    for index in range(len(alert.history) - 1, 0, -1):
        step = alert.history[index]
        if _is_person(step) and step.state == alert.history[index - 1].state and (to := assigned_in(step.reason)):
            return to
    return None


def sleep(alert: Alert) -> Sleep | None:
    """The snooze that holds, None for an alert that is not snoozed."""
    for step in reversed(alert.history if alert.state == "snoozed" else ()):
        if step.state != "snoozed":
            return None
        if _is_person(step) and (said := snoozed_in(step.reason)):
            minutes, direction = said
            return Sleep(until=_to_the_minute(step.at + timedelta(minutes=minutes)), direction=direction)
    return None


def acknowledgement(alert: Alert) -> Transition | None:
    """The step that put the alert into the acknowledged state, when it is in that state.

    Later steps may keep the state (a further finding of lower priority): those acknowledged nothing.
    """
    found: Transition | None = None
    for step in reversed(alert.history if alert.state == "acknowledged" else ()):
        if step.state != "acknowledged":
            break
        found = step
    return found


def _is_person(step: Transition) -> bool:
    return step.who not in ("", SERVICE)


def _to_the_minute(at: datetime) -> datetime:
    """The words count begun minutes: an end on a whole minute is the last one before what they give."""
    return at.replace(second=0, microsecond=0)


def _words(step: Transition, before: Transition | None) -> tuple[str, str]:
    """What a step did, and why."""
    if before is None:
        return f"Opened at {step.priority} priority", step.reason
    if before.priority != step.priority:
        again = " and opened again" if before.state != "open" and step.state == "open" else ""
        return f"Raised to {step.priority}{again}", step.reason
    if step.state != before.state and step.state in ("open", "acknowledged"):
        return "Opened again" if step.state == "open" else "Acknowledged", step.reason
    if step.state != before.state and step.state == "resolved":
        return _end(step.reason)
    if not _is_person(step) and not step.reason.startswith("escalated: "):
        return "A further finding", step.reason
    return _said(step.reason)


def _end(reason: str) -> tuple[str, str]:
    if reason.startswith(("withdrawn: ", "new normal: ")):
        return _said(reason)
    return "Resolved", reason


def _said(reason: str) -> tuple[str, str]:
    """``Comment`` and what it says, of ``comment: …``."""
    for words in NEW_NORMAL:
        if reason.startswith(words):
            return _capital(words), reason.removeprefix(words).removeprefix(": ")
    what, _, why = reason.partition(": ")
    return _capital(what), why


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
