"""The records of an evaluation. Their JSON holds no date and no duration, so it is repeatable.

A share is from 0 to 1, a rate a number a patient-day, an interval one of 95 % by bootstrap over
stays. Forecasts of vitals will get a field of ``CadenceResult`` when there are any.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import msgspec

from rpm_stream.evaluation.stays import Part
from rpm_stream.records import Priority, Record

Verdict: TypeAlias = Literal["noise", "unclear", "signal"]
Span: TypeAlias = tuple[float, float]
DIGITS = 6  # significant digits; the last bits of a sum may differ between machines


class CohortSize(Record, frozen=True, kw_only=True):
    """How much was measured. Hours after an onset are not counted."""

    stays: int
    onsets: int
    patient_days: float
    positive_hours: int


class BudgetResult(Record, frozen=True, kw_only=True):
    """One score at one alarm budget.

    - ``threshold`` is the score from which hours alarm. Of the hours with exactly this score only
      ``ties`` take part, chosen at random. ``threshold`` is None if none alarms.
    - ``rate`` is what the threshold really gives.
    - ``lead`` is the median number of hours from the first alarm in the window to the onset.
    - ``difference`` is the sensitivity less that of NEWS2 at the same budget and silence.
    """

    silence: int
    budget: float
    threshold: float | None
    ties: float
    rate: float
    sensitivity: float | None
    interval: Span | None
    lead: float | None
    difference: float | None
    difference_interval: Span | None


class ReliabilityBin(Record, frozen=True, kw_only=True):
    """A tenth of the hours: the mean probability, and the share before an onset."""

    hours: int
    expected: float
    observed: float


class Calibration(Record, frozen=True, kw_only=True):
    """Whether a probability means what it says. ``calibration.py`` defines the fields."""

    hours: int
    base_rate: float
    slope: float | None
    intercept: float | None
    top_observed_over_expected: float
    brier: float
    skill: float
    skill_interval: Span | None
    bins: tuple[ReliabilityBin, ...]


class CurvePoint(Record, frozen=True, kw_only=True):
    """The share of onsets that a score reaches at a rate of alarms, with the shorter silence."""

    rate: float
    sensitivity: float


class ScoreResult(Record, frozen=True, kw_only=True):
    """One score. ``known`` is the share of the counted hours that have one.

    ``auroc`` is hour-matched, and ``auroc_difference`` is it less that of NEWS2.
    """

    name: str
    known: float
    auroc: float | None
    auroc_interval: Span | None
    auroc_difference: float | None
    auroc_difference_interval: Span | None
    budgets: tuple[BudgetResult, ...]
    curve: tuple[CurvePoint, ...]
    calibration: Calibration | None = None


class ShownRow(Record, frozen=True, kw_only=True):
    """Some events of the feed at its shipped settings.

    - ``reached`` is the number of onsets with such an event in the window before them, and
      ``before_onset`` their share.
    - ``lead`` is the median number of hours from the first such event in the window to the onset.
    - ``otherwise`` is the share of stays without an onset that have one in the same hours of the
      stay.
    - ``ratio`` is the first share over the second, None if the second is 0.
    - ``verdict`` is ``noise`` if the ratio is not above 1, ``signal`` if its whole interval is
      above 1, and otherwise ``unclear``.
    - ``random`` is the share of onsets that random alarms reach at the same rate.
    """

    name: str
    priority: Priority | None = None
    returned: bool = False
    events: int
    per_day: float
    reached: int
    before_onset: float | None
    lead: float | None
    otherwise: float | None
    ratio: float | None
    ratio_interval: Span | None
    verdict: Verdict
    random: float | None = None


class ShownResult(Record, frozen=True, kw_only=True):
    """What the feed shows.

    ``matched`` is the number of onsets in whose hour other stays are monitored. Ratios are over
    these onsets alone. ``listed`` is the share of the hours of stays without an onset in which a
    medium or high alert is in the list, and ``red`` the share of them in which NEWS2 was made
    and counted a part with 3 points. ``red_known`` is the share in which the last NEWS2 did.
    """

    selections: tuple[ShownRow, ...]
    rules: tuple[ShownRow, ...]
    matched: int
    listed: float | None
    red: float | None
    red_known: float | None


class SubgroupResult(Record, frozen=True, kw_only=True):
    """One score in a part of the people, at the threshold of all people for 0.5 alarms a day."""

    score: str
    group: str
    stays: int
    onsets: int
    sensitivity: float | None
    rate: float | None


class CadenceResult(Record, frozen=True, kw_only=True):
    """All results for readings of one cadence."""

    size: CohortSize
    scores: tuple[ScoreResult, ...]
    shown: ShownResult
    subgroups: tuple[SubgroupResult, ...]


class Evaluation(Record, frozen=True, kw_only=True):
    """The whole result. ``home`` are the same stays at the cadence of a home."""

    v: Literal[1] = 1
    part: Part
    window_hours: int
    carried_hours: int
    draws: int
    hourly: CadenceResult
    home: CadenceResult | None = None


def encode(result: Evaluation) -> bytes:
    """Return the result as indented JSON with a line end."""
    plain = rounded(msgspec.to_builtins(result))
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def rounded(value: Any) -> Any:
    """Return a value of JSON with its numbers cut to ``DIGITS`` significant digits.

    >>> rounded({"a": [0.12345678, 3], "b": float("inf")})
    {'a': [0.123457, 3], 'b': None}
    """
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
