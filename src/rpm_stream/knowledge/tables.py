"""Rows of the tables that say what a value is: vitals, units, characteristics, the signal's own doubts."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Publish = Literal["single", "summary", "none"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the table rows: a misspelt key is an error, not a silent default."""


class Bounds(Table, frozen=True, forbid_unknown_fields=True):
    """Values outside are refused or queried; in the vital's first unit."""

    below: Decimal | None = None
    at_or_below: Decimal | None = None
    above: Decimal | None = None

    def excludes(self, value: Decimal) -> bool:
        """Whether ``value`` lies outside."""
        return (
            (self.above is not None and value > self.above)
            or (self.below is not None and value < self.below)
            or (self.at_or_below is not None and value <= self.at_or_below)
        )


class Unit(Table, frozen=True, forbid_unknown_fields=True):
    """(value - subtract) * multiply / divide gives the value in unit ``to``."""

    to: str
    subtract: Decimal = Decimal(0)
    multiply: Decimal = Decimal(1)
    divide: Decimal = Decimal(1)


class Vital(Table, frozen=True, forbid_unknown_fields=True):
    """One vital: codes (LOINC pairs of code and display, MDC code and term), accepted units, bounds, publishing.

    ``loinc_also``: codes that are read as this vital and never written.
    """

    display: str
    plain: str
    loinc: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    reject: Bounds
    query: Bounds
    group: str
    publish: Publish
    category: str
    resolution: Decimal
    source: str
    mdc: tuple[str, str] | None = None
    profile: str | None = None
    loinc_by_unit: dict[str, tuple[tuple[str, str], ...]] = {}
    loinc_also: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The unit that the table's bounds are written in."""
        return self.units[0]


class Characteristic(Table, frozen=True, forbid_unknown_fields=True):
    """What is known of a GATT characteristic besides its layout."""

    name: str
    continuous: bool = False
    dense: bool = False


class Signal(Table, frozen=True, forbid_unknown_fields=True):
    """Which status flags keep a reading from judgement, and which only ask for a repeat."""

    never_judged: frozenset[str]
    ask_repeat: frozenset[str]
