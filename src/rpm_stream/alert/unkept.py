"""Decisions about an alert that is in no patient's state.

There are two such alerts: the one that reports a damaged state, and one whose state has since been
lost. All of such an alert is in its record, and people alone change it. A person must be able to
acknowledge both, and to end the second.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.alert.decisions import EVENTS, is_needless, step_of
from rpm_stream.alert.refusals import SENTENCES, refused_words
from rpm_stream.records import Action, Alert, Cause, Transition

ENDS = ("resolve", "withdraw")


def decided(
    alert: Alert, action: Action, now: datetime, refused: str | None = None
) -> Alert | None:
    """The alert's next record, or None where nothing changes.

    ``refused`` is given for an alert that ends by itself. It is the text of why the decision to end
    it is refused.
    """
    if alert.state == "resolved" or is_needless(alert, action.action, action.who):
        return None
    if action.action in ENDS and refused is not None:
        return _refuse(alert, action, now, ("ends_by_itself", refused))
    if action.action in ("snooze", "new_normal") or action.action not in EVENTS:
        return _refuse(alert, action, now, ("not_kept", SENTENCES["not_kept"]))
    return _with_step(alert, step_of(alert, action, now, EVENTS[action.action]))


def _refuse(alert: Alert, action: Action, now: datetime, why: tuple[Cause, str]) -> Alert | None:
    cause, words = why
    last = alert.history[-1] if alert.history else None
    if last is not None and (last.who, last.asked, last.cause) == (
        action.who,
        action.action,
        cause,
    ):
        return None  # the newest step is this refusal already
    step = Transition(
        at=now,
        state=alert.state,
        priority=alert.priority,
        who=action.who,
        reason=refused_words(action.action, words),
        event="refused",
        asked=action.action,
        cause=cause,
    )
    return _with_step(alert, step)


def _with_step(alert: Alert, step: Transition) -> Alert:
    return msgspec.structs.replace(
        alert,
        state=step.state,
        updated_at=step.at,
        history=(*alert.history, step),
        over=alert.over and step.state != "resolved",
    )
