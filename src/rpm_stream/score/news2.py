"""NEWS2 as a range: what the known parts give, and what the missing ones could add (RCP 2017).

Consciousness and oxygen do not come from a wearable: a check-in says them (for oxygen else the registry); where nobody
does, they are missing and widen the range. A part counts while it is fresh. The score does not apply under 16 years or
in pregnancy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from rpm_stream.knowledge import Knowledge, Points
from rpm_stream.records import PatientEntry, Reading, Record
from rpm_stream.registry import has_unreadable_birth, years_old
from rpm_stream.score.history import Segment, VitalHistory, as_of

Scale = Literal["1", "2 on air", "2 on oxygen", "2 unknown"]  # of oxygen saturation; 2 by prescription only
SATURATION, OXYGEN = "oxygen_saturation", "oxygen"


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
        self._of_vital = {vital: row for row in self._parameters.values() for vital in row.vitals}
        self._oxygen = tuple(vital for row in self.news2.oxygen() for vital in row.vitals)
        self._of_vital |= {vital: row for row in self.news2.oxygen() for vital in row.vitals}
        self._worst = {name: max(points for _, points in row.rows) for name, row in self._parameters.items()}
        self.fresh_for = timedelta(hours=self.news2.fresh_for_hours)
        self.vitals = tuple(self._of_vital)

    def knows(self, vital: str) -> bool:
        """Whether the chart scores the vital."""
        return vital in self._of_vital

    def has_bands(self, vital: str) -> bool:
        """Whether points of the vital are worth an alert by themselves: being on oxygen is a treatment."""
        return vital not in self._oxygen

    def exempt(self, patient: PatientEntry, at: datetime) -> str:
        """Why the chart does not apply, empty where it does; someone of unknown age counts as an adult."""
        if patient.pregnant:
            return "pregnant"
        if has_unreadable_birth(patient):
            return "the date of birth cannot be read"
        years = years_old(patient, at) if patient.born else None
        is_child = years is not None and years < self.news2.adult_from_years
        return f"under {self.news2.adult_from_years}" if is_child else ""

    def scale(self, patient: PatientEntry, histories: Mapping[str, VitalHistory], at: datetime) -> Scale:
        """The scale of oxygen saturation as of ``at``."""
        if patient.oxygen_scale != 2:
            return "1"
        segment = self._newest(histories, self._oxygen, at)
        on_oxygen = segment.points if segment is not None else patient.on_oxygen
        return "2 unknown" if on_oxygen is None else "2 on oxygen" if on_oxygen else "2 on air"

    @staticmethod
    def _rows(parameter: Points, scale: Scale) -> tuple[tuple[str, int], ...]:
        if scale == "1" or not parameter.rows_scale_2_air:
            return parameter.rows
        return parameter.rows_scale_2_oxygen if scale == "2 on oxygen" else parameter.rows_scale_2_air

    def points(self, vital: str, value: Decimal, unit: str, scale: Scale) -> int | None:
        """Points of one value, rounded half up to the chart's step; None for a vital that is not on the chart."""
        found = self._row(vital, value, unit, scale)
        return None if found is None else found[1]

    def side(self, reading: Reading, scale: Scale) -> str:
        """``low`` or ``high``: on which side of the chart's 0 points the value of ``reading`` lies."""
        found = self._row(reading.vital, Decimal(reading.value or "0"), reading.unit, scale)
        assert found is not None
        rows = self._rows(self._of_vital[reading.vital], scale)
        normal = next(index for index, row in enumerate(rows) if row[1] == 0)
        return "low" if found[0] < normal else "high"

    def _row(self, vital: str, value: Decimal, unit: str, scale: Scale) -> tuple[int, int] | None:
        """Index of the chart's row that holds the value, and its points."""
        parameter = self._of_vital.get(vital)
        if parameter is None:
            return None
        number = self._knowledge.convert(value, unit, parameter.unit).quantize(parameter.step, ROUND_HALF_UP)
        for index, (upto, points) in enumerate(self._rows(parameter, scale)):
            if not upto or number <= Decimal(upto):
                return index, points
        raise AssertionError("the chart's last row has no upper end")

    def score(self, histories: Mapping[str, VitalHistory], at: datetime, patient: PatientEntry) -> News2Score | None:
        """The score as of ``at``; None where it does not apply or nothing is known."""
        if self.exempt(patient, at):
            return None
        known: dict[str, tuple[int, Reading | None]] = {}
        for name, parameter in self._parameters.items():
            segment = self._newest(histories, parameter.vitals, at)
            if segment is not None and segment.points is not None:
                known[name] = (self._as_measured(name, segment, histories, patient), segment.reading)
        if not known:
            return None
        add = sum(self._worst[name] for name in self._parameters if name not in known)
        missing = [name for name in self._parameters if name not in known]
        segment = self._newest(histories, self._oxygen, at)
        if segment is not None:
            known[OXYGEN] = (segment.points or 0, segment.reading)
        elif patient.on_oxygen is not None:
            known[OXYGEN] = (self.news2.max_oxygen if patient.on_oxygen else 0, None)
        else:
            add += self.news2.max_oxygen
            missing.append(OXYGEN)
        total = sum(points for points, _ in known.values())
        return News2Score(
            score_min=total,
            score_max=total + add,
            points={name: points for name, (points, _) in known.items()},
            missing=tuple(missing),
            readings={name: reading for name, (_, reading) in known.items() if reading is not None},
        )

    def _as_measured(
        self, name: str, segment: Segment, histories: Mapping[str, VitalHistory], patient: PatientEntry
    ) -> int:
        """The segment's points; on scale 2 by what is known today of the oxygen when its reading was taken."""
        reading, points = segment.reading, segment.points or 0
        if name != SATURATION or patient.oxygen_scale != 2 or reading is None or reading.value is None:
            return points
        scale = self.scale(patient, histories, reading.measured_at)
        return self.points(reading.vital, Decimal(reading.value), reading.unit, scale) or 0

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
