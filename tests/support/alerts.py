"""Alerts for tests: the one place that knows all fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rpm_stream.records import Alert, AlertState, Priority, Transition


def alert_of(key: str, at: datetime, **fields: Any) -> Alert:
    """Return an open high alert of patient "p", opened, measured and updated ``at``.

    ``fields`` replace these values.
    """
    facts: dict[str, Any] = {
        "id": key,
        "patient": "p",
        "group": "vital_signs",
        "priority": "high",
        "state": "open",
        "title": "Oxygen saturation low",
        "why": ("Oxygen saturation 90 % is at or below 91 %.",),
        "rule": "news2",
        "evidence": (),
        "history": (),
        "opened_at": at,
        "measured_at": at,
        "updated_at": at,
    }
    return Alert(**{**facts, **fields})


def history_of(
    priority: Priority, state: AlertState, opened: datetime, updated: datetime
) -> tuple[Transition, ...]:
    """Return a history that ends in ``state``: opened by a value, then a step by N. Adeyemi."""
    first = Transition(at=opened, state="open", priority=priority, who="", reason="first value")
    if state == "open":
        return (first,)
    return (
        first,
        Transition(at=updated, state=state, priority=priority, who="N. Adeyemi", reason="calling"),
    )
