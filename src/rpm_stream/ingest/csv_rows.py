"""Recorded data as CSV -> frames: ``patient,measured_at,vital,value,unit[,device]`` (CONTRACT 9).

Consecutive rows of one (patient, device, measured_at) are one frame of gateway ``csv``. A row that is none is told
by its line number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.records import Record, Time

COLUMNS = ("patient", "measured_at", "vital", "value", "unit")
MOST_ROWS = 1000  # entries a frame


class Row(Record, frozen=True, kw_only=True):
    """One data row with its line number (the header is line 1)."""

    line: int
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
    """A row that is no measurement of anybody at any time."""

    line: int
    detail: str
    original: bytes


def check_header(header: list[str]) -> list[str]:
    """The columns. Raises DecodeError (bad_schema) naming what is missing."""
    columns = [name.strip() for name in header]
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise DecodeError("bad_schema", f"the header lacks {', '.join(missing)}; it should be {','.join(COLUMNS)}[,device]")
    return columns


def rows(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """The rows of a CSV file. Raises DecodeError for a wrong header."""
    reader = csv.reader(lines)
    try:
        columns = check_header(next(reader, []))
    except csv.Error as error:
        raise DecodeError("bad_schema", f"the header is no CSV: {error}") from None
    places = [columns.index(name) for name in COLUMNS]
    device_at = columns.index("device") if "device" in columns else None
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line=reader.line_num, detail=f"no CSV: {error}", original=b"")
            continue
        if not fields:
            continue
        if why := _fault(fields, columns, places):
            original = ",".join(fields).encode(errors="surrogateescape")
            yield BadRow(line=reader.line_num, detail=why, original=original)
            continue
        patient, measured_at, vital, value, unit = (fields[place] for place in places)
        device = (fields[device_at] if device_at is not None else "") or f"csv.{patient}"
        yield Row(
            line=reader.line_num, patient=patient, device=device, measured_at=measured_at, vital=vital, value=value,
            unit=unit,
        )  # fmt: skip


def _fault(fields: list[str], columns: list[str], places: list[int]) -> str | None:
    """What keeps a row from a frame; values and units are judged later, with every other source's."""
    if len(fields) != len(columns):
        return f"{len(fields)} columns, the header has {len(columns)}"
    if not fields[places[0]]:
        return "no patient"
    try:
        msgspec.convert(fields[places[1]], Time)
    except msgspec.ValidationError:
        return "measured_at is no RFC 3339 time with a zone"
    return None


def frames(found: Iterable[Row | BadRow]) -> Iterator[CsvFrame | BadRow]:
    """Frames in the order of the rows."""
    count = 0
    for key, group in groupby(found, key=lambda row: (row.patient, row.device, row.measured_at) if isinstance(row, Row) else None):
        if key is None:
            yield from (row for row in group if isinstance(row, BadRow))
            continue
        together = [row for row in group if isinstance(row, Row)]
        for start in range(0, len(together), MOST_ROWS):
            yield _frame(together[start : start + MOST_ROWS], count)
            count += 1


def _frame(together: list[Row], count: int) -> CsvFrame:
    first = together[0]
    body = {
        "v": 1, "frame": f"csv-{count}", "gateway": "csv", "device": first.device, "seq": count, "boot": "csv",
        "sent_at": first.measured_at,
        "measurements": [
            {"at": first.measured_at, "vital": row.vital, "value": row.value, "unit": row.unit} for row in together
        ],
    }  # fmt: skip
    return CsvFrame(lines=tuple(row.line for row in together), device=first.device, patient=first.patient, value=msgspec.json.encode(body))
