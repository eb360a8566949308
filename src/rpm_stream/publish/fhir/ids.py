"""Ids of published resources, derived from their content, so that a repeated write changes nothing.

An Observation's id comes from its reading, or from (patient, vital, window start) for a summary.
"""

from __future__ import annotations

from datetime import datetime

from rpm_stream.ids import deterministic_id


def observation_id(reading_id: str) -> str:
    """Return the id of the Observation of one reading, or of a panel's leading reading."""
    return deterministic_id("observation", reading_id)


def summary_id(patient: str, vital: str, start: datetime) -> str:
    """Return the id of the summary of one patient's ``vital``.

    ``start`` is the begin of its window in UTC.
    """
    return deterministic_id("summary", patient, vital, start.isoformat())
