"""Reads the files of an evaluation: readings, onsets, and who the people are.

A reading file has the columns of ``rpm-stream replay``. Rows are kept as bytes by patient, because
a pool of processes takes them in that form.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import IO, cast

import msgspec

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.evaluation.stays import StayLabel, Traits, hour_of
from rpm_stream.ingest.csv.lines import lines_of
from rpm_stream.ingest.csv.rows import BadRow, CsvFrame, CsvRow, frames, rows
from rpm_stream.ingest.errors import DecodeError

EVENT_COLUMNS = ("patient", "monitored_hours", "onset_at")
PEOPLE_COLUMNS = ("patient", "age", "sex")
MOST_HOURS = 24 * 366  # of one stay; more is a mistake in the file

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[CsvRow])
RowsByPatient = dict[str, list[bytes]]


def read_readings(paths: Sequence[Path], patients: Collection[str]) -> RowsByPatient:
    """Return the packed rows of each of ``patients`` that the files name.

    Raises UsageError for a wrong header, a file that cannot be read, and a row that is no reading.
    """
    found: RowsByPatient = {}
    for path in paths:
        with _text(path) as text:
            try:
                read = _checked(rows(lines_of(text)), path)
                for patient, group in groupby(read, key=lambda row: row.patient):
                    if patient in patients:
                        found.setdefault(patient, []).append(_encoder.encode(list(group)))
            except DecodeError as error:
                raise UsageError(f"{path}: {error.detail}") from None
    return found


def frames_of(packed: Iterable[bytes]) -> Iterator[CsvFrame | BadRow]:
    """Yield the frames of one patient's rows of all files, in the order of their times."""
    together = [row for each in packed for row in _decoder.decode(each)]
    together.sort(key=lambda row: datetime.fromisoformat(row.measured_at))
    yield from frames(together)


def read_events(path: Path) -> list[StayLabel]:
    """Return the stays, in the order of their patients' ids. Raises UsageError."""
    found: dict[str, StayLabel] = {}
    for line, row in _table(path, EVENT_COLUMNS):
        try:
            hours = int(row["monitored_hours"])
            onset = hour_of(datetime.fromisoformat(row["onset_at"])) if row["onset_at"] else None
        except (ValueError, TypeError):
            raise UsageError(
                f"{path}: line {line} lacks whole hours, or a time with its zone"
            ) from None
        if not 0 < hours <= MOST_HOURS or (onset is not None and onset < 0):
            raise UsageError(
                f"{path}: line {line}: monitored_hours must be 1 to {MOST_HOURS}, and an onset not"
                " before hour 0"
            )
        if row["patient"] in found:
            raise UsageError(f"{path}: line {line} repeats a patient")
        found[row["patient"]] = StayLabel(patient=row["patient"], hours=hours, onset=onset)
    if not found:
        raise UsageError(f"{path}: no stays")
    return [found[patient] for patient in sorted(found)]


def read_people(path: Path) -> dict[str, Traits]:
    """Return age and sex of each patient. Raises UsageError."""
    found: dict[str, Traits] = {}
    for line, row in _table(path, PEOPLE_COLUMNS):
        age = row["age"]
        if not (age.isdecimal() and age.isascii() and len(age) <= 3 and int(age) <= 130):
            raise UsageError(f"{path}: line {line}: the age is no number of years up to 130")
        if row["patient"] in found:
            raise UsageError(f"{path}: line {line} repeats a patient")
        found[row["patient"]] = Traits(age=int(age), sex=row["sex"])
    return found


def _checked(read: Iterable[CsvRow | BadRow], path: Path) -> Iterator[CsvRow]:
    for row in read:
        if isinstance(row, BadRow):
            raise UsageError(f"{path}: line {row.line}: {row.detail}")
        yield row


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a small table with its line number."""
    with _text(path) as text:
        reader = csv.DictReader(text, strict=True)
        try:
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise UsageError(f"{path}: the header lacks {', '.join(missing)}")
            for row in reader:
                if None in row or None in row.values() or not row["patient"]:
                    raise UsageError(f"{path}: line {reader.line_num} has not one value a column")
                yield reader.line_num, row
        except csv.Error as error:
            raise UsageError(f"{path}: no CSV: {error}") from None


@contextmanager
def _text(path: Path) -> Iterator[IO[str]]:
    """Open a file as text, also a compressed one, and turn its errors into one clear line."""
    plain = path.name.removesuffix(".gz")
    if not plain.endswith(".csv"):
        raise UsageError(f"{path}: not a .csv file (also .gz)")
    try:
        with path.open("rb") as raw:
            stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            yield io.TextIOWrapper(cast(IO[bytes], stream), encoding="utf-8-sig", newline="")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: not a readable gzip file ({error})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
