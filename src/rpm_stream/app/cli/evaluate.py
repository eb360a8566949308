"""``rpm-stream evaluate``: labelled data through the whole pipeline, and how good it is."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rpm_stream.app.cli.options import OwnTables
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings


class WantedPart(StrEnum):
    """A part of the cut by person."""

    ALL = "all"
    FIT = "fit"
    CHECK = "check"


def evaluate(
    readings: Annotated[
        list[Path], typer.Argument(help="Readings as for replay: .csv, also .gz; merged by time.")
    ],
    events: Annotated[
        Path, typer.Option(help="CSV with patient,monitored_hours,onset_at (empty: none).")
    ],
    people: Annotated[Path | None, typer.Option(help="CSV with patient,age,sex.")] = None,
    home: Annotated[
        Path | None, typer.Option(help="Readings of the same patients at the cadence of a home.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables.txt, evaluation.json and pictures."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: as many as cores.")
    ] = None,
    knowledge: OwnTables = None,
    folds: Annotated[
        Path | None,
        typer.Option(help="Folder with own tables for each fold by person, in folders 0, 1, ..."),
    ] = None,
    part: Annotated[
        WantedPart,
        typer.Option(help="People whose id has an even SHA-256 (fit), an odd one (check), or all."),
    ] = WantedPart.ALL,
    patients: Annotated[
        int | None, typer.Option(min=1, help="Only so many patients, the first by id.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure scores and alerts on labelled stays. The same input gives the same JSON.

    Every stay begins at 2026-01-01T00:00Z and has an onset of deterioration or none. For each
    score the tables show the share of onsets with an alarm in the 12 hours before at 0.25, 0.5 and
    1 alarms a patient-day, beside NEWS2, static limits and random alarms. For the alert feed they
    show how often each rule comes before an onset and otherwise.

    Example: rpm-stream evaluate vitals.csv.gz oxygen.csv.gz --events events.csv --out build
    """
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.cli.tables import own_tables
    from rpm_stream.app.operate.evaluate import evaluation_run as work
    from rpm_stream.evaluation.report import encode
    from rpm_stream.evaluation.tables import text_of

    if knowledge and folds:
        raise UsageError("--knowledge and --folds both name own tables: give one of them")
    folder = knowledge or Settings().knowledge
    tables = own_tables(folder)
    files = work.EvaluationFiles(
        readings=tuple(readings),
        events=events,
        people=people,
        home=home,
        out=out,
        knowledge=folder,
        folds=folds,
    )
    scope = work.EvaluationScope(
        part=part.value, patients=patients, jobs=jobs or os.cpu_count() or 1
    )
    with TopicBars() as progress:
        result = work.run_evaluation(files, scope, tables, progress)
    sys.stdout.buffer.write(encode(result) if json else text_of(result).encode())
