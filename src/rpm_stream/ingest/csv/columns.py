"""Map the columns of a CSV file: ``patient=pid,measured_at=time,heart_rate=hr:/min``.

A name on the left is a column of this service (patient, measured_at, vital, value, unit, device) or
a vital. With vitals the file is wide: it has one column for each vital, and the unit is the part
after the last colon. A column that the map does not name has the service's own name.
"""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Record
from rpm_stream.text import as_sent

WHO_AND_WHEN = ("patient", "measured_at")
LONG = ("vital", "value", "unit")
OPTIONAL = "device"
OWN = (*WHO_AND_WHEN, *LONG, OPTIONAL)


class Wide(Record, frozen=True, kw_only=True):
    """A column that holds one vital in one unit."""

    column: str
    vital: str
    unit: str


class ColumnMap(Record, frozen=True, kw_only=True):
    """A map from the service's columns to the file's.

    ``wide`` is set if vitals have columns of their own instead of vital, value and unit.
    """

    own: dict[str, str]
    wide: tuple[Wide, ...] = ()

    def needed(self) -> tuple[str, ...]:
        """Return the file's columns that must be there, in the service's order."""
        names = WHO_AND_WHEN if self.wide else WHO_AND_WHEN + LONG
        return tuple(self.own.get(name, name) for name in names) + tuple(
            each.column for each in self.wide
        )

    def device(self) -> str:
        """Return the file's column of the device, which may be missing unless the map names it."""
        return self.own.get(OPTIONAL, OPTIONAL)


AS_IT_STANDS = ColumnMap(own={})


def parse_columns(text: str, tables: Knowledge) -> ColumnMap:
    """Return the map that ``text`` describes.

    Raises DecodeError (bad_schema, unknown_vital, unknown_unit) naming what is wrong.

    >>> from rpm_stream.knowledge import shipped
    >>> parse_columns("patient=pid,heart_rate=hr:/min", shipped()).needed()
    ('pid', 'measured_at', 'hr')
    """
    own: dict[str, str] = {}
    wide: list[Wide] = []
    for word in text.split(","):
        name, equals, column = (part.strip() for part in word.partition("="))
        if not equals or not name or not column:
            raise DecodeError("bad_schema", f"{as_sent(word.strip())} is not NAME=COLUMN")
        if name in own or any(each.vital == name for each in wide):
            raise DecodeError("bad_schema", f"{name} is given twice")
        if name in OWN:
            own[name] = column
        else:
            wide.append(_wide(name, column, tables))
    if wide and (both := [name for name in LONG if name in own]):
        raise DecodeError(
            "bad_schema", f"{', '.join(both)} beside vitals with columns of their own: take one way"
        )
    return ColumnMap(own=own, wide=tuple(wide))


def _wide(vital: str, text: str, tables: Knowledge) -> Wide:
    vitals = tables.vitals
    if vital not in vitals:
        raise DecodeError(
            "unknown_vital", f"{as_sent(vital)} is neither a column ({', '.join(OWN)}) nor a vital"
        )
    column, colon, unit = text.rpartition(":")
    units = ", ".join(vitals[vital].units)
    if not colon or not column:
        raise DecodeError(
            "unknown_unit",
            f"{vital}={text}: the unit is missing (one of {units}), as in {vital}=COLUMN:UNIT",
        )
    spelling = tables.spellings.get(unit)
    unit = unit if spelling is None else spelling.unit
    if unit not in vitals[vital].units:
        raise DecodeError(
            "unknown_unit", f"{vital} is not measured in {as_sent(unit)}; it may be {units}"
        )
    return Wide(column=column, vital=vital, unit=unit)
