"""The texts of a breach of a limit.

They have the value with the doubts of its device, the title, and the limit in the unit of the
reading.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Direction, Limit, Reading
from rpm_stream.text import (
    decimals_of,
    plain_flags,
    plain_number,
    plain_unit,
    plain_value,
    with_unit,
)


class LimitWords:
    """The texts, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def value(self, reading: Reading) -> str:
        """The value, and whether the device itself doubts it."""
        doubts = plain_flags(
            flag for flag in reading.flags if flag in self._knowledge.signal.ask_repeat
        )
        row = self._knowledge.vitals[reading.vital]
        word = row.word(reading.value)
        value = f"{row.plain}: {word}" if word else plain_value(reading)
        return f"{value}{f' (the device doubts it: {doubts})' if doubts else ''}"

    def title(self, reading: Reading, side: Direction, how: str = "") -> str:
        """The title, such as ``Heart rate high``. For a coded vital it has the word of the code."""
        row = self._knowledge.vitals[reading.vital]
        word = row.word(reading.value)
        return f"{row.display}: {word}" if word else f"{row.display} {how}{side}"

    def limit(self, reading: Reading, bound: Decimal, unit: str) -> str:
        """A limit as it is written, and in the unit of the reading where that is another one."""
        shown = with_unit(bound, unit)
        if plain_unit(unit) == plain_unit(reading.unit):
            return shown
        number = self._knowledge.convert(bound, unit, reading.unit)
        beside = None if reading.value is None else Decimal(reading.value)
        zero, one = (self._knowledge.convert(Decimal(each), unit, reading.unit) for each in (0, 1))
        # a tenth of the last digit of the limit as it is written
        last = (one - zero).scaleb(-decimals_of(bound) - 1)
        decimals = min(decimals_of(bound) + 1, max(0, -last.adjusted()))
        return f"{shown} ({with_unit(plain_number(number, decimals, beside), reading.unit)})"


def lasting(limit: Limit) -> str:
    """How long a breach must last, in words.

    If the limit has both forms, both are named, because the readings' cadence decides which one
    applies.
    """
    spans = [f"for {limit.for_} minutes"] if limit.for_ else []
    if limit.of is not None:
        spans.append(f"in {limit.of.count} of the last {limit.of.last} readings")
    return f" {' or '.join(spans)}" if spans else ""
