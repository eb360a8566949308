"""The bands of a person's chart: which band a value lies in, and which sides are not back.

Adults have the NEWS2 chart, and pregnant women and children have charts of their own
(``knowledge/charts.py``). A person whose date of birth cannot be read has the bands that adults and
children share: saturation, temperature and consciousness. Values are rounded to the chart's step
before they are looked up. Each side has its own recovery limit beyond its outermost band.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, TypeAlias

from rpm_stream.knowledge.charts import BandLine, BandName, Child, Maternity
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import has_unreadable_birth, months_old
from rpm_stream.knowledge.scoring import Limits, Points
from rpm_stream.knowledge.tables import Band
from rpm_stream.records import Direction, PatientEntry, Reading, Record
from rpm_stream.score.rules.oxygen_scale import SCALE_WORDS, OxygenScale, has_scale_2

NEWS2_POINTS: dict[BandName, int] = {"red": 3, "amber": 2}
ADULT: Final = "adult"
PREGNANT: Final = "pregnant"
NO_AGE: Final = "no age"
WhoseChart: TypeAlias = Literal["adult", "pregnant", "no age"] | int
"""Whose chart holds. For a child it is the place of its age in the table."""
ONE_SCALE: OxygenScale = "1"
SCALES: tuple[OxygenScale, ...] = (ONE_SCALE, *SCALE_WORDS)


class Person(Record, frozen=True, kw_only=True):
    """What decides which bands hold for a patient.

    ``exempt`` is why NEWS2 does not apply, empty where it does.
    """

    chart: WhoseChart
    scale: OxygenScale
    exempt: str


class InBand(Record, frozen=True, kw_only=True):
    """The band that a value lies in.

    ``bound`` is its edge towards the normal, and ``words`` the text about it.
    """

    side: Direction
    band: BandName
    bound: Decimal
    recover: Decimal
    unit: str
    rule: str
    version: str
    priority: Band
    words: str
    partner: tuple[str, str] | None = None


class Bands:
    """The charts, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        parameters = knowledge.news2.parameters().values()
        self._news2 = {
            (vital, scale): _as_line(row, scale)
            for row in parameters
            for vital in row.vitals
            for scale in SCALES
        }
        self._scaled = frozenset(
            vital for row in parameters if row.rows_scale_2_air for vital in row.vitals
        )
        self._maternity = {
            vital: line for line in knowledge.maternity.line for vital in line.vitals
        }
        self._child = [
            {vital: line for line in age.line for vital in line.vitals}
            for age in knowledge.child.age
        ]
        self._by_age = frozenset(vital for age in self._child for vital in age)

    def chart_of(self, patient: PatientEntry, at: datetime) -> WhoseChart:
        """Whose chart the patient has at ``at``."""
        if patient.pregnant:
            return PREGNANT
        if patient.born is None:
            return ADULT
        if has_unreadable_birth(patient, at):
            return NO_AGE
        months = months_old(patient, at)
        if months >= self._knowledge.news2.adult_from_years * 12:
            return ADULT
        ages = self._knowledge.child.age
        return next(
            place
            for place, age in enumerate(ages)
            if age.below_months is None or months < age.below_months
        )

    def person(self, patient: PatientEntry, at: datetime) -> Person:
        """The patient by the registry alone, without what check-ins report about oxygen."""
        scale = ONE_SCALE
        if has_scale_2(patient):
            scale = "2 on oxygen" if patient.on_oxygen else "2 on air"
        return Person(chart=self.chart_of(patient, at), scale=scale, exempt="")

    def all(self, person: Person, vital: str) -> Iterator[InBand]:
        """Every band of a vital, from low to high."""
        found = self.line(person, vital)
        if found is not None:
            table, line = found
            for place, (_, band) in enumerate(line.rows):
                if band != "normal":
                    yield _in_band(self._knowledge, table, line, place, "")

    def knows(self, vital: str) -> bool:
        """Whether any chart has bands of the vital."""
        return (
            (vital, ONE_SCALE) in self._news2 or vital in self._maternity or vital in self._by_age
        )

    def has_query(self, person: Person, vital: str) -> bool:
        """Whether the vital's query bound holds. Some bounds of adults do not hold for a child."""
        return not (isinstance(person.chart, int) and vital in self._knowledge.child.no_query)

    def line(self, person: Person, vital: str) -> tuple[str, BandLine] | None:
        """The line that holds for a vital, and its table: ``news2``, ``maternity`` or ``child``."""
        if person.chart == PREGNANT:
            line = self._maternity.get(vital)
            return ("maternity", line) if line is not None else None
        if isinstance(person.chart, int) and vital in self._by_age:
            line = self._child[person.chart].get(vital)
            return ("child", line) if line is not None else None
        if (person.chart == NO_AGE and vital in self._by_age) or (
            vital,
            person.scale,
        ) not in self._news2:
            return None
        return "news2", self._news2[vital, person.scale]

    def sides(self, person: Person, vital: str) -> tuple[Direction, ...]:
        """The sides on which a value can lie in a band."""
        found = self.line(person, vital)
        if found is None:
            return ()
        rows = found[1].rows
        low: tuple[Direction, ...] = () if rows[0][1] == "normal" else ("low",)
        return low if rows[-1][1] == "normal" else (*low, "high")

    def of(self, person: Person, reading: Reading) -> InBand | None:
        """The band that a value lies in, or None."""
        found = self.line(person, reading.vital)
        if found is None:
            return None
        table, line = found
        number = self._rounded(line, reading)
        place = next(
            place
            for place, (upto, _) in enumerate(line.rows)
            if not upto or number <= Decimal(upto)
        )
        if line.rows[place][1] == "normal":
            return None
        row = (line.rows[place][1], line.side(place))
        words = self._words(table, person, reading.vital, row)
        return _in_band(self._knowledge, table, line, place, words)

    def _words(
        self, table: str, person: Person, vital: str, row: tuple[BandName, Direction]
    ) -> str:
        band, side = row
        words = band if self._knowledge.vitals[vital].words else f"{side}, {band}"
        if table == "maternity":
            return f"{words} in the chart for pregnancy"
        if isinstance(person.chart, int) and table == "child":
            return f"{words} for {self._knowledge.child.age[person.chart].words}"
        scale_words = SCALE_WORDS.get(person.scale) if vital in self._scaled else None
        named = f" on {scale_words}" if scale_words else ""
        if person.chart != ADULT:
            return f"{words}{named}, as for adults"
        return f"{words} on the NEWS2 chart with {NEWS2_POINTS[band]} points{named}"

    def not_back(self, person: Person, reading: Reading) -> Iterator[Direction]:
        """The sides on which a value that lay in a band would not have recovered yet."""
        found = self.line(person, reading.vital)
        if found is None:
            return
        line = found[1]
        number = self._rounded(line, reading)
        if line.recover.low is not None and number < line.recover.low:
            yield "low"
        if line.recover.high is not None and number > line.recover.high:
            yield "high"

    def _rounded(self, line: BandLine, reading: Reading) -> Decimal:
        value = Decimal(reading.value or 0)
        return self._knowledge.convert(value, reading.unit, line.unit).quantize(
            line.step, ROUND_HALF_UP
        )


