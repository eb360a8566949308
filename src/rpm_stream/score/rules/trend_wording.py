"""The text of a trend: the value, how far its days have risen, and what accompanies it.

All numbers are in the unit of the reading, which the person and the nurse read on the device. The
distance is that of the two numbers as shown, so that a reader who subtracts them gets the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.trends import Average
from rpm_stream.records import Reading
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.memory.continuous import number_of
from rpm_stream.score.memory.days import DISCHARGE, STEPS, Risen


class TrendWords:
    """Texts for a rise, bound to the knowledge table.

    ``words`` knows the units.
    """

    def __init__(
        self, knowledge: Knowledge, words: UsualWords, averages: Mapping[str, Average]
    ) -> None:
        self._knowledge = knowledge
        self._words = words
        self._averages = averages

    def rise(self, reading: Reading, risen: Risen) -> str:
        """The text of a rise.

        For example ``weight 82.1 kg, 2.1 kg above the discharge weight of 80.0 kg; breathlessness
        5, usual is 2 (trend)``.
        """
        value = self._words.shown(reading)
        parts = [value if risen.fast is None else self._compared(value, reading, risen, risen.fast)]
        if risen.within:
            scale = self._words.scale(reading)
            up = f"{self._words.difference(scale, reading, risen.up)}{scale.written}"
            parts.append(f"up {up} within {risen.within} days (rule of thumb)")
        return f"{'; '.join([*parts, *filter(None, (risen.beside,))])} (trend)"

    def _compared(self, value: str, reading: Reading, risen: Risen, fast: float) -> str:
        scale = self._words.scale(reading)
        last, before = (self._words.number(scale, reading, number) for number in (fast, risen.slow))
        unit = scale.written
        if risen.rule == DISCHARGE:
            is_own = abs(float(number_of(self._knowledge, reading)) - fast) <= self._half_a_step(
                reading.vital
            )
            last, day = (
                (self._words.own(scale, reading), "")
                if is_own
                else (last, f"; {last}{unit} on the day")
            )
            return (
                f"{value}{day}, {last - before}{unit} above the discharge weight of {before}{unit}"
            )
        row = self._averages[reading.vital]
        return (
            f"{value}; {last}{unit} over the last {row.fast_days} days, {last - before} above the"
            f" {before} of the {row.slow_days} days before"
        )

    def _half_a_step(self, vital: str) -> float:
        """The largest distance of a value from its day's value where it is the only one of the day.

        The day's value is kept in steps.
        """
        return float(self._knowledge.vitals[vital].resolution) / STEPS / 2 + 1e-9
