"""Readings for the tests of publish: the one place that knows all fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rpm_stream.records import Origin, Reading

START = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)


def reading(vital: str, value: str | None, unit: str, seconds: float = 0, **fields: Any) -> Reading:
    """Return a reading of patient "p-1" by device "d-1".

    It is measured ``seconds`` after START and received two seconds later.
    """
    at = START + timedelta(seconds=seconds)
    facts: dict[str, Any] = {
        "id": str(uuid5(NAMESPACE_URL, f"{vital} {seconds}")),
        "patient": "p-1",
        "device": "d-1",
        "vital": vital,
        "value": value,
        "unit": unit,
        "measured_at": at,
        "received_at": at + timedelta(seconds=2),
        "utc_offset": "+02:00",
        "absent": None if value is not None else "error",
        "flags": (),
        "attributes": {"characteristic": "app"},
        "origin": Origin(frame="f-1", index=0, part=0),
    }
    return Reading(**{**facts, **fields})
