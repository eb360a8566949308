"""Histories that were written before steps had typed fields: what happened is read from the sentence in ``reason``.

To be removed one release after the typed fields. A step that has an ``event`` passes through unread, so nobody's free
text is taken for more than it is. In an old history a step that leaves the state as it is and was taken by a person is
a note, and only a note can assign.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from rpm_stream.records import Direction, Event, Transition
from rpm_stream.words import SERVICE

NEW_NORMAL = ("new normal: learning resumes; the limits stay as they are", "new normal: learning resumes")
SNOOZE_ENDED = "the snooze is over"
RECOVERED = "back inside the recovery limits"
ASSIGNED = "assigned to "
SNOOZED = re.compile(r"snoozed for ([0-9]+) minutes(?:, (low|high) values only)?(?:: |$)")
TAKEN_BACK = re.compile(r"[0-9]+ of its readings were taken back(?:: |$)")
REFUSED = re.compile(r"(?:[a-z_]+ refused: |refused, as this one )")


def typed(history: Sequence[Transition]) -> tuple[Transition, ...]:
    """The history with the typed fields of every step; ``reason`` then holds no more than it would today."""
    if all(step.event is not None for step in history):
        return tuple(history)
    befores = (None, *history)
    return tuple(
        step if step.event is not None else _typed(step, before) for step, before in zip(history, befores, strict=False)
    )


def is_person(step: Transition) -> bool:
    """Whether a person took the step; old records name nobody, or the service, where none did."""
    return step.who not in ("", SERVICE)


def _typed(step: Transition, before: Transition | None) -> Transition:
    if before is None:
        return replace(step, event="opened")
    if before.priority != step.priority:
        return replace(step, event="raised")
    if step.state != before.state and step.state == "open":
        is_end = step.reason == SNOOZE_ENDED
        return replace(step, event="snooze_ended", reason="") if is_end else replace(step, event="reopened")
    if step.state != before.state and step.state == "acknowledged" and is_person(step):
        return replace(step, event="acknowledged")
    if step.state != before.state and step.state == "resolved":
        return _ended(step)
    return _note(step) if is_person(step) else _by_the_service(step)


def _ended(step: Transition) -> Transition:
    if step.reason.startswith("withdrawn: "):
        return replace(step, event="withdrawn", reason=step.reason.removeprefix("withdrawn: "))
    if step.reason.startswith(NEW_NORMAL[-1]):
        return _new_normal(step)
    if is_person(step):
        return replace(step, event="resolved")
    return replace(step, event="recovered" if step.reason == RECOVERED else "ended")


def _by_the_service(step: Transition) -> Transition:
    if step.reason.startswith("escalated: "):
        return replace(step, event="escalated", reason="")
    return replace(step, event="joined")


def _note(step: Transition) -> Transition:
    reason = step.reason
    if reason.startswith(ASSIGNED):
        name, _, why = reason.removeprefix(ASSIGNED).partition(": ")
        return replace(step, event="assigned", assignee=name, reason=why)
    if found := SNOOZED.match(reason):
        sides: dict[str | None, Direction] = {"low": "low", "high": "high"}
        until = _to_the_minute(step.at + timedelta(minutes=int(found[1])))
        return replace(step, event="snoozed", until=until, direction=sides.get(found[2]), reason=reason[found.end() :])
    if reason.startswith(NEW_NORMAL[-1]):
        return _new_normal(step)
    if reason.startswith("comment: "):
        return replace(step, event="commented", reason=reason.removeprefix("comment: "))
    event: Event = "refused" if REFUSED.match(reason) else "corrected" if TAKEN_BACK.match(reason) else "commented"
    return replace(step, event=event)


def _new_normal(step: Transition) -> Transition:
    words = next(words for words in NEW_NORMAL if step.reason.startswith(words))
    return replace(step, event="new_normal", reason=step.reason.removeprefix(words).removeprefix(": "))


def _to_the_minute(at: datetime) -> datetime:
    """The words count begun minutes: an end on a whole minute is the last one before what they give."""
    return at.replace(second=0, microsecond=0)
