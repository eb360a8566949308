"""Ids of what is published, derived from what it says, so that a repeated write changes nothing.

An Observation's id comes from its reading, or from (patient, vital, window start) for a summary.
"""

from __future__ import annotations

from datetime import datetime

from rpm_stream.ids import deterministic_id


def observation_id(reading_id: str) -> str:
    """Id of the Observation of one reading (of a panel: of its leading reading)."""
    return deterministic_id("observation", reading_id)


def summary_id(patient: str, vital: str, start: datetime) -> str:
    """Id of the summary of one patient's ``vital`` in the window that begins at ``start`` (UTC)."""
    return deterministic_id("summary", patient, vital, start.isoformat())
