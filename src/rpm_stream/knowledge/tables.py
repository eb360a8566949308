"""Rows of the tables that say what a value is: vitals, units, characteristics."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.records import Absent

Publish = Literal["single", "summary", "none"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the table rows: a misspelt key is an error, not a silent default.

    Where there are numbers, a source.
    """

    source: str = ""


class Bounds(Table, frozen=True):
    """Values outside are refused or queried; in the vital's first unit.

    ``between``: so are values strictly between these two (a share of one where a percentage was
    asked for).
    """

    below: Decimal | None = None
    at_or_below: Decimal | None = None
    above: Decimal | None = None
    between: tuple[Decimal, Decimal] | None = None

    def excludes(self, value: Decimal) -> bool:
        """Whether ``value`` lies outside."""
        return (
            (self.above is not None and value > self.above)
            or (self.below is not None and value < self.below)
            or (self.at_or_below is not None and value <= self.at_or_below)
            or (self.between is not None and self.between[0] < value < self.between[1])
        )


class Unit(Table, frozen=True):
    """(value - subtract) * multiply / divide gives the value in unit ``to``."""

    to: str
    subtract: Decimal = Decimal(0)
    multiply: Decimal = Decimal(1)
    divide: Decimal = Decimal(1)


class Spelling(Table, frozen=True):
    """Another way to write ``unit``: the same unit, so that no digit changes."""

    unit: str


class AppPlaceholder(Table, frozen=True):
    """A text that stands for "no value" in what an app sends: ``vital`` (or ``any``) has none when
    it reads ``text``, for the reason ``absent``. A number stands for every way to write it (999 for
    999.0).
    """

    vital: str
    text: str
    absent: Absent


class Placeholders(Table, frozen=True):
    """A clinic's placeholders."""

    placeholder: tuple[AppPlaceholder, ...] = ()


class Vital(Table, frozen=True):
    """One vital: codes (LOINC pairs of code and display, MDC code and term), accepted units,
    bounds, publishing.

    ``loinc_also``: codes that are read as this vital and never written; ``loinc_also_by_unit``:
    those that imply a unit. ``words``: what the numbers of a coded vital mean, which has no other
    values. ``reading``: what a reading is called where ``plain`` alone would read as a sign of life
    or of death. ``usual_every``: minutes between two values where nobody has said and none is
    known. ``by_user``: anybody in the house may have stood on the device, so a value of an unknown
    user is not judged.
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
    loinc_also_by_unit: dict[str, tuple[str, ...]] = {}
    by_user: bool = False
    words: dict[str, str] = {}
    reading: str = ""
    usual_every: int = 720

    def word(self, value: str | None) -> str | None:
        """What a value of a coded vital means; None for a number that is a number, and for what is
        none of its codes.

        >>> from rpm_stream.knowledge import shipped
        >>> [shipped().vitals["consciousness"].word(value) for value in ("1", "1.0", "0.5")]
        ['new confusion', 'new confusion', None]
        """
        if not self.words or value is None:
            return None
        number = Decimal(value)
        return self.words.get(str(int(number))) if number == number.to_integral_value() else None

    def is_coded(self, value: str) -> bool:
        """Whether ``value`` is one of the vital's codes; true of every value of a vital that has
        none.
        """
        return not self.words or self.word(value) is not None

    @property
    def unit(self) -> str:
        """The unit that the table's bounds are written in."""
        return self.units[0]


class Characteristic(Table, frozen=True):
    """What is known of a GATT characteristic besides its layout."""

    name: str
    continuous: bool = False
    dense: bool = False
