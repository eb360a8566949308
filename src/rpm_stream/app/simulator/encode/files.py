"""Reads the files of the gateway's commands: CSV, and frames as JSON Lines, each also as ``.gz``.

``-`` is stdin. An error that a user can correct (a missing file, a wrong header, a bad line) is one
``UsageError`` with file and line. It never repeats a value or a name from the file.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
from rich.progress import Progress, TaskProgressColumn, TimeRemainingColumn

from rpm_stream.app.gateway.wire import MAX_NAME
from rpm_stream.app.runtime.bars import bar_on_stderr
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.simulator.encode.csv import FileRow
from rpm_stream.ingest.csv import rows as csv_file
from rpm_stream.ingest.csv.columns import ColumnMap
from rpm_stream.ingest.csv.lines import lines_of
from rpm_stream.ingest.csv.times import RFC_3339, LocalClock
from rpm_stream.ingest.fhir.codes import Codes, codes_of
from rpm_stream.ingest.gatt.decoders import DecodeError
from rpm_stream.ingest.measurements import decode_measurement
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import UNREADABLE, Frame, Measurement

# the digits of a FHIR value are part of it, so they are kept
_frames = msgspec.json.Decoder(Frame, float_hook=Decimal)


def progress_bar() -> Progress:
    """Return a progress bar with the time that remains. It disappears at the end."""
    return bar_on_stderr(TaskProgressColumn(), TimeRemainingColumn(), transient=True)


@contextmanager
def opened(path: str, progress: Progress) -> Iterator[BinaryIO]:
    """Open a file as plain bytes, unzipped if its name ends with ``.gz``; ``-`` is stdin.

    Reading moves ``progress`` on.
    """
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            total = Path(path).stat().st_size
            tracked = progress.wrap_file(file, total=total, description=Path(path).name)
            if not path.endswith(".gz"):
                yield tracked
                return
            with gzip.GzipFile(fileobj=tracked) as unzipped:
                yield cast(BinaryIO, unzipped)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{path}: not a complete gzip file") from error


class Written(NamedTuple):
    """The format of CSV files, and the tables that define their vitals and units."""

    tables: Knowledge
    columns: ColumnMap | None = None
    clock: LocalClock = RFC_3339


def csv_rows(path: str, progress: Progress, written: Written) -> Iterator[FileRow]:
    """Yield the rows of a file in order.

    The columns are ``patient,measured_at,vital,value,unit[,device]``, or those of ``written``.
    Raises ``UsageError`` with the number of a bad line.
    """
    codes = codes_of(written.tables)
    with opened(path, progress) as file:
        try:
            lines = lines_of(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
            for row in csv_file.rows(lines, written.columns, written.clock):
                if isinstance(row, csv_file.BadRow):
                    raise UsageError(f"{path}, line {row.line}: {row.detail}")
                yield _row(row, path, codes)
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8") from error
        except DecodeError as error:
            raise UsageError(f"{path}: {error.detail}") from error


def _row(row: csv_file.CsvRow, path: str, codes: Codes) -> FileRow:
    """Return a row that fits into a frame, with the UCUM code of its unit.

    Raises ``UsageError`` for a row that the service would refuse as ``bad_schema``.
    """
    if len(row.patient) > MAX_NAME or len(row.device) > MAX_NAME:
        raise UsageError(
            f"{path}, line {row.line}: patient and device have at most {MAX_NAME} characters"
        )
    fields = {"at": row.measured_at, "vital": row.vital, "value": row.value, "unit": row.unit}
    try:
        measurement = msgspec.convert(fields, Measurement)
        (value,) = decode_measurement(measurement, codes).readings
        at = measurement.at.astimezone(UTC)
        absent = value.value is None
        return FileRow(
            row.patient, at, row.vital, row.value, value.unit, row.device, row.line, absent
        )
    except (msgspec.ValidationError, OverflowError) as error:
        raise UsageError(f"{path}, line {row.line}: {error}") from error
    except DecodeError as error:
        raise UsageError(f"{path}, line {row.line}: {error.detail}") from error


def frame_lines(path: str, progress: Progress) -> Iterator[Frame]:
    """Yield the frames of a JSON Lines file. Raises ``UsageError`` that names a bad line."""
    with opened(path, progress) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield _frames.decode(line)
                except UNREADABLE as error:
                    # the text of a UnicodeDecodeError holds the byte
                    fault = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
                    raise UsageError(f"{path}, line {number}: not a frame: {fault}") from error
