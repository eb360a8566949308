"""Ids of what is published, derived from what it says, so that a repeated write changes nothing.

An Observation's id comes from its reading, or from (patient, vital, window start) for a summary. FHIR ids allow
letters, digits, ``-`` and ``.`` in 1 to 64 characters; an id of ours that does not fit becomes a UUID.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from rpm_stream.ids import deterministic_id

_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def observation_id(reading_id: str) -> str:
    """Id of the Observation of one reading (of a panel: of its leading reading)."""
    return deterministic_id("observation", reading_id)


def summary_id(patient: str, vital: str, start: datetime) -> str:
    """Id of the summary of one patient's ``vital`` in the window that begins at ``start`` (UTC)."""
    return deterministic_id("summary", patient, vital, start.isoformat())


@lru_cache(maxsize=4096)
def fhir_id(text: str) -> str:
    """``text`` where it is a FHIR id, else a UUID derived from it (the original then stands in ``identifier``).

    >>> fhir_id("p-17.a")
    'p-17.a'
    >>> fhir_id("p_17") == fhir_id("p_17") != fhir_id("p_18")
    True
    """
    return text if _FHIR_ID.fullmatch(text) else deterministic_id("fhir-id", text)
