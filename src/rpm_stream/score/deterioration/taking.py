"""Which values the deterioration score takes, and what it learns of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from rpm_stream.knowledge.deterioration import DERIVED, DeteriorationTable
from rpm_stream.score.deterioration.hours import (
    KEPT_HOURS,
    HourlyCourse,
    Hours,
    Own,
    hour_of,
    is_due,
    take,
)


class Taker:
    """Enters values into what is kept of a patient's hours, bound to the table."""

    def __init__(self, table: DeteriorationTable) -> None:
        self.series = {vital: name for name, row in table.series.items() for vital in row.vitals}
        self._steps = {name: row.step for name, row in table.series.items()}
        self._every = timedelta(minutes=table.every_minutes)
        self._most = table.own_count

    def is_due(self, hours: Hours | None, vital: str, at: datetime) -> bool:
        """Return whether a value of the vital measured at ``at`` is taken.

        One that comes a moment after another of its series is not, unless a new hour began.
        """
        return is_due(hours, self.series[vital], at, self._every)

    def take(self, hours: Hours, at: datetime, numbers: Mapping[str, float]) -> None:
        """Take the values of one moment that are due, by vital, in the vital's first unit."""
        first: list[str] = []
        for vital, number in numbers.items():
            name = self.series[vital]
            if take(hours, name, at, round(number / self._steps[name])):
                first.append(name)
        for name in first:
            self._learn(hours, name, self._newest(hours.courses[name], name))
        if "systolic" in first:
            for name in DERIVED:
                derived = self._derived(hours, name, at)
                if derived is not None:
                    self._learn(hours, name, derived)

    def _newest(self, course: HourlyCourse, name: str) -> float:
        return course.steps[-1] * self._steps[name]

    def _learn(self, hours: Hours, name: str, number: float) -> None:
        hours.own.setdefault(name, Own()).learn(number, self._most)

    def _derived(self, hours: Hours, name: str, at: datetime) -> float | None:
        """Return the shock index or the pulse pressure, or None where the other value is not of a
        day, or a pressure of 0 gives no index."""
        other = "pulse" if name == "shock_index" else "diastolic"
        course = hours.courses.get(other)
        systolic = self._newest(hours.courses["systolic"], "systolic")
        if course is None or not 0 <= hour_of(at) - course.hours[-1] < KEPT_HOURS or systolic <= 0:
            return None
        value = self._newest(course, other)
        return value / systolic if name == "shock_index" else systolic - value
