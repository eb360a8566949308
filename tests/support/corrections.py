"""Corrections of readings, as a person decides them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from rpm_stream.records import Action, Reading


def correction(
    kind: Literal["void", "adopt"], readings: Iterable[Reading], at: datetime, **fields: Any
) -> Action:
    """Return a nurse's correction of readings of patient "p". ``fields`` replace these values."""
    facts = {"patient": "p", "who": "nurse", "reason": "wrong"}
    return Action(action=kind, readings=tuple(readings), at=at, **(facts | fields))
