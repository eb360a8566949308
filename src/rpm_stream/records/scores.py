"""The result of a detector or a score at one moment."""

from __future__ import annotations

from typing import Any

from rpm_stream.records.base import Code, Record, Time, Version


class Score(Record, frozen=True, kw_only=True):
    """The result of one detector or score at one moment.

    ``score_min`` and ``score_max`` are the range that the ``missing`` vitals leave open.
    """

    v: Version = 1
    id: Code
    patient: Code
    readings: tuple[Code, ...]
    vital: Code | None
    value: Code | None
    detector: Code
    version: Code
    score: float
    score_min: float
    score_max: float
    missing: tuple[Code, ...] = ()
    threshold: float | None = None
    contributions: dict[str, float] = {}
    limits: dict[str, Any] = {}
    measured_at: Time
