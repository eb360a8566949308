"""Recorded data as CSV to frames: ``patient,measured_at,vital,value,unit[,device]`` (CONTRACT 9).

Consecutive rows of one (patient, device, measured_at) are one frame of gateway ``csv``. A bad row
is reported with the number of the line that it begins in (lines.py defines a row).

With a column map (columns.py) the columns have other names, and further ones are ignored. A wide
file has one column for each vital. Each of its lines gives as many rows as it has values, and an
empty value gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from rpm_stream.ingest.csv.columns import (
    AS_IT_STANDS,
    LONG,
    OPTIONAL,
    WHO_AND_WHEN,
    ColumnMap,
    Wide,
)
from rpm_stream.ingest.csv.lines import BadLines, BadRecord, CsvRecord, records
from rpm_stream.ingest.csv.times import RFC_3339, LocalClock, WrittenTime
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.records import Reason, Record
from rpm_stream.text import is_clean

COLUMNS = WHO_AND_WHEN + LONG
MOST_ROWS = 1000  # entries in a frame (CONTRACT 1)
MOST_NAME = 128  # characters in a patient or device (records.Name)
MOST_ROW = 1000  # characters; at worst six bytes each in JSON, of which a frame takes 256 KiB
# the same in a file with a column map, which may have many columns that are not read
MOST_LINE = 20_000
MOST_FRAME = 30_000  # characters in the rows of one frame, for the same reason


class CsvRow(Record, frozen=True, kw_only=True):
    """One data row with its line number and its length in characters.

    The header is line 1. ``measured_at`` is an RFC 3339 time. ``utc_offset`` is that of the file's
    time zone, if one was given.
    """

    line: int
    size: int
    patient: str
    device: str
    measured_at: str
    vital: str
    value: str
    unit: str
    utc_offset: str | None = None


class CsvFrame(Record, frozen=True, kw_only=True):
    """A frame as bytes of rpm.frames, its device, and the patient of its rows."""

    lines: tuple[int, ...]
    device: str
    patient: str
    value: bytes


class BadRow(BadLines, frozen=True, kw_only=True):
    """A row that is no measurement of a person at a time.

    ``at`` is its measured_at, if that can be read.
    """

    original: bytes
    device: str | None = None
    at: datetime | None = None


class Columns(Record, frozen=True, kw_only=True):
    """The places of the columns: patient, time, and then the others.

    ``device`` may be missing. ``wide`` has the vitals of the places from the third on, or is empty
    if those are vital, value and unit.
    """

    count: int
    places: tuple[int, ...]
    device: int | None
    wide: tuple[Wide, ...] = ()


def check_header(header: list[str], mapped: ColumnMap | None = None) -> Columns:
    """Return the columns, which may have any order.

    Raises DecodeError (bad_schema) naming what is wrong.
    """
    names = [name.strip() for name in header]
    if mapped is not None:
        return _mapped(names, mapped)
    missing = [name for name in COLUMNS if name not in names]
    strange = sorted(
        {name for name in names if name not in (*COLUMNS, OPTIONAL) or names.count(name) > 1}
    )
    if missing or strange:
        what = (
            f"lacks {', '.join(missing)}"
            if missing
            else f"has unknown or repeated columns ({len(strange)})"
        )
        raise DecodeError(
            "bad_schema", f"the header {what}; it should be {','.join(COLUMNS)}[,{OPTIONAL}]"
        )
    return _placed(names, AS_IT_STANDS)


def _mapped(names: list[str], mapped: ColumnMap) -> Columns:
    """Return the columns that the map names.

    The file may have more columns, and those may repeat.
    """
    needed = [*mapped.needed(), *([mapped.device()] if OPTIONAL in mapped.own else [])]
    if missing := [name for name in needed if name not in names]:
        raise DecodeError("bad_schema", f"the header lacks {', '.join(missing)} of the column map")
    if twice := sorted({name for name in needed if names.count(name) > 1}):
        raise DecodeError("bad_schema", f"the header repeats {', '.join(twice)}")
    return _placed(names, mapped)


def _placed(names: list[str], mapped: ColumnMap) -> Columns:
    device = mapped.device()
    return Columns(
        count=len(names),
        places=tuple(names.index(name) for name in mapped.needed()),
        device=names.index(device) if device in names else None,
        wide=mapped.wide,
    )


def rows(
    lines: Iterable[str], mapped: ColumnMap | None = None, clock: LocalClock = RFC_3339
) -> Iterator[CsvRow | BadRow]:
    """Yield the rows of a CSV file, whose ``lines`` each have their end.

    ``mapped`` names the columns, and ``clock`` reads times. Raises DecodeError for a wrong header.
    """
    found = records(lines, MOST_ROW if mapped is None else MOST_LINE)
    header = next(found, None)
    if isinstance(header, BadRecord):
        raise DecodeError("bad_schema", f"the header is no CSV: {header.detail}")
    columns = check_header(header.fields if header is not None else [""], mapped)
    for each in found:
        if isinstance(each, BadRecord):
            yield _bad(each.line, each.text, each.reason, each.detail)
        else:
            yield from _row(each, columns, clock)


def _bad(line: int, text: str, reason: Reason, detail: str) -> BadRow:
    return BadRow(
        line=line, reason=reason, detail=detail, original=text.encode(errors="surrogateescape")
    )


def _row(record: CsvRecord, columns: Columns, clock: LocalClock) -> Iterator[CsvRow | BadRow]:
    number = record.line
    fields = record.fields
    try:
        record.text.encode()
    except UnicodeEncodeError:
        yield _bad(number, record.text, "bad_schema", "not UTF-8")
        return
    if len(fields) != columns.count:
        yield _bad(
            number,
            record.text,
            "bad_schema",
            f"{len(fields)} columns, the header has {columns.count}",
        )
        return
    yield from _split(record, columns, clock)


def _split(record: CsvRecord, columns: Columns, clock: LocalClock) -> Iterator[CsvRow | BadRow]:
    """Yield the row of one record, or in a wide file one for each vital with a value.

    Patient and time are the same for all of them, so an error in these is reported once.
    """
    patient, written, *rest = (record.fields[place] for place in columns.places)
    device = (
        record.fields[columns.device] if columns.device is not None else ""
    ) or f"csv.{patient}"
    if columns.wide:
        values = [
            (each.vital, value.strip(" "), each.unit, len(patient) + len(device) + len(value))
            for each, value in zip(columns.wide, rest, strict=True)
            if value.strip(" ")
        ]
    else:
        vital, value, unit = rest
        values = [(vital, value, unit, len(record.text))]
    if not values:
        return
    when: WrittenTime | None = None
    why = _fault(patient, device)
    try:
        when = clock.read(written)
        why = why or _outside(when.at)
    except DecodeError as error:
        why = why or error.detail
    if why is not None or when is None:
        bad = _bad(record.line, record.text, "bad_schema", why or "")
        yield msgspec.structs.replace(bad, device=device[:MOST_NAME], at=when.at if when else None)
        return
    for vital, value, unit, size in values:
        yield CsvRow(
            line=record.line,
            size=size,
            patient=patient,
            device=device,
            measured_at=when.text,
            vital=vital,
            value=value,
            unit=unit,
            utc_offset=when.utc_offset,
        )


def _fault(patient: str, device: str) -> str | None:
    """Return why a row cannot be in a frame, or None.

    Values and units are judged later, with those of every other source.
    """
    if not patient:
        return "no patient"
    if len(patient) > MOST_NAME or len(device) > MOST_NAME:
        return f"patient or device has over {MOST_NAME} characters"
    if not (is_clean(patient) and is_clean(device)):
        return "patient or device has a control character"
    return None


def _outside(at: datetime) -> str | None:
    return None if 1970 <= at.year < 9000 else "measured_at lies outside 1970 to 8999"


def frames(found: Iterable[CsvRow | BadRow], first: int = 0) -> Iterator[CsvFrame | BadRow]:
    """Yield frames in the order of the rows, numbered from ``first``."""
    number = first
    for key, group in groupby(
        found, key=lambda row: _whose(row) if isinstance(row, CsvRow) else None
    ):
        if key is None:
            yield from (row for row in group if isinstance(row, BadRow))
            continue
        together: list[CsvRow] = []
        size = 0
        for row in group:
            assert isinstance(row, CsvRow)
            if together and (len(together) == MOST_ROWS or size + row.size > MOST_FRAME):
                yield _frame(together, number)
                together = []
                size = 0
                number = number + 1
            together.append(row)
            size += row.size
        yield _frame(together, number)
        number += 1


def _whose(row: CsvRow) -> tuple[str, str, str]:
    return row.patient, row.device, row.measured_at


def _frame(together: list[CsvRow], number: int) -> CsvFrame:
    first = together[0]
    body = {
        "v": 1,
        "frame": f"csv-{number}",
        "gateway": "csv",
        "device": first.device,
        "seq": number,
        "boot": "csv",
        "sent_at": first.measured_at,
        "utc_offset": first.utc_offset,
        "measurements": [
            {"at": first.measured_at, "vital": row.vital, "value": row.value, "unit": row.unit}
            for row in together
        ],
    }
    lines = tuple(row.line for row in together)
    return CsvFrame(
        lines=lines, device=first.device, patient=first.patient, value=msgspec.json.encode(body)
    )
