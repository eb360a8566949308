"""NEWS2 as a range: what the known parts give, and what the missing ones could add (RCP 2017).

Consciousness and oxygen do not come from a wearable: where the registry or a check-in does not say, they are missing
and widen the range. A part counts while it is fresh. The score does not apply under 16 years or in pregnancy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.knowledge import Knowledge, Points
from rpm_stream.records import PatientEntry, Reading, Record
from rpm_stream.registry import years_old
from rpm_stream.score.history import Segment, VitalHistory, as_of


class News2Score(Record, frozen=True, kw_only=True):
    """The score at one moment. ``points`` holds the known parts, ``readings`` what each measured part stands on."""

    score_min: int
    score_max: int
    points: dict[str, int]
    missing: tuple[str, ...]
    readings: dict[str, Reading]


class Chart:
    """The chart, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.news2 = knowledge.news2
        self._parameters = self.news2.parameters()
        self._of_vital = {vital: name for name, row in self._parameters.items() for vital in row.vitals}
        self._worst = {name: max(points for _, points in row.rows) for name, row in self._parameters.items()}
        self.fresh_for = timedelta(hours=self.news2.fresh_for_hours)
        self.vitals = tuple(self._of_vital)

    def knows(self, vital: str) -> bool:
        """Whether the chart scores the vital."""
        return vital in self._of_vital

    def applies(self, patient: PatientEntry, at: datetime) -> bool:
        """Adults who are not pregnant; someone of unknown age counts as an adult."""
        years = years_old(patient, at) if patient.born else None
        return not patient.pregnant and (years is None or years >= self.news2.adult_from_years)

    def _rows(self, parameter: Points, patient: PatientEntry) -> tuple[tuple[str, int], ...]:
        if patient.oxygen_scale == 2 and parameter.rows_scale_2_air:
            return parameter.rows_scale_2_oxygen if patient.on_oxygen else parameter.rows_scale_2_air
        return parameter.rows

    def points(self, vital: str, value: Decimal, unit: str, patient: PatientEntry) -> int | None:
        """Points of one value, rounded half up to the chart's step; None for a vital that is not on the chart."""
        found = self._row(vital, value, unit, patient)
        return None if found is None else found[1]

    def side(self, reading: Reading, patient: PatientEntry) -> str:
        """``low`` or ``high``: on which side of the chart's 0 points the value of ``reading`` lies."""
        found = self._row(reading.vital, Decimal(reading.value or "0"), reading.unit, patient)
        assert found is not None
        rows = self._rows(self._parameters[self._of_vital[reading.vital]], patient)
        normal = next(index for index, row in enumerate(rows) if row[1] == 0)
        return "low" if found[0] < normal else "high"

    def _row(self, vital: str, value: Decimal, unit: str, patient: PatientEntry) -> tuple[int, int] | None:
        """Index of the chart's row that holds the value, and its points."""
        name = self._of_vital.get(vital)
        if name is None:
            return None
        parameter = self._parameters[name]
        number = self._knowledge.convert(value, unit, parameter.unit).quantize(parameter.step, ROUND_HALF_UP)
        for index, (upto, points) in enumerate(self._rows(parameter, patient)):
            if not upto or number <= Decimal(upto):
                return index, points
        raise AssertionError("the chart's last row has no upper end")

    def score(self, histories: Mapping[str, VitalHistory], at: datetime, patient: PatientEntry) -> News2Score | None:
        """The score as of ``at``; None where it does not apply or nothing is known."""
        if not self.applies(patient, at):
            return None
        points: dict[str, int] = {}
        readings: dict[str, Reading] = {}
        for name, parameter in self._parameters.items():
            segment = self._newest(histories, parameter.vitals, at)
            if segment is not None and segment.points is not None:
                points[name] = segment.points
                if segment.reading is not None:
                    readings[name] = segment.reading
        if not points:
            return None
        missing = [name for name in self._parameters if name not in points]
        add = sum(self._worst[name] for name in missing) + self.news2.max_consciousness
        if patient.on_oxygen is None:
            missing.append("oxygen")
            add += self.news2.max_oxygen
        else:
            points["oxygen"] = self.news2.max_oxygen if patient.on_oxygen else 0
        missing.append("consciousness")
        total = sum(points.values())
        return News2Score(
            score_min=total, score_max=total + add, points=points, missing=tuple(missing), readings=readings
        )

    def _newest(self, histories: Mapping[str, VitalHistory], vitals: tuple[str, ...], at: datetime) -> Segment | None:
        found = [as_of(histories[vital], at, self.fresh_for) for vital in vitals if vital in histories]
        segments = [segment for segment in found if segment is not None]
        return max(segments, key=lambda segment: min(segment.end, at), default=None)

    def later_changes(self, histories: Mapping[str, VitalHistory], at: datetime) -> list[datetime]:
        """Moments after ``at`` at which a part that reaches back to it changed: where a late reading may matter."""
        until = at + self.fresh_for
        return sorted(
            {
                segment.start
                for vital in self.vitals
                if vital in histories
                for segment in histories[vital].segments
                if at < segment.start <= until
            }
        )
