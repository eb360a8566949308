"""``rpm-stream up``, ``worker``, ``demo``: the running service."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.runtime.end import EXIT_AWAY, EXIT_CRASHED
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.settings import Settings

STAGES = ("ingest", "judge", "sink", "feed")


def _environment(**values: object) -> dict[str, str]:
    return {
        f"RPM_{name.upper()}": str(value) for name, value in values.items() if value is not None
    }


def worker(
    stages: Annotated[
        str, typer.Option(help="Comma-separated: ingest, judge, sink, feed.")
    ] = "ingest,judge",
    bootstrap: Bootstrap = None,
) -> None:
    """Run stages against any Kafka until Ctrl-C. A stage that ends is started again.

    Example: rpm-stream worker --stages ingest,judge --bootstrap kafka:9092
    """
    from rpm_stream.app.stages.run import run_worker

    wanted = [stage.strip() for stage in stages.split(",") if stage.strip()]
    wrong = [stage for stage in wanted if stage not in STAGES]
    if wrong or not wanted:
        raise UsageError(
            f"--stages: {', '.join(wrong) or 'nothing'} is not one of {', '.join(STAGES)}"
        )
    if "sink" in wanted and not Settings().fhir_url:
        raise UsageError("the sink needs RPM_FHIR_URL, the base address of a FHIR R4 server")
    sys.exit(asyncio.run(run_worker(wanted, _environment(bootstrap=bootstrap))))


def stage(name: Annotated[str, typer.Argument(help="ingest, judge, sink or feed")]) -> None:
    """Run one stage in this process. The worker starts these.

    Example: rpm-stream stage ingest
    """
    from rpm_stream.app.stages.stage import run_agent, run_service

    settings = Settings()
    configure_log(settings.log_level)
    if name not in STAGES:
        raise UsageError(f"{name!r} is not one of {', '.join(STAGES)}")
    try:
        if name in ("ingest", "judge"):
            run_agent(settings, name)
        else:
            asyncio.run(run_service(settings, name))
    except BrokerAway as error:
        # The worker has just reached the broker, so it will come back. No setting is wrong.
        sys.stderr.write(f"rpm-stream: {error}\n")
        sys.exit(EXIT_AWAY)
    except asyncio.CancelledError:
        # A client gave up, so the stage is started again. No setting is wrong.
        traceback.print_exc()
        sys.exit(EXIT_CRASHED)


def up(
    port: Annotated[int, typer.Option(help="Port of the embedded Kafka.")] = 9092,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop the data of earlier runs.")] = False,
    secure: Annotated[
        bool,
        typer.Option(
            "--secure", help="TLS, and a user for each stage with only the rights it needs."
        ),
    ] = False,
) -> None:
    """Run the whole service on this machine: embedded Kafka, topics, agents and feed.

    The sink runs too where RPM_FHIR_URL is set.

    Example: rpm-stream up --fresh
    """
    from rpm_stream.app.stages.run import run_up

    sys.exit(asyncio.run(run_up(port, fresh, secure)))


def demo(
    patients: Annotated[
        int, typer.Option(min=1, max=500, help="People on the simulated ward.")
    ] = 20,
    speed: Annotated[float, typer.Option(min=1, max=3600, help="How fast time runs.")] = 120,
    port: Annotated[int, typer.Option(help="Port of the embedded Kafka; 0 takes a free one.")] = 0,
) -> None:
    """Run the service with a simulated ward in fast time, on a Kafka of its own.

    Nothing is kept. Ctrl-C ends all of it.

    Example: rpm-stream demo --patients 20 --speed 120
    """
    from rpm_stream.app.stages.demo import run_demo

    sys.exit(asyncio.run(run_demo(patients, speed, port)))
