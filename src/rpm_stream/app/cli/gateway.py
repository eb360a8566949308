"""``rpm-stream gateway``: simulate people at home, turn a CSV into frames, send frames to the broker."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpm_stream.app.cli.columns import COLUMNS_HELP, column_map
from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.gateway.commands import Sending

gateway_app = typer.Typer(help="Play a gateway: simulate people, encode a CSV, send frames.", no_args_is_help=True)


class Story(StrEnum):
    """What to simulate."""

    copd = "copd"
    quiet = "quiet"
    ward = "ward"


class Target(StrEnum):
    """Where frames go."""

    kafka = "kafka"
    stdout = "stdout"


Bootstrap = Annotated[str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")]
RegistryOut = Annotated[Path | None, typer.Option("--registry", help="Also write the registry entries to this file.")]
Chance = Annotated[float, typer.Option(min=0, max=1, help="Probability for each frame.")]
Tale = Annotated[Story, typer.Option(help="copd: 4 days to a red score. quiet: a week. ward: both, mixed.")]
Speed = Annotated[float | None, typer.Option(min=0, help="1 real time (to kafka), 0 as fast as it goes (to stdout).")]
Files = Annotated[
    list[str], typer.Argument(metavar="FILE.csv...", help="patient,measured_at,vital,value,unit[,device]; also .gz.")
]


@gateway_app.command()
def simulate(
    story: Tale = Story.copd,
    patients: Annotated[int, typer.Option(min=1, max=10_000, help="How many people.")] = 1,
    hours: Annotated[float | None, typer.Option(min=0, help="Stop after so many hours of the story.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 1,
    start: Annotated[str | None, typer.Option(help="When the story begins, RFC 3339; default: now.")] = None,
    speed: Speed = None,
    to: Annotated[Target, typer.Option(help="The broker, or frames as JSON Lines.")] = Target.kafka,
    registry: RegistryOut = None,
    duplicate: Chance = 0.0,
    reorder: Chance = 0.0,
    corrupt: Chance = 0.0,
    bootstrap: Bootstrap = None,
) -> None:
    """Simulate people at home: their devices' frames in real GATT octets, with three faults to switch on.

    To the broker, the registry entries of its people go first. At another speed than 1, run the service with
    RPM_TIME=recorded: the frames carry the story's time.

    Example: rpm-stream gateway simulate --story ward --patients 20 --speed 60 --duplicate 0.1 --corrupt 0.02

    Example: rpm-stream gateway simulate --story quiet --to stdout --registry registry.jsonl > frames.jsonl
    """
    from rpm_stream.app.gateway import commands
    from rpm_stream.app.gateway.faults import Faults

    simulation = commands.Simulation(
        story=story.value,
        patients=patients,
        hours=hours,
        seed=seed,
        start=_time(start),
        faults=Faults(duplicate=duplicate, reorder=reorder, corrupt=corrupt),
    )
    if registry is not None:
        commands.write_registry(registry, commands.prepared(simulation)[0])
    if to is Target.stdout:
        commands.print_frames(commands.prepared(simulation)[1], speed or 0.0)
    else:
        commands.send_simulation(simulation, _sending("simulate", bootstrap, 1.0 if speed is None else speed))


@gateway_app.command()
def encode(
    files: Files,
    registry: RegistryOut = None,
    patients: Annotated[int | None, typer.Option(min=1, help="Only the first so many people.")] = None,
    columns: Annotated[str | None, typer.Option(help=COLUMNS_HELP)] = None,
) -> None:
    """Turn CSV files into frames on stdout: GATT octets where a characteristic keeps the digits, else measurements.

    Example: rpm-stream gateway encode stays.csv.gz --registry registry.jsonl > frames.jsonl

    Example: rpm-stream gateway encode wide.csv --columns patient=pid,measured_at=time,heart_rate=hr:/min > frames.jsonl
    """
    from rpm_stream.app.gateway import commands
    from rpm_stream.knowledge import shipped

    mapped = column_map(columns, shipped())
    commands.encode_files(files, registry, patients, mapped)


@gateway_app.command()
def replay(
    file: Annotated[str, typer.Argument(help="Frames as JSON Lines, also .gz; - is stdin.")],
    speed: Annotated[float, typer.Option(min=0, help="1 as fast as they were received, 0 as fast as it goes.")] = 0.0,
    registry: Annotated[Path | None, typer.Option(help="Send the registry entries of this file first.")] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Send a file of frames to the broker, in order, through the gateway client.

    Run the service with RPM_TIME=recorded, so that it takes each frame as received when its file says.

    Example: rpm-stream gateway replay frames.jsonl.gz --registry registry.jsonl --bootstrap 127.0.0.1:9092
    """
    from rpm_stream.app.gateway import commands

    commands.send_file(file, registry, _sending("replay", bootstrap, speed))


def _sending(gateway_id: str, bootstrap: str | None, speed: float) -> Sending:
    from rpm_stream.app.gateway.commands import Sending

    settings = Settings()
    place = bootstrap or settings.bootstrap
    spool_dir = settings.data_dir.expanduser() / "gateway"
    return Sending(bootstrap=place, spool_dir=spool_dir, gateway_id=gateway_id, speed=speed)


def _time(text: str | None) -> datetime:
    return datetime.now(UTC) if text is None else zoned_time("--start", text)
