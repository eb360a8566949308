"""``rpm-stream registry limits``: the limits in force for a patient, and who set them."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
import typer

from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings


def limits(
    patient: Annotated[str, typer.Argument()],
    at: Annotated[str | None, typer.Option(help="The moment (RFC 3339); default: now.")] = None,
    bootstrap: Annotated[
        str | None, typer.Option(help="Kafka, host:port; default: RPM_BOOTSTRAP.")
    ] = None,
) -> None:
    """Print the limits in force for a patient, one a line.

    A line holds vital, side, bound, who set it, and since when. For each vital and side only the
    level that counts is shown: patient, panel, programme, shipped. Where none of them is set, amber
    and red of the patient's chart (NEWS2, pregnancy, a child's) are shown too. The NEWS2 total,
    where it applies, and the query bounds are in force besides (rpm-stream knowledge check).

    Example: rpm-stream registry limits patient-4
    """
    from rpm_stream.app.cli.tables import own_tables
    from rpm_stream.app.registry.topic import read
    from rpm_stream.score.rules.limits_in_force import in_force

    settings = Settings()
    tables = own_tables(settings.knowledge)
    moment = wall() if at is None else zoned_time("--at", at)
    registry = asyncio.run(read(bootstrap or settings.bootstrap))
    if patient not in registry.patients:
        raise UsageError("the registry has no such patient: the shipped limits hold")
    for row in in_force(registry, tables, registry.patient(patient), moment):
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
