"""Rows of the tables that judge a value: the NEWS2 chart, limits and detectors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from msgspec import field

from rpm_stream.knowledge.tables import Band, Recover, Table
from rpm_stream.records.terms import Direction, Priority

# names of the table in score/detectors/table.py
VitalDetectorName: TypeAlias = Literal["gaussian", "quantile", "drift"]

DetectorTrigger: TypeAlias = Literal["reading", "learned", "moment"]

REST: Final = 20_000
"""How long a detector in shadow rests after a vector, in multiples of the vector's ``budget_us``.

It is measured time, so what is scored follows from readings and tables alone. With 500 µs it is 10
seconds: 1,000 patients who stream five vitals to a row of each take a quarter of a core at most.
"""


ScoreRows: TypeAlias = tuple[tuple[str, int], ...]


class Points(Table, frozen=True):
    """One line of the NEWS2 chart: ascending rows of (up to and including, points).

    It also has the recoveries of its bands.
    """

    vitals: tuple[str, ...]
    unit: str
    step: Decimal
    rows: ScoreRows
    rows_scale_2_air: ScoreRows = ()
    rows_scale_2_oxygen: ScoreRows = ()
    recover: Recover = Recover()
    recover_scale_2_air: Recover = Recover()
    recover_scale_2_oxygen: Recover = Recover()

    def on(self, scale: str) -> tuple[ScoreRows, Recover]:
        """Return the rows of a scale and the recoveries of their bands.

        The scale is "1", "2 on air", "2 on oxygen" or "2 unknown", which counts as on air.
        """
        if scale == "1" or not self.rows_scale_2_air:
            return self.rows, self.recover
        if scale == "2 on oxygen":
            return self.rows_scale_2_oxygen, self.recover_scale_2_oxygen
        return self.rows_scale_2_air, self.recover_scale_2_air


class News2(Table, frozen=True):
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
        """Return the parameters by name, in the chart's order, without "air or oxygen"."""
        return {
            "respiratory_rate": self.respiratory_rate,
            "oxygen_saturation": self.oxygen_saturation,
            "systolic": self.systolic,
            "pulse": self.pulse,
            "consciousness": self.consciousness,
            "body_temperature": self.body_temperature,
        }

    def oxygen(self) -> tuple[Points, ...]:
        """Return the two ways in which a check-in gives "air or oxygen"."""
        return self.oxygen_flow, self.inspired_oxygen


class BeyondQuery(Band, frozen=True, kw_only=True):
    """The vitals of which a value beyond the query bound raises an alert by itself."""

    vitals: frozenset[str]


class ShippedLimit(Table, frozen=True):
    """A limit with one side.

    ``meter`` is the meter display without a number (LO, HI) that counts as beyond it.
    ``together_with`` names the vital of the same measurement whose limit of that side repeats this
    one.
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


class WorseStep(Table, frozen=True):
    """How far beyond another value a worse one is: a difference in ``unit``, below and above."""

    unit: str
    low: Decimal
    high: Decimal


class StepElse(Table, frozen=True):
    """The step of a vital without one of its own, in percent of its limit."""

    percent: Decimal


class Limits(Table, frozen=True):
    """The shipped limits, and how long a value must be beyond one, or back."""

    version: str
    row_seconds: int
    dense_seconds: int
    recovery_minutes: int
    band_recovery_hours: int
    band_recovery_readings: int
    news2_recovery_minutes: int
    tier_wait_minutes: int
    tier_again_minutes: int
    now_every_minutes: int
    step: dict[str, WorseStep]
    step_else: StepElse
    silence_priority: Priority
    amber: Band
    red: Band
    beyond_query: BeyondQuery
    limit: tuple[ShippedLimit, ...]

    def step_of(
        self, vital: str, side: Direction, bound: Decimal, unit: str
    ) -> tuple[Decimal, str]:
        """Return the step of ``vital`` on one side, and the unit for comparing two values by it.

        ``bound`` in ``unit`` is the limit that the value is beyond.
        """
        row = self.step.get(vital)
        if row is None:
            return abs(bound) * self.step_else.percent / 100, unit
        return (row.low if side == "low" else row.high), row.unit


class DetectorRow(Table, frozen=True, kw_only=True):
    """A row of the detectors: what one watches and when it runs. Rows of all kinds begin so.

    ``inputs`` are vitals. ``when`` is ``reading`` for a detector of each of them that runs with
    each reading, ``learned`` for one of each that runs with each reading that the detector of
    single readings has learned, and ``moment`` for one of all that runs whenever all are fresh.
    """

    inputs: tuple[str, ...]
    when: DetectorTrigger

    @property
    def is_of_each(self) -> bool:
        """Whether each vital has a detector of its own."""
        return self.when != "moment"

    @property
    def vitals(self) -> frozenset[str]:
        """The inputs without their order."""
        return frozenset(self.inputs)


class PersonalTable(DetectorRow, frozen=True):
    """The detector of single vitals, and when it alerts: on a run of unusual values."""

    detector: VitalDetectorName
    when: Literal["reading"]
    sustained_count: int
    sustained_minutes: int


class CombinedTable(DetectorRow, frozen=True):
    """The detector of several vitals together, and when it alerts."""

    detector: Literal["half_space_trees"]
    when: Literal["moment"]
    sustained_count: int
    sustained_minutes: int
    fresh_for_minutes: int
    learn_for_hours: int


class LastingTable(DetectorRow, frozen=True):
    """Changes that last: how long and how large they are, and how long they are listed.

    The size is a number of resolutions.
    """

    detector: Literal["drift"]
    when: Literal["learned"]
    lasts_hours: int
    least_steps: int
    listed_hours: int


class ShadowTable(DetectorRow, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A detector of River that is only tried.

    Its scores are written and counted, and never become an alert.

    - It has a ``class`` with ``parameters``, or a ``pipeline`` of such tables.
    - ``threshold``: the score from which on it would flag.
    - ``keep``: the number of learned vectors from which it is rebuilt. Twice as many are stored.
    - ``budget_us``: the CPU time that one vector is declared to take. The detector rests in
      proportion to it. What it really takes is reported and changes nothing.
    """

    threshold: float
    when: Literal["reading", "moment"] = "moment"
    class_: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    pipeline: tuple[dict[str, Any], ...] = ()
    keep: int = 40
    budget_us: int = 500

    @property
    def rest(self) -> timedelta:
        """The least measured time between two vectors that one detector scores."""
        return timedelta(microseconds=self.budget_us * REST)

    @property
    def vectors_bytes(self) -> int:
        """The bytes of the vectors that one detector stores at most: four for each number."""
        return 2 * self.keep * 4 * (1 if self.is_of_each else len(self.inputs))


class Detectors(Table, frozen=True):
    """Learned detectors.

    ``off`` has the rows in shadow that do not run and whose states are kept.
    """

    personal: PersonalTable
    combined: CombinedTable
    lasting: LastingTable
    shadow: dict[str, ShadowTable] = field(default_factory=dict)
    off: frozenset[str] = frozenset()

    @property
    def live(self) -> tuple[PersonalTable | LastingTable | CombinedTable, ...]:
        """The rows whose findings become alerts, one for each ``when``."""
        return (self.personal, self.lasting, self.combined)
