"""Rows of the tables that define values, and the rows that several tables have.

The values are defined by vitals, units and characteristics.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.records.terms import Absent, Priority

Publish = Literal["single", "summary", "none"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the table rows, where a misspelt key is an error and not a silent default.

    ``source`` is that of its numbers.
    """

    source: str = ""


class Bounds(Table, frozen=True):
    """Bounds in the vital's first unit, outside of which values are refused or queried.

    ``between`` also excludes values strictly between these two (a fraction of one where a
    percentage was asked for).
    """

    below: Decimal | None = None
    at_or_below: Decimal | None = None
    above: Decimal | None = None
    between: tuple[Decimal, Decimal] | None = None

    def excludes(self, value: Decimal) -> bool:
        """Return whether ``value`` lies outside."""
        return (
            (self.above is not None and value > self.above)
            or (self.below is not None and value < self.below)
            or (self.at_or_below is not None and value <= self.at_or_below)
            or (self.between is not None and self.between[0] < value < self.between[1])
        )


class UnitTable(Table, frozen=True):
    """A unit, where (value - subtract) * multiply / divide gives the value in unit ``to``."""

    to: str
    subtract: Decimal = Decimal(0)
    multiply: Decimal = Decimal(1)
    divide: Decimal = Decimal(1)


class Spelling(Table, frozen=True):
    """Another spelling of ``unit``, which is the same unit, so that no digit changes."""

    unit: str


class AppPlaceholder(Table, frozen=True):
    """A text with which an app means "no value".

    ``vital`` (or ``any``) has no value if it reads ``text``, and ``absent`` is the reason. A number
    covers every spelling of it (999 for 999.0).
    """

    vital: str
    text: str
    absent: Absent


class Placeholders(Table, frozen=True):
    """A clinic's placeholders."""

    placeholder: tuple[AppPlaceholder, ...] = ()


class Vital(Table, frozen=True):
    """One vital: codes, accepted units, bounds and publishing.

    - ``loinc`` has pairs of code and display, ``mdc`` a code and its term.
    - ``loinc_also`` has codes that are read as this vital and never written. ``loinc_also_by_unit``
      has those that imply a unit.
    - ``words`` has the meanings of a coded vital's numbers, which are its only values.
    - ``reading`` is the name of a reading if ``plain`` alone would read as a sign of life or of
      death.
    - ``usual_every`` is the number of minutes between two values if none is set and none is known.
    - ``by_user`` means that another person of the household may have used the device, so a value of
      an unknown user is not judged.
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
        """Return the meaning of a value of a coded vital.

        Returns None for a vital without codes, and for a value that is none of its codes.

        >>> from rpm_stream.knowledge import shipped
        >>> [shipped().vitals["consciousness"].word(value) for value in ("1", "1.0", "0.5")]
        ['new confusion', 'new confusion', None]
        """
        if not self.words or value is None:
            return None
        number = Decimal(value)
        return self.words.get(str(int(number))) if number == number.to_integral_value() else None

    def is_coded(self, value: str) -> bool:
        """Return whether ``value`` is one of the vital's codes.

        It is true for every value of a vital without codes.
        """
        return not self.words or self.word(value) is not None

    @property
    def unit(self) -> str:
        """The unit of the table's bounds."""
        return self.units[0]


class Characteristic(Table, frozen=True):
    """Facts about a GATT characteristic besides its layout."""

    name: str
    continuous: bool = False
    dense: bool = False


class Recover(Table, frozen=True):
    """The values from which on a value that was in a band, below or above, counts as back."""

    low: Decimal | None = None
    high: Decimal | None = None


class Band(Table, frozen=True):
    """The priority of the first value, and of a second one in a row."""

    first: Priority
    repeated: Priority | None = None
