"""The charts that replace NEWS2 where it does not apply: pregnancy, and children by age.

A line is written like one of the NEWS2 chart: ascending rows of (up to and including, band). In
children, a vital without a line is judged by the NEWS2 chart's own bands (saturation, temperature,
consciousness).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, TypeAlias

from rpm_stream.knowledge.tables import Band, Recover, Table, Vital
from rpm_stream.records.terms import Direction

BandName: TypeAlias = Literal["red", "amber", "normal"]


class BandLine(Table, frozen=True):
    """One line of a chart.

    Values are rounded half up to ``step``. The last row has no upper end. ``advice`` is shown
    beside a value that is red and high. ``together_with`` names the vital of the same measurement
    whose red repeats this one's.
    """

    vitals: tuple[str, ...]
    unit: str
    step: Decimal
    rows: tuple[tuple[str, BandName], ...]
    recover: Recover
    advice: str | None = None
    together_with: str | None = None

    def side(self, place: int) -> Direction:
        """Return on which side of the normal row the row at ``place`` is."""
        return "low" if place < [band for _, band in self.rows].index("normal") else "high"


class Maternity(Table, frozen=True):
    """The chart for pregnancy.

    It replaces the NEWS2 chart and the shipped limits of its vitals and sides.
    """

    version: str
    red: Band
    amber: Band
    line: tuple[BandLine, ...]


class Age(Table, frozen=True):
    """The lines of one age, in completed months.

    ``below_months`` is None for the last age, which goes up to the age where NEWS2 applies.
    """

    words: str
    from_months: int
    line: tuple[BandLine, ...]
    below_months: int | None = None


class Child(Table, frozen=True):
    """The charts for children.

    ``no_query`` has the vitals whose query bounds are an adult's and do not apply.
    """

    version: str
    red: Band
    amber: Band
    no_query: frozenset[str]
    age: tuple[Age, ...]


def check_charts(maternity: Maternity, child: Child, vitals: dict[str, Vital]) -> Iterator[str]:
    """Yield the faults of the charts.

    Lines name known vitals and ascend, each banded side recovers outside its bands, and no age is
    left out.
    """
    for line in maternity.line:
        yield from (f"maternity.toml: {line.vitals[0]}: {fault}" for fault in _faults(line, vitals))
    for age in child.age:
        for line in age.line:
            yield from (
                f"child.toml: {age.words}: {line.vitals[0]}: {fault}"
                for fault in _faults(line, vitals)
            )
    ends = [0, *(age.below_months for age in child.age)]
    if ends[-1] is not None or [age.from_months for age in child.age] != ends[:-1]:
        yield (
            "child.toml: age: each age begins where the one before it ends, the first at 0, the"
            " last has no end"
        )
    if unknown := sorted(child.no_query - vitals.keys()):
        yield f"child.toml: no_query: unknown vital {', '.join(unknown)}"


def _faults(line: BandLine, vitals: dict[str, Vital]) -> Iterator[str]:
    named = {*line.vitals, *([line.together_with] if line.together_with else [])}
    if unknown := sorted(named - vitals.keys()):
        yield f"unknown vital {', '.join(unknown)}"
        return
    if any(line.unit not in vitals[vital].units for vital in line.vitals):
        yield f"there is no unit {line.unit} of it"
    ends = [Decimal(upto) for upto, _ in line.rows[:-1]]
    bands = [band for _, band in line.rows]
    if line.rows[-1][0] or ends != sorted(set(ends)):
        yield "rows ascend, and only the last has no upper end"
    elif bands.count("normal") != 1:
        yield "one row is normal: what lies before it is low"
    else:
        place = bands.index("normal")
        low = ends[place - 1] if place else None
        high = ends[place] if place < len(ends) else None
        if (low is None) != (line.recover.low is None) or (high is None) != (
            line.recover.high is None
        ):
            yield "a side recovers where it has a band, and only there"
        elif (line.recover.low is not None and low is not None and line.recover.low <= low) or (
            line.recover.high is not None and high is not None and line.recover.high > high
        ):
            yield "a recovery lies in a band"
