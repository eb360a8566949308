"""What a detector or a score says of one moment."""

from __future__ import annotations

from typing import Any

from rpm_stream.records.base import Code, Record, Time, Version


class Score(Record, frozen=True, kw_only=True):
    """What one detector or score said of one moment.

    ``score_min`` to ``score_max`` spans what is ``missing``.
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
