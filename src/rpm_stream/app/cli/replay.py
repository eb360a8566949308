"""``rpm-stream replay``: recorded data through the whole pipeline, without Kafka."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NamedTuple, cast

import structlog
import typer

from rpm_stream.app.cli import replay_topics as topics
from rpm_stream.app.cli.columns import Columns, TimeForm, Zone, column_map, local_time
from rpm_stream.app.cli.options import Bootstrap, OwnTables
from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

log = structlog.get_logger()

if TYPE_CHECKING:
    from rpm_stream.ingest.csv.columns import ColumnMap
    from rpm_stream.ingest.csv.times import LocalClock
    from rpm_stream.knowledge import Knowledge
    from rpm_stream.pipeline.replay import LineType, Replay, ReplayLine


def replay(
    files: Annotated[
        list[str] | None, typer.Argument(help=".csv or .jsonl, each also .gz; - or none: stdin.")
    ] = None,
    emit: Annotated[
        str,
        typer.Option(
            help="Comma-separated: readings, scores, alerts, observations, rejects; or all."
        ),
    ] = "alerts,rejects",
    registry: Annotated[
        Path | None, typer.Option(help="Messages of rpm.registry, one a line.")
    ] = None,
    knowledge: OwnTables = None,
    until: Annotated[
        str | None, typer.Option(help="Let all clocks tick to this time (RFC 3339) at the end.")
    ] = None,
    columns: Columns = None,
    zone: Zone = None,
    time_form: TimeForm = None,
    kafka: topics.FromKafka = False,
    since: topics.Since = None,
    stage: topics.Stage = "ingest",
    warm_up: topics.WarmUp = "24h",
    compare: topics.Compare = False,
    publish: topics.Publish = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Replay recorded data through the pipeline. The same input gives the same bytes.

    Example: rpm-stream replay ward.jsonl --registry registry.jsonl --emit alerts

    Example: rpm-stream replay wide.csv --columns
    patient=pid,measured_at=time,heart_rate=hr:/min,weight=kilos:kg

    Example: rpm-stream replay diary.csv --zone Europe/Berlin --time-form 'dd.mm.yyyy hh:mm'

    Example: rpm-stream replay --from-kafka --from 2026-01-31T00:00:00Z --compare
    """
    asked = topics.Options(since, until, stage, warm_up, compare, publish, bootstrap)
    kinds = _kinds(emit)
    if kafka:
        if files or columns or zone or time_form:
            raise UsageError("--from-kafka takes no files, and no options of CSV files")
        topics.from_kafka(
            asked, _replay(kinds, registry, knowledge or Settings().knowledge, asked), kinds
        )
    else:
        topics.check_unused(asked)
        written = CsvForm(column_map(columns, _tables(knowledge)), local_time(zone, time_form))
        _files(files, _replay(kinds, registry, knowledge, None), written, until)


class CsvForm(NamedTuple):
    """The columns and the time form of CSV files."""

    columns: ColumnMap | None
    clock: LocalClock


def _tables(folder: Path | None) -> Knowledge:
    from rpm_stream.knowledge import KnowledgeError, load

    try:
        return load(folder)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None


def _replay(
    kinds: list[LineType], registry: Path | None, folder: Path | None, asked: topics.Options | None
) -> Replay:
    """Return a replay with the registry of a file.

    Without a file, and with ``asked``, the registry is the broker's.
    """
    from rpm_stream.app.registry.file import stored_registry
    from rpm_stream.knowledge.registry import Registry, entry_key
    from rpm_stream.pipeline.replay import Replay
    from rpm_stream.pipeline.stored_entry import Stored, stored_faults
    from rpm_stream.score.rules.entry_faults import faults

    tables = _tables(folder)
    if registry is None and asked is not None:
        known = topics.registry(asked)
    else:
        known = stored_registry(registry) if registry else Registry()
    for entry in known.entries():
        stored = Stored(entry=entry, left_out=known.left_out.get(entry_key(entry), ()))
        for fault in (*stored_faults(stored), *faults(entry, tables)):
            log.warning("registry.setting_ignored", fault=fault)
    return Replay(
        tables, known, kinds, recorded_time=asked is None or Settings().time == "recorded"
    )


def _files(files: list[str] | None, run: Replay, written: CsvForm, until: str | None) -> None:
    end = _time(until)
    output = sys.stdout.buffer
    for name in files or ["-"]:
        _write(output, _file(run, name, written))
    _write(output, run.finish(end))
    output.flush()


def _write(output: BinaryIO, lines: Iterable[ReplayLine]) -> None:
    output.writelines(line.encode() for line in lines)


def _kinds(emit: str) -> list[LineType]:
    from rpm_stream.pipeline.replay import KINDS

    if emit.strip() == "all":
        return list(KINDS)
    names = {kind: kind for kind in KINDS} | {f"{kind}s": kind for kind in KINDS}
    found: list[LineType] = []
    for word in emit.split(","):
        if word.strip() not in names:
            raise UsageError(
                f"--emit: {word.strip()!r} is not one of {', '.join(f'{kind}s' for kind in KINDS)}"
            )
        found.append(names[word.strip()])
    return found


def _time(text: str | None) -> datetime | None:
    return None if text is None else zoned_time("--until", text)


def _open(name: str) -> tuple[BinaryIO, bool]:
    """Open a file or stdin, and return whether it is CSV."""
    if name == "-":
        stdin = sys.stdin.buffer
        begin = stdin.peek(1) if isinstance(stdin, io.BufferedReader) else b""
        return stdin, not begin.startswith(b"{")
    path = Path(name)
    plain = path.name.removesuffix(".gz")
    if not plain.endswith((".csv", ".jsonl")):
        raise UsageError(f"{name}: not a .csv or .jsonl file (each also .gz)")
    try:
        stream: BinaryIO = path.open("rb")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None
    if path.suffix == ".gz":
        # GzipFile reads like any other binary file, but its type does not say so.
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    return stream, plain.endswith(".csv")


def _file(run: Replay, name: str, written: CsvForm) -> Iterator[ReplayLine]:
    stream, is_csv = _open(name)
    with stream:
        try:
            yield from _csv(run, stream, name, written) if is_csv else _jsonl(run, stream)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UsageError(f"{name}: not a readable gzip file ({error})") from None
        except IsADirectoryError as error:
            raise UsageError(f"{name}: {error.strerror}") from None


def _jsonl(run: Replay, stream: Iterable[bytes]) -> Iterator[ReplayLine]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield from run.jsonl(line.strip(), number)


def _csv(run: Replay, stream: BinaryIO, name: str, written: CsvForm) -> Iterator[ReplayLine]:
    from rpm_stream.ingest.csv.lines import lines_of
    from rpm_stream.ingest.csv.rows import frames, rows
    from rpm_stream.ingest.errors import DecodeError

    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        for found in frames(rows(lines_of(text), *written), first=run.messages):
            yield from run.csv(found)
    except DecodeError as error:
        raise UsageError(f"{name}: {error.detail}") from None
