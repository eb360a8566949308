"""The weight at discharge (heart failure).

It replaces a person's own days until enough of them are known.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import PatientEntry, TargetWeight
from rpm_stream.score.memory.days import day_of
from rpm_stream.text import plain_given, with_unit

VITAL = "weight"


def target_fault(target: TargetWeight, knowledge: Knowledge) -> str | None:
    """Why a weight at discharge cannot be compared with, in words, or None for a usable one."""
    row = knowledge.vitals[VITAL]
    if target.unit not in row.units:
        return f"target_weight is not measured in {target.unit!r}; it may be {', '.join(row.units)}"
    if row.reject.excludes(knowledge.convert(_number(target), target.unit, row.unit)):
        weight = with_unit(plain_given(target.value), target.unit)
        return f"target_weight of {weight} is none of a body: is the unit right?"
    return None


class DischargeWeight:
    """The rows of ``trends.toml`` about it, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._rows = knowledge.trends.discharge

    def compared(self, patient: PatientEntry, vital: str, day: int) -> tuple[float, float] | None:
        """The weight at discharge as of ``day``, and how far above it is too far.

        Both are in the vital's first unit. None where the weight at discharge does not apply.
        """
        target = patient.target_weight
        if vital != VITAL or target is None or target_fault(target, self._knowledge) is not None:
            return None
        since = day - day_of(target.at)
        row = next(
            (row for row in self._rows if row.vital == vital and 0 <= since <= row.days), None
        )
        if row is None:
            return None
        weight = self._knowledge.convert(
            _number(target), target.unit, self._knowledge.vitals[vital].unit
        )
        return float(weight), float(row.by)


def _number(target: TargetWeight) -> Decimal:
    return Decimal(str(target.value))
