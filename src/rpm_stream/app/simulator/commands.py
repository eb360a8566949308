"""What the commands ``rpm-stream gateway simulate``, ``replay`` and ``encode`` do."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path

from rich.progress import Progress

from rpm_stream.app.gateway.client import Gateway
from rpm_stream.app.gateway.link import AT_FULL_SPEED
from rpm_stream.app.gateway.wire import RegistryEntry, encode_frame, encode_registry
from rpm_stream.app.kafka.security import security
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import write_private
from rpm_stream.app.simulator.encode.csv import Encoder, FileRow, SharedDevice
from rpm_stream.app.simulator.encode.files import Written, csv_rows, frame_lines, progress_bar
from rpm_stream.app.simulator.faults import Faults, inject, received
from rpm_stream.app.simulator.replay import check_broker, deliver, play, register
from rpm_stream.app.simulator.scenario import read_scenario
from rpm_stream.app.simulator.simulate import all_frames, all_registry, cohort, ward
from rpm_stream.app.simulator.stories import STORIES
from rpm_stream.records import Frame

SHOW_EVERY = 50  # frames between two updates of the progress bar
WARD = "ward"  # name of the story that mixes the others


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What to simulate (see ``rpm-stream gateway simulate --help``).

    ``story`` is a story of the package, ``WARD`` or a scenario folder. A folder has its own people
    and, with ``start`` None, its own times.
    """

    story: str
    patients: int
    hours: float | None
    seed: int
    start: datetime | None
    faults: Faults


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Where to send frames, and how fast.

    ``gateway_id`` names the spool. A ``speed`` of 0 is as fast as possible.
    """

    bootstrap: str
    spool_dir: Path
    gateway_id: str
    speed: float


def prepared(simulation: Simulation) -> tuple[list[RegistryEntry], Iterator[Frame]]:
    """Return the registry entries of a simulation's people, and their frames.

    Raises ``UsageError`` for an unknown story.
    """
    entries, frames = (
        _recorded(simulation) if _is_folder(simulation.story) else _simulated(simulation)
    )
    return entries, inject(frames, simulation.faults, simulation.seed)


def _is_folder(story: str) -> bool:
    return story != WARD and story not in STORIES and Path(story).is_dir()


def _simulated(wanted: Simulation) -> tuple[list[RegistryEntry], Iterable[Frame]]:
    start = wanted.start or wall()
    if wanted.story == WARD:
        people = ward(wanted.patients, wanted.hours)
    else:
        name = next((name for name in STORIES if name == wanted.story), None)
        if name is None:
            raise UsageError(f"--story: neither a folder nor one of {', '.join((*STORIES, WARD))}")
        people = cohort(name, wanted.patients, wanted.hours)
    return all_registry(people), all_frames(people, start, wanted.seed)


def _recorded(wanted: Simulation) -> tuple[list[RegistryEntry], Iterable[Frame]]:
    if wanted.patients != 1 or wanted.start is not None:
        raise UsageError(
            "a scenario folder has its own people and times: --patients and --start are for stories"
        )
    scenario = read_scenario(Path(wanted.story))
    if scenario.others:
        sys.stderr.write(
            f"{scenario.others} lines are no gateway's to send (actions, readings): not played\n"
        )
    if wanted.hours is None or not scenario.frames:
        return scenario.entries, scenario.frames
    until = received(scenario.frames[0]) + timedelta(hours=wanted.hours)
    return scenario.entries, [frame for frame in scenario.frames if received(frame) < until]


def print_frames(frames: Iterable[Frame], speed: float) -> None:
    """Print frames as JSON Lines on stdout at their pace."""

    async def write(batch: list[Frame]) -> None:
        sys.stdout.buffer.write(b"".join(encode_frame(frame) + b"\n" for frame in batch))
        sys.stdout.buffer.flush()

    asyncio.run(deliver(write, frames, speed))


def send_simulation(simulation: Simulation, sending: Sending) -> None:
    """Send a simulation to the broker: first its registry, then its frames at their pace."""
    entries, frames = prepared(simulation)
    with progress_bar() as progress:
        asyncio.run(_send(sending, entries, frames, progress))


def send_file(file: str, registry: Path | None, sending: Sending) -> None:
    """Send the entries of a registry file, then a file of frames."""
    entries = [] if registry is None else list(read_registry(registry))
    with progress_bar() as progress:
        frames = frame_lines(file, progress)
        first = list(islice(frames, 1))  # a wrong file fails here, before anything is sent
        asyncio.run(_send(sending, entries, chain(first, frames), progress))


async def _send(
    sending: Sending, entries: Sequence[RegistryEntry], frames: Iterable[Frame], progress: Progress
) -> None:
    # The client logs once what aiokafka would log for each attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kafka = security().arguments()
    await check_broker(sending.bootstrap)
    if entries:
        await register(sending.bootstrap, entries)
    try:
        async with Gateway(
            sending.bootstrap,
            sending.gateway_id,
            spool_dir=sending.spool_dir,
            options=replace(AT_FULL_SPEED, kafka=kafka),
        ) as gateway:
            count = await play(gateway, frames, sending.speed, _shown(gateway, progress))
            await gateway.drain()
    except OSError as error:  # the spool is full, in use or cannot be written
        raise UsageError(str(error)) from error
    sys.stderr.write(f"{count} frames sent\n")


def _shown(gateway: Gateway, progress: Progress) -> Callable[[Frame], None]:
    """Return a function that updates the progress bar with each frame.

    The bar shows the number of frames, the time of the last one and how many wait in the spool.
    """
    task = progress.add_task("sending", total=None)
    count = 0

    def show(frame: Frame) -> None:
        nonlocal count
        count += 1
        if count % SHOW_EVERY == 1:
            at = (frame.received_at or frame.sent_at).strftime("%Y-%m-%d %H:%M")
            progress.update(
                task, description=f"{count} frames, {at}, {gateway.spooled} in the spool"
            )

    return show


def encode_files(
    files: Sequence[str], registry: Path | None, patients: int | None, written: Written
) -> None:
    """Write CSV files as frames on stdout, and the registry that they need.

    ``written`` describes the format of the CSV.
    """
    encoder = Encoder()
    with progress_bar() as progress:
        rows = chain.from_iterable(csv_rows(file, progress, written) for file in files)
        for frame in encoder.frames(rows if patients is None else _first(rows, patients)):
            sys.stdout.buffer.write(encode_frame(frame) + b"\n")
    sys.stdout.buffer.flush()
    if registry is not None:
        try:
            write_registry(registry, encoder.registry())
        except SharedDevice as error:
            raise UsageError(str(error)) from error


def _first(rows: Iterable[FileRow], patients: int) -> Iterator[FileRow]:
    """Yield the rows of the first ``patients`` people."""
    kept: set[str] = set()
    for row in rows:
        if len(kept) < patients:
            kept.add(row.patient)
        if row.patient in kept:
            yield row


def write_registry(path: Path, entries: Iterable[RegistryEntry]) -> None:
    """Write registry entries as JSON Lines. Raises ``UsageError`` if that is not possible."""
    try:
        write_private(path, b"".join(encode_registry(entry) + b"\n" for entry in entries))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
