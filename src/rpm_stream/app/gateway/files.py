"""The files that the gateway's commands read: CSV, and frames and registry as JSON Lines; each also ``.gz``.

``-`` is stdin. What a user can mend (a missing file, a wrong header, a bad line) is one ``UsageError`` with file and
line; it never repeats a value or a name out of the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from rpm_stream.app.errors import UsageError
from rpm_stream.app.gateway.encode_csv import Row
from rpm_stream.app.gateway.wire import RegistryEntry, decode_registry
from rpm_stream.records import Frame, Measurement

HEADER = ["patient", "measured_at", "vital", "value", "unit"]

_frames = msgspec.json.Decoder(Frame)


def progress_bar() -> Progress:
    """A progress bar on stderr (stdout is data); silent where stderr is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def opened(path: str, progress: Progress) -> Iterator[BinaryIO]:
    """The plain bytes of a file, unzipped where it ends in ``.gz``; ``-`` is stdin. Moves ``progress`` on."""
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
        raise UsageError(f"{path}: no whole gzip file") from error


def csv_rows(path: str, progress: Progress) -> Iterator[Row]:
    """The rows of ``patient,measured_at,vital,value,unit[,device]`` in order. ``UsageError`` names the bad line."""
    with opened(path, progress) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
        try:
            header = next(reader, [])
            if header not in (HEADER, [*HEADER, "device"]):
                raise UsageError(f"{path}: the header must be {','.join(HEADER)}[,device]")
            for fields in reader:
                if fields:
                    yield _row(fields, len(header), reader.line_num)
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8 after line {reader.line_num}") from error
        except (ValueError, csv.Error) as error:
            raise UsageError(f"{path}, line {reader.line_num}: {error}") from error


def _row(fields: list[str], width: int, line: int) -> Row:
    if len(fields) != width:
        raise ValueError(f"{len(fields)} fields instead of {width}")
    patient, measured_at, vital, value, unit = fields[:5]
    device = fields[5] if width == 6 and fields[5] else f"csv.{patient}"
    at = _time(measured_at)
    if not 1 <= len(patient) <= 128 or len(device) > 128:
        raise ValueError("patient and device have 1 to 128 characters (without a device column, the patient 124)")
    try:
        msgspec.convert({"at": at, "vital": vital, "value": value, "unit": unit}, Measurement)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    return Row(patient, at, vital, value, unit, device, line)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("measured_at must be RFC 3339 with a zone") from None
    raise ValueError("measured_at must be RFC 3339 with a zone")


def frame_lines(path: str, progress: Progress) -> Iterator[Frame]:
    """The frames of a JSON Lines file in order. ``UsageError`` names the bad line."""
    with opened(path, progress) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield _frames.decode(line)
                except msgspec.DecodeError as error:
                    raise UsageError(f"{path}, line {number}: no frame: {error}") from error


def registry_lines(path: str, progress: Progress) -> Iterator[RegistryEntry]:
    """The entries of a registry file in order. ``UsageError`` names the bad line."""
    with opened(path, progress) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield decode_registry(line)
                except msgspec.DecodeError as error:
                    raise UsageError(f"{path}, line {number}: no registry entry: {error}") from error
