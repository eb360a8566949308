"""The bands of a chart for one value: the one that it lies in, and which sides are not back.

A band is red (3 points of NEWS2) or amber (2). Values are rounded to the chart's step before they are looked up, as the
chart is written in whole numbers. Each side recovers at a distance of its own from its outermost band (news2.toml).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.knowledge import Knowledge, Points
from rpm_stream.records import Direction, Record

RED, AMBER = 3, 2
SCALE_WORDS = {
    "2 on air": " on scale 2, on air",
    "2 on oxygen": " on scale 2, on oxygen",
    "2 unknown": " on scale 2, oxygen not known",
}


class InBand(Record, frozen=True, kw_only=True):
    """The band that a value lies in: ``bound`` is its edge towards the normal, ``words`` what to say of it."""

    side: Direction
    band: str
    bound: Decimal
    unit: str
    words: str


class Bands:
    """The NEWS2 chart's bands, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        lines = knowledge.news2.parameters().values()
        self._of_vital = {vital: line for line in lines for vital in line.vitals}

    def knows(self, vital: str) -> bool:
        """Whether the chart has bands of the vital; "air or oxygen" has none, being on oxygen is a treatment."""
        return vital in self._of_vital

    def sides(self, vital: str, scale: str) -> tuple[Direction, ...]:
        """The sides on which a value can lie in a band."""
        line = self._of_vital.get(vital)
        if line is None:
            return ()
        rows, _ = line.on(scale)
        normal = _normal(rows)
        below = any(points >= AMBER for _, points in rows[:normal])
        above = any(points >= AMBER for _, points in rows[normal + 1 :])
        return (*(("low",) if below else ()), *(("high",) if above else ()))

    def of(self, vital: str, value: Decimal, unit: str, scale: str) -> InBand | None:
        """The band that a value lies in, if any."""
        line = self._of_vital.get(vital)
        if line is None:
            return None
        rows, _ = line.on(scale)
        number = self._rounded(line, value, unit)
        place = next(place for place, (upto, _) in enumerate(rows) if not upto or number <= Decimal(upto))
        points = rows[place][1]
        if points < AMBER:
            return None
        side: Direction = "low" if place < _normal(rows) else "high"
        edge = Decimal(rows[place][0]) if side == "low" else Decimal(rows[place - 1][0]) + line.step
        band = "red" if points == RED else "amber"
        where = "" if self._knowledge.vitals[vital].words else f"{side}, "
        named = SCALE_WORDS.get(scale, "") if line.rows_scale_2_air else ""
        words = f"{where}{band} on the NEWS2 chart with {points} points{named}"
        return InBand(side=side, band=band, bound=edge, unit=line.unit, words=words)

    def not_back(self, vital: str, value: Decimal, unit: str, scale: str) -> Iterator[Direction]:
        """The sides on which a value that lay in a band would not be back yet."""
        line = self._of_vital.get(vital)
        if line is None:
            return
        number, (_, recover) = self._rounded(line, value, unit), line.on(scale)
        if recover.low is not None and number < recover.low:
            yield "low"
        if recover.high is not None and number > recover.high:
            yield "high"

    def _rounded(self, line: Points, value: Decimal, unit: str) -> Decimal:
        return self._knowledge.convert(value, unit, line.unit).quantize(line.step, ROUND_HALF_UP)


def _normal(rows: tuple[tuple[str, int], ...]) -> int:
    """The place of the row of 0 points: what lies before it is low."""
    return next(place for place, row in enumerate(rows) if row[1] == 0)
