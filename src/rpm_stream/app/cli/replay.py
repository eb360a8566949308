"""``rpm-stream replay``: recorded data through the whole pipeline, without Kafka."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from rpm_stream.app.errors import UsageError

if TYPE_CHECKING:
    from rpm_stream.pipeline.replay import Line, Replay


def replay(
    files: Annotated[list[str] | None, typer.Argument(help=".csv or .jsonl, each also .gz; - or none: stdin.")] = None,
    emit: Annotated[str, typer.Option(help="Comma-separated: reading, score, alert, observation, reject; or all.")] = "alerts,rejects",
    registry: Annotated[Path | None, typer.Option(help="Messages of rpm.registry, one a line.")] = None,
    knowledge: Annotated[Path | None, typer.Option(help="Folder with own tables, over the shipped ones.")] = None,
    until: Annotated[str | None, typer.Option(help="Let all clocks tick to this time (RFC 3339) at the end.")] = None,
) -> None:
    """Replay recorded data through the pipeline; the same input gives the same bytes.

    Example: rpm-stream replay ward.jsonl --registry registry.jsonl --emit alerts
    """
    from rpm_stream.app.registry_file import read_registry
    from rpm_stream.knowledge import KnowledgeError, load
    from rpm_stream.pipeline.replay import Replay
    from rpm_stream.registry import Registry

    try:
        tables = load(knowledge)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None
    entries = read_registry(registry) if registry else ()
    run = Replay(tables, Registry(entries), _kinds(emit))
    end = _time(until)
    output = sys.stdout.buffer
    for name in files or ["-"]:
        _write(output, _file(run, name))
    _write(output, run.finish(end))
    output.flush()


def _write(output: BinaryIO, lines: Iterable[Line]) -> None:
    for line in lines:
        output.write(line.encode())


def _kinds(emit: str) -> list:  # type: ignore[type-arg]  # of Kind, imported only when the command runs
    from rpm_stream.pipeline.replay import KINDS

    if emit.strip() == "all":
        return list(KINDS)
    names = {kind: kind for kind in KINDS} | {f"{kind}s": kind for kind in KINDS}
    found = []
    for word in emit.split(","):
        if word.strip() not in names:
            raise UsageError(f"--emit: {word.strip()!r} is none of {', '.join(f'{kind}s' for kind in KINDS)}")
        found.append(names[word.strip()])
    return found


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until: {text!r} is no RFC 3339 time, such as 2026-01-31T12:00:00Z") from None
    if time.tzinfo is None:
        raise UsageError("--until: the time needs a zone, such as Z")
    return time


def _open(name: str) -> tuple[BinaryIO, bool]:
    """The bytes of a file or of stdin, and whether they are CSV."""
    if name == "-":
        stdin = io.BufferedReader(sys.stdin.buffer)  # type: ignore[arg-type]  # peek needs a buffered reader
        return stdin, not stdin.peek(1).startswith(b"{")
    path = Path(name)
    plain = path.name.removesuffix(".gz")
    if not plain.endswith((".csv", ".jsonl")):
        raise UsageError(f"{name}: not a .csv or .jsonl file (each also .gz)")
    try:
        stream: BinaryIO = gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[assignment]
        stream.read(0)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror or error}") from None
    return stream, plain.endswith(".csv")


def _file(run: Replay, name: str) -> Iterator[Line]:
    stream, is_csv = _open(name)
    with stream:
        try:
            yield from _csv(run, stream, name) if is_csv else _jsonl(run, stream)
        except (gzip.BadGzipFile, EOFError) as error:
            raise UsageError(f"{name}: no readable gzip file ({error})") from None


def _jsonl(run: Replay, stream: Iterable[bytes]) -> Iterator[Line]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield from run.jsonl(line.strip(), number)


def _csv(run: Replay, stream: BinaryIO, name: str) -> Iterator[Line]:
    from rpm_stream.ingest.csv_rows import BadRow, frames, rows
    from rpm_stream.ingest.errors import DecodeError
    from rpm_stream.normalise import Refusal
    from rpm_stream.pipeline.ingest import FrameMessage
    from rpm_stream.pipeline.replay import UNKNOWN_TIME
    from rpm_stream.records import Position

    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        for found in frames(rows(text)):
            if isinstance(found, BadRow):
                yield from run.bad_row(found.original, found.line, Refusal(reason="bad_schema", detail=found.detail))
                continue
            position = Position(topic="file", partition=0, offset=found.lines[0])
            yield from run.frame(
                FrameMessage(
                    key=found.device, value=found.value, position=position, received_at=UNKNOWN_TIME,
                    lines=found.lines, patient=found.patient,
                )  # fmt: skip
            )
    except DecodeError as error:
        raise UsageError(f"{name}: {error.detail}") from None
