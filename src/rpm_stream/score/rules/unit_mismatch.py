"""Whether a value looks as if it was sent in another unit than its own.

It is compared with this person's usual value. Nothing is converted or guessed (law 10). The value
stays and is judged as it is, and a person reads which unit it would fit. Usual is the median of the
newest values. Suspect values count in it too, so that a real change becomes usual.
"""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Reading
from rpm_stream.score.memory.state import ScoreState


class OtherUnits:
    """The units of the vitals, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._rules = {row.vital: row for row in knowledge.signal.other_unit}
        self._kept = knowledge.signal.usual.kept
        self._least = knowledge.signal.usual.least

    def suspect(self, state: ScoreState, reading: Reading) -> str | None:
        """The unit that the value would fit if it does not fit in its own, or None."""
        rule = self._rules.get(reading.vital)
        known = state.usual.get(reading.vital, ())
        if rule is None or reading.value is None or len(known) < self._least:
            return None
        usual = sorted(known)[len(known) // 2]
        if _apart(self.number(reading.vital, reading.value, reading.unit), usual) <= rule.far:
            return None
        vital = reading.vital
        value = reading.value
        others = (unit for unit in self._knowledge.vitals[vital].units if unit != reading.unit)
        return next(
            (
                unit
                for unit in others
                if _apart(self.number(vital, value, unit), usual) <= rule.near
            ),
            None,
        )

    def learn(self, state: ScoreState, reading: Reading) -> None:
        """Enter a value into this person's usual values."""
        if reading.vital in self._rules and reading.value is not None:
            values = state.usual.setdefault(reading.vital, [])
            values.append(self.number(reading.vital, reading.value, reading.unit))
            del values[: -self._kept]

    def number(self, vital: str, value: str, unit: str) -> float:
        """A value, read in ``unit``, converted to the vital's first unit."""
        own = self._knowledge.vitals[vital].unit
        return (
            float(value)
            if unit == own
            else float(self._knowledge.convert(Decimal(value), unit, own))
        )


def _apart(one: float, other: float) -> float:
    """The ratio of two values, 1 or more. It is infinite where a value is zero or negative."""
    return max(one / other, other / one) if one > 0 and other > 0 else float("inf")