def _in_band(knowledge: Knowledge, table: str, line: BandLine, place: int, words: str) -> InBand:
    """The band of a line at a place."""
    band = line.rows[place][1]
    side = line.side(place)
    version, priority = _priority(knowledge, table, band)
    is_severe = band == "red" and side == "high"
    advice = f"; {line.advice}" if is_severe and line.advice else ""
    recover = line.recover.low if side == "low" else line.recover.high
    bound = (
        Decimal(line.rows[place][0])
        if side == "low"
        else Decimal(line.rows[place - 1][0]) + line.step
    )
    return InBand(
        side=side,
        band=band,
        bound=bound,
        recover=bound if recover is None else recover,
        unit=line.unit,
        rule=f"{table}_{band}",
        version=version,
        priority=priority,
        words=f"{words} (shipped){advice}",
        partner=(line.together_with, band) if is_severe and line.together_with else None,
    )


def _priority(knowledge: Knowledge, table: str, band: BandName) -> tuple[str, Band]:
    found: Limits | Maternity | Child = knowledge.limits
    if table != "news2":
        found = knowledge.maternity if table == "maternity" else knowledge.child
    return found.version, found.red if band == "red" else found.amber


def _as_line(points: Points, scale: str) -> BandLine:
    """Return a line of the NEWS2 chart on a scale: 3 points are red, 2 are amber."""
    rows, recover = points.on(scale)
    names: dict[int, BandName] = {3: "red", 2: "amber"}
    merged: list[tuple[str, BandName]] = []
    for upto, given in rows:
        name = names.get(given, "normal")
        if merged and merged[-1][1] == name:
            merged[-1] = (upto, name)
        else:
            merged.append((upto, name))
    return BandLine(
        vitals=points.vitals,
        unit=points.unit,
        step=points.step,
        rows=tuple(merged),
        recover=recover,
    )
