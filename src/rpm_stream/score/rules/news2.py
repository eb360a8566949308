"""The chart of NEWS2: whom it applies to, and the points of one value (RCP 2017)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import has_unreadable_birth, years_old
from rpm_stream.records import PatientEntry
from rpm_stream.score.rules.oxygen_scale import OxygenScale


class News2Chart:
    """The chart, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self.news2 = knowledge.news2
        parameters = self.news2.parameters().values()
        self._of_vital = {vital: row for row in parameters for vital in row.vitals}
        self._oxygen = tuple(vital for row in self.news2.oxygen() for vital in row.vitals)
        self._of_vital |= {vital: row for row in self.news2.oxygen() for vital in row.vitals}
        self.fresh_for = timedelta(hours=self.news2.fresh_for_hours)
        self.vitals = tuple(self._of_vital)

    def knows(self, vital: str) -> bool:
        """Whether the chart scores the vital."""
        return vital in self._of_vital

    def has_bands(self, vital: str) -> bool:
        """Whether points of the vital alone are worth an alert.

        Oxygen is a treatment, so its points are not.
        """
        return vital not in self._oxygen

    def exempt(self, patient: PatientEntry, at: datetime) -> str:
        """Why the chart does not apply, empty where it does.

        A patient of unknown age counts as an adult.
        """
        if patient.pregnant:
            return "pregnant"
        if has_unreadable_birth(patient, at):
            return "the date of birth cannot be read, or lies ahead"
        years = years_old(patient, at) if patient.born else None
        is_child = years is not None and years < self.news2.adult_from_years
        return f"under {self.news2.adult_from_years}" if is_child else ""

    def points(self, vital: str, value: Decimal, unit: str, scale: OxygenScale) -> int | None:
        """Points of one value, rounded half up to the chart's step.

        None for a vital that is not on the chart.
        """
        found = self._row(vital, value, unit, scale)
        return None if found is None else found[1]

    def _row(
        self, vital: str, value: Decimal, unit: str, scale: OxygenScale
    ) -> tuple[int, int] | None:
        """Index of the chart's row that holds the value, and its points."""
        parameter = self._of_vital.get(vital)
        if parameter is None:
            return None
        number = self._knowledge.convert(value, unit, parameter.unit).quantize(
            parameter.step, ROUND_HALF_UP
        )
        for index, (upto, points) in enumerate(parameter.on(scale)[0]):
            if not upto or number <= Decimal(upto):
                return index, points
        raise AssertionError("the chart's last row has no upper end")
