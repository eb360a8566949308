"""Why a decision about an alert is not carried out: a code for each cause, and its sentence.

A refused step carries the code (``cause``) and the action (``asked``), and code reads only these.
The sentence in ``reason`` is for people. Nothing parses it, except in records of older releases
(``publish/old_life.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from rpm_stream.knowledge.alerting import Priorities
from rpm_stream.records import ActionName, Alert, Cause, Priority, Transition
from rpm_stream.text import SERVICE

SENTENCES: dict[Cause, str] = {
    "risen": "it has become {priority} since it was seen",
    "overtaken": "it has got worse since it was seen",
    "never_snoozed": "{priority} alerts cannot be snoozed",
    "no_end": "it does not say until when",
    "end_past": "its end is past",
    "too_long": "it would last over {hours} hours",
    "no_assignee": "it does not say to whom",
    "no_words": "it says nothing",
    "no_reason": "it does not say why",
    "not_back": (
        "its values have not been back inside for long enough, so it is acknowledged and stays"
        " listed"
    ),
    "not_kept": "the service keeps nothing of this alert but its record",
}
FULL = "refused, as this one and all further notes: this alert's history has no more room"
# the sentence names the priority, so that another priority makes another sentence
NAMES_PRIORITY: frozenset[Cause] = frozenset({"risen", "never_snoozed"})


def sentence(cause: Cause, priority: Priority, priorities: Priorities) -> str:
    """The reason in a few plain words.

    ``cause`` is a key of ``SENTENCES``.
    """
    return SENTENCES[cause].format(priority=priority, hours=priorities.snooze.at_most_hours)


def refused_words(asked: ActionName, why: str) -> str:
    """The text of a refused step: ``resolve refused: it does not say why``."""
    return f"{asked.replace('_', ' ')} refused: {why}"


def is_recorded(alert: Alert, asked: ActionName, cause: Cause) -> bool:
    """Whether the history has this refusal since a decision of a person was last carried out."""
    by_people = (step for step in reversed(alert.history) if step.who != SERVICE)
    since = takewhile(lambda step: step.event == "refused", by_people)
    return any(_is_same(step, asked, cause, alert.priority) for step in since)


def refuses(history: Sequence[Transition], asked: str) -> bool:
    """Whether the history has a refusal of this action, or of all notes.

    A refusal counts until a decision of a person has been carried out after it.
    """
    by_people = (step for step in reversed(history) if step.who != SERVICE)
    since = takewhile(lambda step: step.event == "refused", by_people)
    return any(step.cause == "no_room" or step.asked == asked for step in since)


def _is_same(step: Transition, asked: ActionName, cause: Cause, priority: Priority) -> bool:
    if step.cause != cause:
        return False
    if cause == "no_room":
        return True
    return step.asked == asked and (cause not in NAMES_PRIORITY or step.priority == priority)
