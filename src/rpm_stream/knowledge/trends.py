"""The rows of trends.toml: changes over minutes or days."""

from __future__ import annotations

from decimal import Decimal

from rpm_stream.knowledge.tables import Table
from rpm_stream.records.registry import Of


class Average(Table, frozen=True):
    """The mean of the last ``fast_days`` against the mean of the ``slow_days`` before them.

    The last days include today.
    """

    vital: str
    fast_days: int
    fast_least_days: int
    slow_days: int
    slow_least_days: int
    least: Decimal
    spreads: Decimal
    source: str


class Drop(Table, frozen=True):
    """A value ``by`` below the median of the ``days`` before its own.

    It must last ``minutes``, or show in ``of`` the last readings.
    """

    vital: str
    by: Decimal
    days: int
    least_days: int
    minutes: int
    of: Of
    source: str


class RuleOfThumb(Table, frozen=True):
    """A rise ``by`` so much within ``days``, which adds text to another rule."""

    vital: str
    by: Decimal
    days: int
    source: str


class Discharge(Table, frozen=True):
    """More than ``by`` above the weight at discharge within ``days`` of it.

    It applies until days of the patient are known.
    """

    vital: str
    by: Decimal
    days: int
    source: str


class Joined(Table, frozen=True):
    """What makes a rise of ``vital`` more important: an answer above the usual, or an average."""

    vital: str
    answer: str
    rise: Decimal
    least: Decimal
    usual_least_days: int
    fresh_days: int
    averages: tuple[str, ...]
    source: str


class Falling(Table, frozen=True):
    """A fall of at least ``per_minute`` that reaches ``to`` within ``ahead_minutes``.

    Numbers are in the vital's first unit.
    """

    vital: str
    window_minutes: int
    least_values: int
    least_minutes: int
    per_minute: Decimal
    to: Decimal
    ahead_minutes: int
    attribute: str
    source: str


class TrendsTable(Table, frozen=True):
    """All trend rules."""

    version: str
    slot_hours: int
    kept_days: int
    average: tuple[Average, ...] = ()
    drop: tuple[Drop, ...] = ()
    rule_of_thumb: tuple[RuleOfThumb, ...] = ()
    discharge: tuple[Discharge, ...] = ()
    joined: tuple[Joined, ...] = ()
    falling: tuple[Falling, ...] = ()

    def vitals(self) -> set[str]:
        """Return every vital that a rule names."""
        named = {
            row.vital
            for rows in (self.average, self.drop, self.rule_of_thumb, self.discharge, self.falling)
            for row in rows
        }
        return named.union(*({row.vital, row.answer, *row.averages} for row in self.joined))
