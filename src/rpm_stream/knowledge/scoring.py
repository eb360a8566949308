"""Rows of the tables that judge a value: the NEWS2 chart, limits, detectors."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from rpm_stream.knowledge.tables import Table
from rpm_stream.records import Priority

VitalDetectorName: TypeAlias = Literal["gaussian", "quantile", "drift"]  # the table of score/detectors.py


class Points(Table, frozen=True, forbid_unknown_fields=True):
    """One line of the NEWS2 chart: ascending rows of (up to and including, points)."""

    vitals: tuple[str, ...]
    unit: str
    step: Decimal
    rows: tuple[tuple[str, int], ...]
    rows_scale_2_air: tuple[tuple[str, int], ...] = ()
    rows_scale_2_oxygen: tuple[tuple[str, int], ...] = ()


class News2(Table, frozen=True, forbid_unknown_fields=True):
    """The NEWS2 chart and its thresholds."""

    version: str
    adult_from_years: int
    fresh_for_hours: int
    medium_from: int
    high_from: int
    max_oxygen: int
    respiratory_rate: Points
    oxygen_saturation: Points
    systolic: Points
    pulse: Points
    consciousness: Points
    body_temperature: Points
    oxygen_flow: Points
    inspired_oxygen: Points

    def parameters(self) -> dict[str, Points]:
        """The parameters by name, in the chart's order, but for "air or oxygen"."""
        return {
            "respiratory_rate": self.respiratory_rate,
            "oxygen_saturation": self.oxygen_saturation,
            "systolic": self.systolic,
            "pulse": self.pulse,
            "consciousness": self.consciousness,
            "body_temperature": self.body_temperature,
        }

    def oxygen(self) -> tuple[Points, ...]:
        """The two ways in which a check-in says "air or oxygen"."""
        return self.oxygen_flow, self.inspired_oxygen


class Band(Table, frozen=True, forbid_unknown_fields=True):
    """Priority of the first value, and of a second in a row."""

    first: Priority
    repeated: Priority | None = None


class ShippedLimit(Table, frozen=True, forbid_unknown_fields=True):
    """A limit with one side; ``meter`` says which meter display without a number (LO, HI) counts as beyond it.

    ``together_with`` names the vital of the same measurement whose limit of that side repeats this one.
    """

    vital: str
    unit: str
    recover: Decimal
    first: Priority
    source: str
    below: Decimal | None = None
    above: Decimal | None = None
    repeated: Priority | None = None
    advice: str | None = None
    meter: Literal["low", "high"] | None = None
    together_with: str | None = None


class Limits(Table, frozen=True, forbid_unknown_fields=True):
    """The shipped limits."""

    version: str
    repeated_after_minutes: int
    recovery_minutes: int
    silence_priority: Priority
    amber: Band
    red: Band
    beyond_query: Band
    limit: tuple[ShippedLimit, ...]


class Personal(Table, frozen=True, forbid_unknown_fields=True):
    """The per-vital detector: which one, where it runs and when a run of unusual values alerts."""

    detector: VitalDetectorName
    vitals: frozenset[str]
    sustained_count: int
    sustained_minutes: int


class Combined(Table, frozen=True, forbid_unknown_fields=True):
    """The multi-vital detector."""

    features: tuple[str, ...]
    sustained_count: int
    sustained_minutes: int
    fresh_for_minutes: int
    learn_for_hours: int


class Lasting(Table, frozen=True, forbid_unknown_fields=True):
    """Changes that last: of which vitals, for how long, how wide in resolutions, and how long they are listed."""

    vitals: frozenset[str]
    lasts_hours: int
    least_steps: int
    listed_hours: int


class Detectors(Table, frozen=True, forbid_unknown_fields=True):
    """Learned detectors."""

    personal: Personal
    combined: Combined
    lasting: Lasting
