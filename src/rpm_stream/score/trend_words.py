"""What a trend found, in words: the value, how far its days have risen, and what stands beside.

The distance is that of the two numbers as shown, so that a reader's own sum comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.trends import Average
from rpm_stream.records import Reading
from rpm_stream.score.days import DISCHARGE, Risen
from rpm_stream.words import plain_value


class TrendWords:
    """Words for a rise, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge, averages: Mapping[str, Average]) -> None:
        self._knowledge, self._averages = knowledge, averages

    def rise(self, reading: Reading, risen: Risen) -> str:
        """``weight 82.1 kg, 2.1 kg above the discharge weight of 80.0 kg; breathlessness 5, usual is 2 (trend)``"""
        value = plain_value(reading)
        said = [value if risen.fast is None else self._compared(value, reading, risen, risen.fast)]
        if risen.within:
            up = self._number(reading, risen.up)
            said.append(f"up {up}{self._unit(reading)} within {risen.within} days (rule of thumb)")
        return f"{'; '.join([*said, *filter(None, (risen.beside,))])} (trend)"

    def _compared(self, value: str, reading: Reading, risen: Risen, fast: float) -> str:
        last, before, unit = self._number(reading, fast), self._number(reading, risen.slow), self._unit(reading)
        if risen.rule == DISCHARGE:
            day = "" if reading.value and Decimal(reading.value) == last else f"; {last}{unit} on the day"
            return f"{value}{day}, {last - before}{unit} above the discharge weight of {before}{unit}"
        row = self._averages[reading.vital]
        return (
            f"{value}; {last}{unit} over the last {row.fast_days} days, {last - before} above the {before} of the "
            f"{row.slow_days} days before"
        )

    def _number(self, reading: Reading, number: float) -> Decimal:
        digits = 1 if self._knowledge.vitals[reading.vital].resolution < 1 else 0
        return Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)

    def _unit(self, reading: Reading) -> str:
        unit = self._knowledge.vitals[reading.vital].unit
        return f" {unit}" if unit.isalpha() else unit
