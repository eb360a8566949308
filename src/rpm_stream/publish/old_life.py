"""Read histories that were written before steps had typed fields, from the text in ``reason``.

This module is to be removed one release after the typed fields. A step with an ``event`` is not
parsed, so free text of people is never interpreted. In an old history, a step of a person that
leaves the state as it is is a note, and only a note can assign.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from rpm_stream.records import ActionName, Cause, Direction, Event, Transition
from rpm_stream.text import SERVICE

NEW_NORMAL = (
    "new normal: learning resumes; the limits stay as they are",
    "new normal: learning resumes",
)
SNOOZE_ENDED = "the snooze is over"
RECOVERED = "back inside the recovery limits"
ASSIGNED = "assigned to "
SNOOZED = re.compile(r"snoozed for ([0-9]+) minutes(?:, (low|high) values only)?(?:: |$)")
TAKEN_BACK = re.compile(r"[0-9]+ of its readings were taken back(?:: |$)")
REFUSED = re.compile(r"(?:[a-z_]+ refused: |refused, as this one )")
ASKED = re.compile(
    r"(acknowledge|snooze|resolve|assign|comment|new[_ ]normal|withdraw|see) refused: "
)
ROOM = "refused, as this one "
ACTIONS: dict[str, ActionName] = {
    "acknowledge": "acknowledge",
    "snooze": "snooze",
    "resolve": "resolve",
    "assign": "assign",
    "comment": "comment",
    "new normal": "new_normal",
    "new_normal": "new_normal",
    "withdraw": "withdraw",
    "see": "see",
}
_CAUSES: tuple[tuple[str, Cause], ...] = (
    (r"it has become (?:high|medium|low) since it was seen$", "risen"),
    (r"it has got worse since it was seen$", "overtaken"),
    (r"(?:high|medium|low) alerts cannot be snoozed$", "never_snoozed"),
    (r"it does not say until when$", "no_end"),
    (r"its end is past$", "end_past"),
    (r"it would last over [0-9]+ hours$", "too_long"),
    (r"it does not say to whom$", "no_assignee"),
    (r"it says nothing$", "no_words"),
    (r"it does not say why$", "no_reason"),
    (r"its values have not been back inside for long enough", "not_back"),
    (r"the service keeps nothing of this alert but its record$", "not_kept"),
    (r"it ends by itself", "ends_by_itself"),
)
CAUSES = tuple((re.compile(words), cause) for words, cause in _CAUSES)


def typed(history: Sequence[Transition]) -> tuple[Transition, ...]:
    """Return the history with the typed fields of every step.

    ``reason`` then holds what a present release would write.
    """
    if all(step.event is not None for step in history):
        return with_refusals(history)
    befores = (None, *history)
    return with_refusals(
        [
            step if step.event is not None else _typed(step, before)
            for step, before in zip(history, befores, strict=False)
        ]
    )


def with_refusals(history: Sequence[Transition]) -> tuple[Transition, ...]:
    """Return the history with ``asked`` and ``cause`` in each refused step that has only the text.

    All other steps stay as they are.
    """
    if not any(_is_untold(step) for step in history):
        return tuple(history)
    return tuple(_refusal(step) if _is_untold(step) else step for step in history)


def _is_untold(step: Transition) -> bool:
    return step.event == "refused" and step.cause is None


def _refusal(step: Transition) -> Transition:
    if step.reason.startswith(ROOM):
        return replace(step, cause="no_room")
    found = ASKED.match(step.reason)
    if found is None:
        return step
    why = step.reason[found.end() :]
    cause = next((cause for words, cause in CAUSES if words.match(why)), None)
    return replace(step, asked=ACTIONS[found[1]], cause=cause)


def is_person(step: Transition) -> bool:
    """Return whether a person took the step.

    For other steps old records have no name, or that of the service.
    """
    return step.who not in ("", SERVICE)


def _typed(step: Transition, before: Transition | None) -> Transition:
    if before is None:
        return replace(step, event="opened")
    if before.priority != step.priority:
        return replace(step, event="raised")
    if step.state != before.state and step.state == "open":
        is_end = step.reason == SNOOZE_ENDED
        return (
            replace(step, event="snooze_ended", reason="")
            if is_end
            else replace(step, event="reopened")
        )
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
        return replace(
            step,
            event="snoozed",
            until=until,
            direction=sides.get(found[2]),
            reason=reason[found.end() :],
        )
    if reason.startswith(NEW_NORMAL[-1]):
        return _new_normal(step)
    if reason.startswith("comment: "):
        return replace(step, event="commented", reason=reason.removeprefix("comment: "))
    event: Event = (
        "refused"
        if REFUSED.match(reason)
        else "corrected"
        if TAKEN_BACK.match(reason)
        else "commented"
    )
    return replace(step, event=event)


def _new_normal(step: Transition) -> Transition:
    words = next(words for words in NEW_NORMAL if step.reason.startswith(words))
    return replace(
        step, event="new_normal", reason=step.reason.removeprefix(words).removeprefix(": ")
    )


def _to_the_minute(at: datetime) -> datetime:
    """Return ``at`` without seconds.

    The text counts begun minutes, so this is the last full minute before the end that it gives.
    """
    return at.replace(second=0, microsecond=0)
