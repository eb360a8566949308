"""Recorded data as CSV -> frames: ``patient,measured_at,vital,value,unit[,device]`` (CONTRACT 9).

Consecutive rows of one (patient, device, measured_at) are one frame of gateway ``csv``. A row that is none is told
by its line number. A line is a row: a stray quotation mark spoils its own line and no other.

With a column map (``csv_columns``) the columns have other names, further ones are let be, and a wide file has one
column a vital: each of its lines gives as many rows as it has values, none for an empty one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from rpm_stream.ingest.csv_columns import AS_IT_STANDS, LONG, OPTIONAL, WHO_AND_WHEN, ColumnMap, Wide
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.records import Reason, Record, Time
from rpm_stream.words import is_clean

COLUMNS = WHO_AND_WHEN + LONG
MOST_ROWS = 1000  # entries a frame (CONTRACT 1)
MOST_NAME = 128  # characters of a patient or device (records.Name)
MOST_ROW = 1000  # characters; six octets each at worst in JSON, of which a frame takes 256 KiB
MOST_LINE = 20_000  # of a file with a column map, which may have many columns that are not read
MOST_FRAME = 30_000  # characters of the rows of one frame, for the same reason


class Row(Record, frozen=True, kw_only=True):
    """One data row with its line number (the header is line 1) and its length in characters."""

    line: int
    size: int
    patient: str
    device: str
    measured_at: str
    vital: str
    value: str
    unit: str


class CsvFrame(Record, frozen=True, kw_only=True):
    """A frame as bytes of rpm.frames, its device, and whose rows it holds."""

    lines: tuple[int, ...]
    device: str
    patient: str
    value: bytes


class BadRow(Record, frozen=True, kw_only=True):
    """A row that is no measurement of anybody at any time; ``at`` is its measured_at where that can be read."""

    line: int
    reason: Reason
    detail: str
    original: bytes
    device: str | None = None
    at: datetime | None = None


class Columns(Record, frozen=True, kw_only=True):
    """Where each column stands: patient, time, and what follows; ``device`` may be missing. ``wide``: the vitals of
    the places from the third on; empty where those are vital, value and unit. ``most``: characters of a line.
    """

    count: int
    places: tuple[int, ...]
    device: int | None
    wide: tuple[Wide, ...] = ()
    most: int = MOST_ROW


def check_header(header: str, mapped: ColumnMap | None = None) -> Columns:
    """The columns, in whatever order. Raises DecodeError (bad_schema) naming what is wrong."""
    try:
        names = [name.strip() for name in _fields(header)]
    except csv.Error as error:
        raise DecodeError("bad_schema", f"the header is no CSV: {error}") from None
    if mapped is not None:
        return _mapped(names, mapped)
    missing = [name for name in COLUMNS if name not in names]
    strange = sorted({name for name in names if name not in (*COLUMNS, OPTIONAL) or names.count(name) > 1})
    if missing or strange:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown or repeated columns ({len(strange)})"
        raise DecodeError("bad_schema", f"the header {what}; it should be {','.join(COLUMNS)}[,{OPTIONAL}]")
    return _placed(names, AS_IT_STANDS)


def _mapped(names: list[str], mapped: ColumnMap) -> Columns:
    """The columns that the map names; the file may have more, and those may even repeat."""
    needed = [*mapped.needed(), *([mapped.device()] if OPTIONAL in mapped.own else [])]
    if missing := [name for name in needed if name not in names]:
        raise DecodeError("bad_schema", f"the header lacks {', '.join(missing)} of the column map")
    if twice := sorted({name for name in needed if names.count(name) > 1}):
        raise DecodeError("bad_schema", f"the header repeats {', '.join(twice)}")
    return msgspec.structs.replace(_placed(names, mapped), most=MOST_LINE)


def _placed(names: list[str], mapped: ColumnMap) -> Columns:
    device = mapped.device()
    return Columns(
        count=len(names),
        places=tuple(names.index(name) for name in mapped.needed()),
        device=names.index(device) if device in names else None,
        wide=mapped.wide,
    )


def _fields(line: str) -> list[str]:
    """The fields of one line. Raises csv.Error."""
    if '"' not in line:
        return line.split(",")
    return next(csv.reader((line,), strict=True))


def rows(lines: Iterable[str], mapped: ColumnMap | None = None) -> Iterator[Row | BadRow]:
    """The rows of a CSV file, its columns named as ``mapped`` says. Raises DecodeError for a wrong header."""
    numbered = enumerate(lines, start=1)
    _, header = next(numbered, (1, ""))
    columns = check_header(header.rstrip("\r\n"), mapped)
    for number, line in numbered:
        if text := line.rstrip("\r\n"):
            yield from _line(number, text, columns)


def _line(number: int, line: str, columns: Columns) -> Iterator[Row | BadRow]:
    """The rows of one line."""
    original = line.encode(errors="surrogateescape")
    if len(line) > columns.most:
        yield BadRow(line=number, reason="too_large", detail=f"over {columns.most} characters", original=original)
        return
    try:
        fields = _fields(line)
        line.encode()
    except csv.Error as error:
        yield BadRow(line=number, reason="bad_schema", detail=f"no CSV: {error}", original=original)
        return
    except UnicodeEncodeError:
        yield BadRow(line=number, reason="bad_schema", detail="not UTF-8", original=original)
        return
    if len(fields) != columns.count:
        detail = f"{len(fields)} columns, the header has {columns.count}"
        yield BadRow(line=number, reason="bad_schema", detail=detail, original=original)
        return
    for row in _split(number, line, fields, columns):
        if why := _fault(row):
            yield BadRow(
                line=number, reason="bad_schema", detail=why, original=original, device=row.device[:MOST_NAME],
                at=_time(row.measured_at),
            )  # fmt: skip
            return  # whose and when is the same for all of the line
        yield row


def _split(number: int, line: str, fields: list[str], columns: Columns) -> Iterator[Row]:
    """The row of one line; of a wide file one for each vital that has a value there."""
    patient, measured_at, *rest = (fields[place] for place in columns.places)
    device = (fields[columns.device] if columns.device is not None else "") or f"csv.{patient}"
    if columns.wide:
        said = [
            (each.vital, value.strip(), each.unit, len(patient) + len(device) + len(value))
            for each, value in zip(columns.wide, rest, strict=True)
            if value.strip()
        ]
    else:
        vital, value, unit = rest
        said = [(vital, value, unit, len(line))]
    for vital, value, unit, size in said:
        yield Row(
            line=number, size=size, patient=patient, device=device, measured_at=measured_at, vital=vital, value=value,
            unit=unit,
        )  # fmt: skip


def _fault(row: Row) -> str | None:
    """What keeps a row from a frame; values and units are judged later, with every other source's."""
    if not row.patient:
        return "no patient"
    if len(row.patient) > MOST_NAME or len(row.device) > MOST_NAME:
        return f"patient or device has over {MOST_NAME} characters"
    if not (is_clean(row.patient) and is_clean(row.device)):
        return "patient or device has a control character"
    at = _time(row.measured_at)
    if at is None:
        return "measured_at is no RFC 3339 time with a zone"
    if not 1970 <= at.year < 9000:
        return "measured_at lies outside 1970 to 8999"
    return None


