"""What a detector found, in words that a nurse reads: the value, how far it is from this person's usual, the unit.

Values are said in the unit in which they were sensed, with the digits that mean something in it (the vital's
resolution): a pulse as ``72``, a temperature as ``38.6``. The distance is that of the two numbers as shown, so that a
reader's own sum comes out. The registry knows nobody's sex: "this person's" fits all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Reading, Record
from rpm_stream.words import plain_unit

SHOWN_IN = {"kg/L": "mg/dL", "g": "kg"}  # how devices send what nobody reads so
RATES = ("/min", "{beats}/min", "{breaths}/min")


class Scale(Record, frozen=True, kw_only=True):
    """How a vital is said: its name, the unit that it is shown in and how that is written, and the last digit."""

    plain: str
    unit: str
    written: str
    step: Decimal

    def shown(self, value: Decimal) -> Decimal:
        """The value with the digits that mean something."""
        return value.quantize(self.step, ROUND_HALF_UP)


class UsualWords:
    """Words for what is unusual, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._scale = lru_cache(maxsize=256)(self._scale_of)

    def _scale_of(self, vital: str, sensed: str) -> Scale:
        row, unit = self._knowledge.vitals[vital], SHOWN_IN.get(sensed, sensed)
        zero = self._knowledge.convert(Decimal(0), row.unit, unit)
        step = self._knowledge.convert(row.resolution, row.unit, unit) - zero
        digits = max(0, -step.adjusted())
        written = "/min" if unit in RATES else f" {plain_unit(unit)}"
        return Scale(plain=row.plain, unit=unit, written=written, step=Decimal(1).scaleb(-digits))

    def _in_unit(self, scale: Scale, vital: str, number: float) -> Decimal:
        """A number of a detector, which is in the vital's own unit, as it is shown."""
        return scale.shown(self._knowledge.convert(Decimal(number), self._knowledge.vitals[vital].unit, scale.unit))

    def value(self, reading: Reading, usual: float) -> str:
        """``breathing 26/min, 7 above this person's usual of 19``; ``usual`` in the vital's own unit."""
        scale = self._scale(reading.vital, reading.unit)
        assert reading.value is not None
        value = scale.shown(self._knowledge.convert(Decimal(reading.value), reading.unit, scale.unit))
        known = self._in_unit(scale, reading.vital, usual)
        away = value - known
        said = f"{scale.plain} {value}{scale.written}"
        if not away:
            return f"{said}, this person's usual"
        return f"{said}, {abs(away)} {'above' if away > 0 else 'below'} this person's usual of {known}"

    def together(self, parts: Iterable[tuple[Reading, float]]) -> str:
        """The same of several vitals, the one that says most first."""
        return "; ".join(self.value(reading, usual) for reading, usual in parts)

    def lasting(self, reading: Reading, levels: tuple[float, float], lasts: timedelta) -> str:
        """``pulse has been about 8/min higher than this person's usual of 72 for about 3 days``; before and now."""
        scale, (before, now) = self._scale(reading.vital, reading.unit), levels
        known = self._in_unit(scale, reading.vital, before)
        away = self._in_unit(scale, reading.vital, now) - known
        side, days = "higher" if away > 0 else "lower", max(1, round(lasts / timedelta(days=1)))
        return (
            f"{scale.plain} has been about {abs(away)}{scale.written} {side} than this person's usual of {known} "
            f"for about {days} {'day' if days == 1 else 'days'}"
        )
