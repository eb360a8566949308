"""The texts of a detector's findings: the value, its distance from usual, and the unit.

A nurse reads them. Values are in the unit in which they were sensed, with the digits that mean
something in it (the vital's resolution): a pulse as ``72``, a temperature as ``38.6``. The distance
is that of the two numbers as shown, so that a reader who subtracts them gets the same. The registry
has no sex of a person, so the texts use "this person's".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Reading, Record
from rpm_stream.text import decimals_of, plain_unit, plain_value

SHOWN_IN = {"kg/L": "mg/dL", "g": "kg"}  # units that devices send and people do not read
TENTH = Decimal("0.1")
RATES = ("/min", "{beats}/min", "{breaths}/min")


class Scale(Record, frozen=True, kw_only=True):
    """How a vital is shown.

    ``plain`` is its name, ``unit`` the unit that it is shown in, ``written`` the text of the unit,
    and ``step`` the last digit.
    """

    plain: str
    unit: str
    written: str
    step: Decimal

    def shown(self, value: Decimal) -> Decimal:
        """The value with the digits that mean something."""
        return value.quantize(self.step, ROUND_HALF_UP)

    def finer(self) -> Scale:
        """The scale with one more digit, for a number that is small compared with the values."""
        return msgspec.structs.replace(self, step=self.step.scaleb(-1))


class UsualWords:
    """Texts for what is unusual, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._scale = lru_cache(maxsize=256)(self._scale_of)

    def _scale_of(self, vital: str, sensed: str) -> Scale:
        row = self._knowledge.vitals[vital]
        unit = SHOWN_IN.get(sensed, sensed)
        zero = self._knowledge.convert(Decimal(0), row.unit, unit)
        step = self._knowledge.convert(row.resolution, row.unit, unit) - zero
        digits = max(0, -step.adjusted())
        written = "/min" if unit in RATES else f" {plain_unit(unit)}".rstrip()
        return Scale(plain=row.plain, unit=unit, written=written, step=Decimal(1).scaleb(-digits))

    def _in_unit(self, scale: Scale, vital: str, number: float) -> Decimal:
        """A number of a detector, which is in the vital's own unit, as it is shown."""
        return scale.shown(
            self._knowledge.convert(Decimal(number), self._knowledge.vitals[vital].unit, scale.unit)
        )

    def scale(self, reading: Reading) -> Scale:
        """How a reading's vital is shown in the unit of the reading.

        It has a tenth where the value itself has a decimal.
        """
        known = self._scale(reading.vital, reading.unit)
        if (
            reading.value is None
            or known.unit != reading.unit
            or decimals_of(Decimal(reading.value)) == 0
        ):
            return known
        return msgspec.structs.replace(known, step=min(known.step, TENTH))

    def whole(self, reading: Reading) -> Scale:
        """How a reading's vital is shown in the unit of the reading, without further decimals."""
        return self._scale(reading.vital, reading.unit)

    def number(self, scale: Scale, reading: Reading, number: float) -> Decimal:
        """A number in the vital's own unit, as it is shown on a scale."""
        return self._in_unit(scale, reading.vital, number)

    def difference(self, scale: Scale, reading: Reading, number: float) -> Decimal:
        """A difference of two numbers in the vital's own unit, as it is shown on a scale."""
        own = self._knowledge.vitals[reading.vital].unit
        zero = self._knowledge.convert(Decimal(0), own, scale.unit)
        return scale.shown(self._knowledge.convert(Decimal(number), own, scale.unit) - zero)

    def shown(self, reading: Reading) -> str:
        """The value in words: ``weight 181.4 lb``.

        It is as it was sent, except where people do not read its unit.
        """
        scale = self._scale(reading.vital, reading.unit)
        if reading.value is None or scale.unit == reading.unit:
            return plain_value(reading)
        return f"{reading.vital.replace('_', ' ')} {self.own(scale, reading)}{scale.written}"

    def own(self, scale: Scale, reading: Reading) -> Decimal:
        """The value of a reading, which must be there, as it is shown on a scale."""
        assert reading.value is not None
        return scale.shown(
            self._knowledge.convert(Decimal(reading.value), reading.unit, scale.unit)
        )

    def value(self, reading: Reading, usual: float) -> str:
        """A value and its distance from usual.

        For example ``breathing 26/min, 7 above this person's usual of 19``. ``usual`` is in the
        vital's own unit.
        """
        scale = self._scale(reading.vital, reading.unit)
        value = self.own(scale, reading)
        known = self._in_unit(scale, reading.vital, usual)
        away = value - known
        text = f"{scale.plain} {value}{scale.written}"
        if not away:
            return f"{text}, this person's usual"
        return (
            f"{text}, {abs(away)} {'above' if away > 0 else 'below'} this person's usual of {known}"
        )

    def together(self, parts: Iterable[tuple[Reading, float]]) -> str:
        """The same for several vitals, in the order of ``parts``."""
        return "; ".join(self.value(reading, usual) for reading, usual in parts)

    def lasting(self, reading: Reading, levels: tuple[float, float], lasts: timedelta) -> str:
        """A lasting change in words.

        For example ``pulse has been about 8/min higher than this person's usual of 72 for about 3
        days``. ``levels`` are those before and now.
        """
        scale = self._scale(reading.vital, reading.unit)
        before, now = levels
        known = self._in_unit(scale, reading.vital, before)
        away = self._in_unit(scale, reading.vital, now) - known
        side = "higher" if away > 0 else "lower"
        days = max(1, round(lasts / timedelta(days=1)))
        return (
            f"{scale.plain} has been about {abs(away)}{scale.written} {side} than this person's"
            f" usual of {known} for about {days} {'day' if days == 1 else 'days'}"
        )