def _time(text: str) -> datetime | None:
    try:
        return msgspec.convert(text, Time)
    except msgspec.ValidationError:
        return None


def frames(found: Iterable[Row | BadRow], first: int = 0) -> Iterator[CsvFrame | BadRow]:
    """Frames in the order of the rows, numbered from ``first``."""
    number = first
    for key, group in groupby(found, key=lambda row: _whose(row) if isinstance(row, Row) else None):
        if key is None:
            yield from (row for row in group if isinstance(row, BadRow))
            continue
        together: list[Row] = []
        size = 0
        for row in group:
            assert isinstance(row, Row)
            if together and (len(together) == MOST_ROWS or size + row.size > MOST_FRAME):
                yield _frame(together, number)
                together, size, number = [], 0, number + 1
            together.append(row)
            size += row.size
        yield _frame(together, number)
        number += 1


def _whose(row: Row) -> tuple[str, str, str]:
    return row.patient, row.device, row.measured_at


def _frame(together: list[Row], number: int) -> CsvFrame:
    first = together[0]
    body = {
        "v": 1, "frame": f"csv-{number}", "gateway": "csv", "device": first.device, "seq": number, "boot": "csv",
        "sent_at": first.measured_at,
        "measurements": [
            {"at": first.measured_at, "vital": row.vital, "value": row.value, "unit": row.unit} for row in together
        ],
    }  # fmt: skip
    lines = tuple(row.line for row in together)
    return CsvFrame(lines=lines, device=first.device, patient=first.patient, value=msgspec.json.encode(body))
