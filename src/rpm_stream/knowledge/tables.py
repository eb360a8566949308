"""Rows of the tables that say what a value is: vitals, units, characteristics."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Publish = Literal["single", "summary", "none"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the table rows: a misspelt key is an error, not a silent default. Where there are numbers, a source."""

    source: str = ""


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

    ``loinc_also``: codes that are read as this vital and never written. ``words``: what the numbers of a coded vital
    mean. ``reading``: what a reading is called where ``plain`` alone would read as a sign of life or of death.
    ``usual_every``: minutes between two values where nobody has said and none is known. ``by_user``: anybody in the
    house may have stood on the device, so a value of an unknown user is not judged.
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
    by_user: bool = False
    words: dict[str, str] = {}
    reading: str = ""
    usual_every: int = 720

    def word(self, value: str | None) -> str | None:
        """What a value of a coded vital means; None for a number that is a number."""
        return self.words.get(value.partition(".")[0]) if self.words and value is not None else None

    @property
    def unit(self) -> str:
        """The unit that the table's bounds are written in."""
        return self.units[0]


class Characteristic(Table, frozen=True, forbid_unknown_fields=True):
    """What is known of a GATT characteristic besides its layout."""

    name: str
    continuous: bool = False
    dense: bool = False
