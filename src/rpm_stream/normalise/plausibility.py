"""Decide whether a body can have a value.

The checks are: known vital and unit, reject and query bounds, and the pressures of one cuff. A
value outside the reject bound is refused as implausible. One outside the query bound is kept and
flagged. Control solution is refused. LO and HI of a meter become absent values. Guesses by the size
of a value and limits that alert do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.entries import FHIR, BadEntry, Entry, Refusal
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Absent, Decoded
from rpm_stream.text import as_sent

PRESSURES = ("systolic", "diastolic", "mean_arterial")
CONTROL_SOLUTION = "control_solution"  # flag of decoders
# The flag of a meter beside an impossible number, and what the meter shows then.
METER_LIMITS: tuple[tuple[str, Absent], ...] = (
    ("result_too_low", "negative-infinity"),
    ("result_too_high", "positive-infinity"),
)
MOST_ANSWERS = 50_000  # values repeat, so answers are cached up to this number

Bound = Literal["fine", "query", "implausible", "unknown_vital", "unknown_unit"]

UNKNOWN: frozenset[Bound] = frozenset({"unknown_vital", "unknown_unit"})
_CONFLICT = Refusal(reason="implausible", detail="no cuff measures these pressures together")
_CONTROL = Refusal(reason="implausible", detail="control solution, not a patient's value")


class Plausibility:
    """The values that a body can have, by the knowledge tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._known: dict[tuple[str, str | None, str], Bound] = {}

    def bound(self, vital: str, value: str | None, unit: str) -> Bound:
        """Return where ``value`` lies.

        An absent value only needs a known vital and unit.
        """
        key = (vital, value, unit)
        if (bound := self._known.get(key)) is None:
            if len(self._known) > MOST_ANSWERS:
                self._known.clear()
            bound = self._known[key] = self._bound(vital, value, unit)
        return bound

    def _bound(self, vital: str, value: str | None, unit: str) -> Bound:
        row = self._knowledge.vitals.get(vital)
        if row is None:
            return "unknown_vital"
        if unit not in row.units:
            return "unknown_unit"
        if value is None:
            return "fine"
        number = self._knowledge.convert(Decimal(value), unit, row.unit)
        if row.reject.excludes(number) or not row.is_coded(value):
            return "implausible"
        return "query" if row.query.excludes(number) else "fine"

    def refusal(self, bound: Bound, decoded: Decoded, is_conflict: bool) -> Refusal | None:
        """Return why a value is no patient's, or None.

        ``is_conflict`` means that the pressures of its cuff contradict each other.
        """
        vital = decoded.vital
        if CONTROL_SOLUTION in decoded.flags:
            return _CONTROL
        if bound == "unknown_vital":
            return Refusal(
                reason="unknown_vital", detail=f"no vital {as_sent(vital)} in the knowledge table"
            )
        row = self._knowledge.vitals[vital]
        if bound == "unknown_unit":
            sent = as_sent(decoded.unit_sent or decoded.unit)
            why = f"{vital} is not measured in {sent}; it may be {', '.join(row.units)}"
            return Refusal(reason="unknown_unit", detail=why)
        if bound == "implausible" and decoded.value is not None:
            if row.is_coded(decoded.value):
                why = f"{vital} {decoded.value} {decoded.unit} is outside what a body can have"
            else:
                known = ", ".join(f"{code} {word}" for code, word in row.words.items())
                why = f"{vital} {decoded.value} is none of its codes: {known}"
            return Refusal(reason="implausible", detail=why)
        return _CONFLICT if is_conflict and vital in PRESSURES else None

    def number(self, decoded: Decoded | None) -> Decimal | None:
        """Return the value in its vital's first unit.

        Returns None for an absent value, or if its vital or unit is unknown.
        """
        if decoded is None or decoded.value is None:
            return None
        if self.bound(decoded.vital, None, decoded.unit) != "fine":
            return None
        return self._knowledge.convert(
            Decimal(decoded.value), decoded.unit, self._knowledge.vitals[decoded.vital].unit
        )

    def pressures_conflict(self, cuff: Mapping[str, Decoded]) -> bool:
        """Return whether the pressures of one cuff contradict each other.

        Diastolic must be below systolic. Source: clinical table 10.
        """
        high = self.number(cuff.get("systolic"))
        low = self.number(cuff.get("diastolic"))
        return high is not None and low is not None and low >= high

    def panel_conflicts(self, entry: Entry) -> bool:
        """Return whether the pressures inside one entry contradict each other."""
        readings = entry.payload.readings
        if len(readings) < 2 or not (
            readings[0].vital in PRESSURES or entry.characteristic == FHIR
        ):
            return False
        return self.pressures_conflict({decoded.vital: decoded for decoded in readings})

    def conflicting(self, entries: Iterable[Entry | BadEntry]) -> frozenset[int]:
        """Return the indexes of entries of one instant that no cuff can measure together.

        Each of these entries has one pressure.
        """
        cuffs: dict[datetime, dict[str, tuple[int, Decoded]]] = {}
        for entry in entries:
            if not isinstance(entry, Entry) or len(entry.payload.readings) != 1:
                continue  # a panel is checked separately
            if (decoded := entry.payload.readings[0]).vital in PRESSURES:
                cuffs.setdefault(entry.at, {})[decoded.vital] = (entry.index, decoded)
        return frozenset(
            index
            for cuff in cuffs.values()
            if self.pressures_conflict({vital: decoded for vital, (_, decoded) in cuff.items()})
            for index, _ in cuff.values()
        )


def meter_limit(decoded: Decoded) -> Decoded:
    """Return the value as LO or HI if the meter reports a result too low or too high.

    It is for a number that no body can have.
    """
    for flag, absent in METER_LIMITS:
        if flag in decoded.flags:
            return msgspec.structs.replace(decoded, value=None, absent=absent)
    return decoded


def beyond_scale(flags: Sequence[str]) -> list[str]:
    """Return the flags for a meter that shows LO or HI, sorted."""
    return sorted({flag for flag, _ in METER_LIMITS}.intersection(flags))
