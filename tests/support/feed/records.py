"""Records as a feed reads them, with times a little before now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from support.alerts import alert_of, history_of
from support.readings import message_of, reading

from rpm_stream.records import (
    Alert,
    AlertState,
    Now,
    Origin,
    PatientEntry,
    Priority,
    Readings,
    Sample,
    Trend,
)


def alert(
    key: str,
    patient: str,
    priority: Priority = "high",
    state: AlertState = "open",
    *,
    minutes: int = 30,
    **other: Any,
) -> Alert:
    """Return an alert that was opened so many minutes ago; ``other`` fields as given."""
    now = datetime.now(UTC)
    opened = now - timedelta(minutes=minutes)
    facts: dict[str, Any] = {
        "patient": patient,
        "priority": priority,
        "state": state,
        "why": ("Oxygen saturation 90 % is at or below 91 %, twice in a row.",),
        "rule": "news2 2017, oxygen saturation, red",
        "history": history_of(priority, state, opened, now),
        "opened_at": opened,
        "measured_at": now - timedelta(minutes=1),
    }
    return alert_of(key, now, **{**facts, **other})


def now_of(
    vital: str,
    newest_and_worst: tuple[str, str],
    *,
    minutes: float = 4,
    unit: str = "%",
    trend: Trend | None = None,
) -> Now:
    """Return the newest value of a vital, measured so many minutes ago.

    The worst was 20 minutes before that.
    """
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    newest, worst = newest_and_worst
    return Now(
        vital=vital,
        newest=Sample(value=newest, unit=unit, measured_at=at),
        worst=Sample(value=worst, unit=unit, measured_at=at - timedelta(minutes=20)),
        trend=trend,
    )


def readings(
    patient: str, keys_and_values: list[tuple[str, str]], vital: str = "oxygen_saturation"
) -> Readings:
    """Return a message of readings, five minutes apart and ending now."""
    now = datetime.now(UTC)
    found = tuple(
        reading(
            vital,
            value,
            "%",
            id=key,
            patient=patient,
            measured_at=now - timedelta(minutes=5 * (len(keys_and_values) - 1 - number)),
            received_at=now,
            utc_offset=None,
            attributes={},
            origin=Origin(frame="f", index=number, part=0),
        )
        for number, (key, value) in enumerate(keys_and_values)
    )
    return message_of(*found, patient=patient)


def person(patient: str, display: str) -> tuple[str, PatientEntry]:
    """Return a registry message of somebody born in 1948."""
    return f"patient/{patient}", PatientEntry(patient=patient, display=display, born="1948")
