"""Readings and messages of readings for tests: the one place that knows all fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rpm_stream.knowledge import shipped
from rpm_stream.records import Origin, Reading, Readings

START = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)


def reading_at(at: datetime, vital: str, value: str | None, /, **fields: Any) -> Reading:
    """Return a reading of patient "p" by device "d", measured and received ``at``.

    Its unit is the vital's own. ``fields`` replace these values.
    """
    facts: dict[str, Any] = {
        "id": f"{vital} {at}",
        "patient": "p",
        "device": "d",
        "vital": vital,
        "value": value,
        "unit": fields.get("unit") or shipped().vitals[vital].unit,
        "measured_at": at,
        "received_at": at,
        "utc_offset": None,
        "absent": None,
        "flags": (),
        "attributes": {},
        "origin": Origin(frame="f", index=0, part=0),
    }
    return Reading(**(facts | fields))


def reading(vital: str, value: str | None, unit: str, seconds: float = 0, **fields: Any) -> Reading:
    """Return a reading for the tests of publish: of patient "p-1" by device "d-1".

    It is measured ``seconds`` after START and received two seconds later.
    """
    at = START + timedelta(seconds=seconds)
    facts = {
        "id": str(uuid5(NAMESPACE_URL, f"{vital} {seconds}")),
        "patient": "p-1",
        "device": "d-1",
        "unit": unit,
        "received_at": at + timedelta(seconds=2),
        "utc_offset": "+02:00",
        "absent": None if value is not None else "error",
        "attributes": {"characteristic": "app"},
        "origin": Origin(frame="f-1", index=0, part=0),
    }
    return reading_at(at, vital, value, **(facts | fields))


def message_of(*readings: Reading, **fields: Any) -> Readings:
    """Return the message of ``rpm.readings`` with these readings, received with the last one."""
    facts: dict[str, Any] = {
        "patient": "p",
        "frame": "f",
        "partition": 0,
        "offset": 0,
        "chunk": 0,
        "received_at": readings[-1].received_at,
        "readings": readings,
    }
    return Readings(**(facts | fields))
