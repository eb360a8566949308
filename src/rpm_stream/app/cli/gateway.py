"""``rpm-stream gateway``: simulate people at home, turn a CSV into frames, send frames to the broker."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress

from rpm_stream.app.errors import UsageError
from rpm_stream.app.gateway import Gateway
from rpm_stream.app.gateway.devices import SimulatedPatient
from rpm_stream.app.gateway.encode_csv import Encoder, Row, SharedDevice
from rpm_stream.app.gateway.faults import Faults, inject
from rpm_stream.app.gateway.files import csv_rows, frame_lines, progress_bar, registry_lines
from rpm_stream.app.gateway.replay import check_broker, deliver, play, register
from rpm_stream.app.gateway.simulate import all_frames, all_registry, cohort, ward
from rpm_stream.app.gateway.wire import RegistryEntry, encode_frame, encode_registry
from rpm_stream.app.settings import Settings
from rpm_stream.records import Frame

gateway_app = typer.Typer(help="Play a gateway: simulate, encode a CSV, send frames.", no_args_is_help=True)

SHOW_EVERY = 100  # frames between two moves of the progress bar


class Tale(str, Enum):
    """What to simulate."""

    copd = "copd"
    quiet = "quiet"
    ward = "ward"


class Target(str, Enum):
    """Where frames go."""

    kafka = "kafka"
    stdout = "stdout"


Bootstrap = Annotated[str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")]
RegistryOut = Annotated[Path | None, typer.Option("--registry", help="Also write the registry entries to this file.")]
Chance = Annotated[float, typer.Option(min=0, max=1, help="Probability for each frame.")]


@gateway_app.callback()
def _quiet_client() -> None:
    # The client says itself, once, what aiokafka would report for each attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@gateway_app.command()
def simulate(
    story: Annotated[Tale, typer.Option(help="copd: 4 days to a red score. quiet: a week. ward: both, mixed.")] = Tale.copd,
    patients: Annotated[int, typer.Option(min=1, max=10_000, help="How many people.")] = 1,
    hours: Annotated[float | None, typer.Option(min=0, help="Stop after so many hours of the story.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    start: Annotated[str | None, typer.Option(help="When the story begins, RFC 3339; default: now.")] = None,
    speed: Annotated[float | None, typer.Option(min=0, help="1 real time, 0 as fast as it goes.")] = None,
    to: Annotated[Target, typer.Option(help="The broker, or frames as JSON Lines.")] = Target.kafka,
    registry: RegistryOut = None,
    duplicate: Chance = 0.0,
    reorder: Chance = 0.0,
    corrupt: Chance = 0.0,
    bootstrap: Bootstrap = None,
) -> None:
    """Simulate people at home: their devices' frames in real GATT octets, with three faults to switch on.

    To the broker it sends the registry entries of its people first, and plays in real time; to stdout, as fast as it
    goes. At another speed than 1 run the service with RPM_TIME=recorded.

    Examples:

      rpm-stream gateway simulate --story ward --patients 20 --speed 60

      rpm-stream gateway simulate --story copd --start 2026-01-01T00:00:00Z --to stdout --registry r.jsonl > f.jsonl

      rpm-stream gateway simulate --story quiet --duplicate 0.1 --reorder 0.1 --corrupt 0.02
    """
    people = ward(patients, hours) if story is Tale.ward else cohort(story.value, patients, hours)
    entries = all_registry(people)
    if registry is not None:
        _write_registry(registry, entries)
    faults = Faults(duplicate=duplicate, reorder=reorder, corrupt=corrupt)
    frames = inject(all_frames(people, _start(start), seed), faults, seed)
    if to is Target.stdout:
        asyncio.run(_print_frames(frames, speed or 0.0))
    else:
        asyncio.run(_play("simulate", bootstrap, entries, frames, 1.0 if speed is None else speed))


@gateway_app.command()
def encode(
    files: Annotated[list[str], typer.Argument(metavar="FILE.csv[.gz]...", help="patient,measured_at,vital,value,unit[,device]")],
    registry: RegistryOut = None,
    patients: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
) -> None:
    """Turn CSV files into frames on stdout: GATT octets where a characteristic keeps the digits, else measurements.

    Example: rpm-stream gateway encode stays.csv.gz --registry registry.jsonl > frames.jsonl
    """
    encoder = Encoder()
    with progress_bar() as progress:
        rows = chain.from_iterable(csv_rows(file, progress) for file in files)
        for frame in encoder.frames(rows if patients is None else _first(rows, patients)):
            sys.stdout.buffer.write(encode_frame(frame) + b"\n")
    sys.stdout.buffer.flush()
    if registry is not None:
        try:
            _write_registry(registry, encoder.registry())
        except SharedDevice as error:
            raise UsageError(str(error)) from error


@gateway_app.command()
def replay(
    file: Annotated[str, typer.Argument(help="Frames as JSON Lines, also .gz; - is stdin.")],
    speed: Annotated[float, typer.Option(min=0, help="1 as fast as they were received, 0 as fast as it goes.")] = 0.0,
    registry: Annotated[str | None, typer.Option(help="Send these registry entries first.")] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Send a file of frames to the broker, in order, through the gateway client.

    Example: rpm-stream gateway replay frames.jsonl.gz --registry registry.jsonl --bootstrap 127.0.0.1:9092
    """
    with progress_bar() as progress:
        entries = [] if registry is None else list(registry_lines(registry, progress))
        asyncio.run(_play("replay", bootstrap, entries, frame_lines(file, progress), speed))


def _start(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        start = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError("--start must be RFC 3339, such as 2026-01-01T00:00:00Z") from error
    if start.tzinfo is None:
        raise UsageError("--start needs a zone, such as Z")
    return start


def _first(rows: Iterable[Row], patients: int) -> Iterable[Row]:
    """The rows of the first so many people of the file."""
    kept: set[str] = set()
    for row in rows:
        if row.patient not in kept:
            if len(kept) == patients:
                continue
            kept.add(row.patient)
        yield row


def _write_registry(path: Path, entries: Iterable[RegistryEntry]) -> None:
    try:
        path.write_bytes(b"".join(encode_registry(entry) + b"\n" for entry in entries))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
