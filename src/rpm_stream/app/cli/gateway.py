"""``rpm-stream gateway``: run a gateway (ble), simulate people at home, encode CSV, send frames."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rpm_stream.app.cli.columns import Columns, TimeForm, Zone, column_map, local_time
from rpm_stream.app.cli.gateway_ble import ble_app
from rpm_stream.app.cli.options import Bootstrap, OwnTables
from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.simulator.commands import Sending, Simulation

gateway_app = typer.Typer(
    help="Run a gateway (ble), or simulate one: simulate people, encode a CSV, send frames.",
    no_args_is_help=True,
)
gateway_app.add_typer(ble_app, name="ble")


class Target(StrEnum):
    """The destination of frames."""

    kafka = "kafka"
    stdout = "stdout"


RegistryOut = Annotated[
    Path | None, typer.Option("--registry", help="Also write the registry entries to this file.")
]
FAULTS = "Faults, each with a probability for each frame (skew: for each device)"


def _fault(what: str, example: str) -> Any:
    """Return the option of a fault, a probability."""
    return typer.Option(min=0, max=1, rich_help_panel=FAULTS, help=f"{what} Example: {example}")


Duplicate = Annotated[float, _fault("Sent twice.", "--duplicate 0.1")]
Reorder = Annotated[float, _fault("Delivered up to 8 frames later.", "--reorder 0.2")]
Corrupt = Annotated[float, _fault("One entry cut short, or without its unit.", "--corrupt 0.02")]
Late = Annotated[
    float, _fault("The device's frames wait 2 to 8 hours and come at once.", "--late 0.005")
]
Skew = Annotated[
    float, _fault("The device's own clock is 6 minutes to 5 hours ahead or behind.", "--skew 0.3")
]
Drop = Annotated[float, _fault("Never arrives: a gap in seq.", "--drop 0.01")]
Silent = Annotated[
    float, _fault("The device measures nothing for 2 to 8 hours; no gap in seq.", "--silent 0.005")
]
UnitFlip = Annotated[
    float, _fault("One entry in a wrong unit: 36.9 as [degF], 98.4 as Cel.", "--unit-flip 0.01")
]
Tale = Annotated[
    str,
    typer.Option(
        metavar="NAME|FOLDER",
        help=(
            "copd, heart-failure, hypertension, diabetes-sensor, diabetes-meter, sepsis,"
            " post-operative, quiet; ward mixes them; or a scenario folder (registry.jsonl, and"
            " input.csv or frames.jsonl), in its recorded time."
        ),
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(min=0, help="1 real time (to kafka), 0 as fast as it goes (to stdout)."),
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE.csv...", help="patient,measured_at,vital,value,unit[,device]; also .gz."
    ),
]


@gateway_app.command()
def simulate(
    story: Tale = "copd",
    patients: Annotated[int, typer.Option(min=1, max=10_000, help="How many people.")] = 1,
    hours: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many hours of the story.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 1,
    start: Annotated[
        str | None, typer.Option(help="When the story begins, RFC 3339; default: now.")
    ] = None,
    speed: Speed = None,
    to: Annotated[Target, typer.Option(help="The broker, or frames as JSON Lines.")] = Target.kafka,
    registry: RegistryOut = None,
    duplicate: Duplicate = 0.0,
    reorder: Reorder = 0.0,
    corrupt: Corrupt = 0.0,
    late: Late = 0.0,
    skew: Skew = 0.0,
    drop: Drop = 0.0,
    silent: Silent = 0.0,
    unit_flip: UnitFlip = 0.0,
    bootstrap: Bootstrap = None,
) -> None:
    """Simulate people at home: frames of their devices in real GATT bytes, with eight faults.

    With --to kafka the registry entries of the people are sent first. At another speed than 1, and
    for a scenario folder, run the service with RPM_TIME=recorded, because the frames carry the
    story's time.

    Example: rpm-stream gateway simulate --story ward --patients 20 --speed 60 --duplicate 0.1
    --corrupt 0.02

    Example: rpm-stream gateway simulate --story quiet --to stdout --registry registry.jsonl >
    frames.jsonl

    Example: rpm-stream gateway simulate --story tests/scenarios/devices/silent-strap --to stdout
    --late 0.1
    """
    from rpm_stream.app.simulator.commands import Simulation
    from rpm_stream.app.simulator.faults import Faults

    faults = Faults(
        duplicate=duplicate,
        reorder=reorder,
        corrupt=corrupt,
        late=late,
        skew=skew,
        drop=drop,
        silent=silent,
        unit_flip=unit_flip,
    )
    at = _time(start)
    simulation = Simulation(
        story=story, patients=patients, hours=hours, seed=seed, start=at, faults=faults
    )
    _play(simulation, to, registry, speed, bootstrap)


@gateway_app.command()
def encode(
    files: Files,
    registry: RegistryOut = None,
    patients: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many people.")
    ] = None,
    columns: Columns = None,
    zone: Zone = None,
    time_form: TimeForm = None,
    knowledge: OwnTables = None,
) -> None:
    """Turn CSV files into frames on stdout.

    A value becomes GATT bytes where a characteristic keeps its digits, and a measurement otherwise.

    Example: rpm-stream gateway encode stays.csv.gz --registry registry.jsonl > frames.jsonl

    Example: rpm-stream gateway encode wide.csv --columns
    patient=pid,measured_at=time,heart_rate=hr:/min > frames.jsonl
    """
    from rpm_stream.app.simulator import commands
    from rpm_stream.app.simulator.encode.files import Written
    from rpm_stream.knowledge import KnowledgeError, load

    try:
        tables = load(knowledge)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None
    written = Written(tables, column_map(columns, tables), local_time(zone, time_form))
    commands.encode_files(files, registry, patients, written)


@gateway_app.command()
def replay(
    file: Annotated[str, typer.Argument(help="Frames as JSON Lines, also .gz; - is stdin.")],
    speed: Annotated[
        float, typer.Option(min=0, help="1 as fast as they were received, 0 as fast as it goes.")
    ] = 0.0,
    registry: Annotated[
        Path | None, typer.Option(help="Send the registry entries of this file first.")
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Send a file of frames to the broker, in order, through the gateway client.

    Run the service with RPM_TIME=recorded, so that each frame counts as received at the time in its
    file.

    Example: rpm-stream gateway replay frames.jsonl.gz --registry registry.jsonl --bootstrap
    127.0.0.1:9092
    """
    from rpm_stream.app.simulator import commands

    commands.send_file(file, registry, _sending("replay", bootstrap, speed))


def _play(
    simulation: Simulation,
    to: Target,
    registry: Path | None,
    speed: float | None,
    bootstrap: str | None,
) -> None:
    from rpm_stream.app.simulator import commands

    if registry is not None:
        commands.write_registry(registry, commands.prepared(simulation)[0])
    if to is Target.stdout:
        commands.print_frames(commands.prepared(simulation)[1], speed or 0.0)
    else:
        commands.send_simulation(
            simulation, _sending("simulate", bootstrap, 1.0 if speed is None else speed)
        )


def _sending(gateway_id: str, bootstrap: str | None, speed: float) -> Sending:
    from rpm_stream.app.simulator.commands import Sending

    settings = Settings()
    place = bootstrap or settings.bootstrap
    spool_dir = settings.data_dir.expanduser() / "gateway"
    return Sending(bootstrap=place, spool_dir=spool_dir, gateway_id=gateway_id, speed=speed)


def _time(text: str | None) -> datetime | None:
    return None if text is None else zoned_time("--start", text)
