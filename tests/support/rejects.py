"""Rejects for tests: the one place that knows all fields."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rpm_stream.records import Position, Reject


def reject_of(at: datetime, **fields: Any) -> Reject:
    """Return the reject of a truncated payload. ``fields`` replace these values."""
    facts: dict[str, Any] = {
        "id": "one",
        "device": "d",
        "at": at,
        "origin": None,
        "reason": "truncated",
        "stage": "ingest",
        "detail": "",
        "original": "",
        "sha256": "",
        "position": Position(topic="rpm.frames", partition=0, offset=0),
    }
    return Reject(**(facts | fields))
