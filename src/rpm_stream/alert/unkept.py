"""Decisions about an alert that no patient's state keeps: it is all in its record, and changes by people alone.

Such are the alert that a patient's state is damaged, and one whose state was lost since: a person must be able to say
that they have it, and to end the latter.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.alert.decisions import EVENTS, assignee_of, is_needless
from rpm_stream.records import Action, Alert, Event, State, Transition

ENDS = ("resolve", "withdraw")
STATES: dict[str, State] = {"acknowledge": "acknowledged", "resolve": "resolved", "withdraw": "resolved"}
NOT_HERE = "{} refused: the service keeps nothing of this alert but its record"


def decided(alert: Alert, action: Action, now: datetime, refused: str | None = None) -> Alert | None:
    """The alert's next record; None where nothing changes. ``refused``: why it cannot be ended, where it cannot."""
    if alert.state == "resolved" or is_needless(alert, action.action, action.who):
        return None
    if action.action in ENDS and refused is not None:
        return _step(alert, action, now, "refused", f"{action.action} refused: {refused}")
    if action.action in ("snooze", "new_normal") or action.action not in EVENTS:
        return _step(alert, action, now, "refused", NOT_HERE.format(action.action.replace("_", " ")))
    return _step(alert, action, now, EVENTS[action.action], action.reason)


def _step(alert: Alert, action: Action, now: datetime, event: Event, reason: str) -> Alert | None:
    if any((step.event, step.who, step.reason) == ("refused", action.who, reason) for step in alert.history[-1:]):
        return None  # said already, and nothing since
    state = alert.state if event == "refused" else STATES.get(action.action, alert.state)
    assignee = assignee_of(action) if event == "assigned" else None
    step = Transition(
        at=now, state=state, priority=alert.priority, who=action.who, reason=reason, event=event, assignee=assignee
    )
    ends = state == "resolved"
    return msgspec.structs.replace(
        alert, state=state, updated_at=now, history=(*alert.history, step), over=alert.over and not ends
    )
