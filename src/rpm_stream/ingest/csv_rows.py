"""Recorded data as CSV -> frames: ``patient,measured_at,vital,value,unit[,device]`` (CONTRACT 9).

Consecutive rows of one (patient, device, measured_at) are one frame of gateway ``csv``. A row that is none is told
by its line number. A line is a row: a stray quotation mark spoils its own line and no other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.records import Reason, Record, Time

COLUMNS = ("patient", "measured_at", "vital", "value", "unit")
OPTIONAL = "device"
MOST_ROWS = 1000  # entries a frame (CONTRACT 1)
MOST_NAME = 128  # characters of a patient or device (records.Name)
MOST_ROW = 1000  # characters; six octets each at worst in JSON, of which a frame takes 256 KiB
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
    """Where each column stands; ``device`` may be missing."""

    count: int
    places: tuple[int, ...]
    device: int | None


def check_header(header: str) -> Columns:
    """The columns, in whatever order. Raises DecodeError (bad_schema) naming what is wrong."""
    try:
        names = [name.strip() for name in _fields(header)]
    except csv.Error as error:
        raise DecodeError("bad_schema", f"the header is no CSV: {error}") from None
    missing = [name for name in COLUMNS if name not in names]
    strange = sorted({name for name in names if name not in (*COLUMNS, OPTIONAL) or names.count(name) > 1})
    if missing or strange:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown or repeated columns ({len(strange)})"
        raise DecodeError("bad_schema", f"the header {what}; it should be {','.join(COLUMNS)}[,{OPTIONAL}]")
    places = tuple(names.index(name) for name in COLUMNS)
    return Columns(count=len(names), places=places, device=names.index(OPTIONAL) if OPTIONAL in names else None)


def _fields(line: str) -> list[str]:
    """The fields of one line. Raises csv.Error."""
    if '"' not in line:
        return line.split(",")
    return next(csv.reader((line,), strict=True))


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of a CSV file. Raises DecodeError for a wrong header."""
    numbered = enumerate(lines, start=1)
    _, header = next(numbered, (1, ""))
    columns = check_header(header.rstrip("\r\n"))
    for number, line in numbered:
        if text := line.rstrip("\r\n"):
            yield _row(number, text, columns)


def _row(number: int, line: str, columns: Columns) -> Row | BadRow:
    original = line.encode(errors="surrogateescape")
    if len(line) > MOST_ROW:
        return BadRow(line=number, reason="too_large", detail=f"over {MOST_ROW} characters", original=original)
    try:
        fields = _fields(line)
        line.encode()
    except csv.Error as error:
        return BadRow(line=number, reason="bad_schema", detail=f"no CSV: {error}", original=original)
    except UnicodeEncodeError:
        return BadRow(line=number, reason="bad_schema", detail="not UTF-8", original=original)
    if len(fields) != columns.count:
        detail = f"{len(fields)} columns, the header has {columns.count}"
        return BadRow(line=number, reason="bad_schema", detail=detail, original=original)
    patient, measured_at, vital, value, unit = (fields[place] for place in columns.places)
    device = (fields[columns.device] if columns.device is not None else "") or f"csv.{patient}"
    row = Row(
        line=number, size=len(line), patient=patient, device=device, measured_at=measured_at, vital=vital,
        value=value, unit=unit,
    )  # fmt: skip
    if why := _fault(row):
        return BadRow(
            line=number, reason="bad_schema", detail=why, original=original, device=device[:MOST_NAME],
            at=_time(measured_at),
        )  # fmt: skip
    return row


def _fault(row: Row) -> str | None:
    """What keeps a row from a frame; values and units are judged later, with every other source's."""
    if not row.patient:
        return "no patient"
    if len(row.patient) > MOST_NAME or len(row.device) > MOST_NAME:
        return f"patient or device has over {MOST_NAME} characters"
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
