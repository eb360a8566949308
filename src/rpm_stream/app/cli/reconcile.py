"""``rpm-stream reconcile``: the books of the service, balanced from its topics alone."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.cli.output import write_line
from rpm_stream.app.cli.times import duration, utc_time
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import CheckFailed, UsageError
from rpm_stream.app.runtime.private import private_folder
from rpm_stream.app.runtime.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.operate.reconcile.lines import ReconcileLine
    from rpm_stream.app.operate.reconcile.run import Reconciliation

KEPT = timedelta(hours=26)  # the span of a periodic run: a day, and late frames

Since = Annotated[
    str | None, typer.Option("--from", help="Frames received since (RFC 3339); default: all.")
]
Until = Annotated[
    str | None, typer.Option(help="Frames received before (RFC 3339); default: up to now.")
]
Resume = Annotated[
    Path | None, typer.Option(help="Keep the books in this file, to go on after an early end.")
]
Table = Annotated[bool, typer.Option("--table", help="Print a table instead of JSON Lines.")]
Every = Annotated[
    str | None, typer.Option(help="Balance periodically, such as every 5m, for --metrics-port.")
]
MetricsPort = Annotated[
    int, typer.Option(min=0, max=65535, help="Where /metrics listens with --every; 0 = off.")
]


def reconcile(
    since: Since = None,
    until: Until = None,
    resume: Resume = None,
    table: Table = False,
    every: Every = None,
    metrics_port: MetricsPort = 9468,
    bootstrap: Bootstrap = None,
) -> None:
    """Balance the books from the topics, and name what is missing. Exit 1 if anything is.

    Prints a line for each device and hour of receipt. Before it come the missing parts of that hour
    with their place in a topic, and the gaps in the counts of gateways. The sum comes at the end.
    The command may run while the service runs. Parts that are still in flight are marked so.

    Example: rpm-stream reconcile --from 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z --table

    Example: rpm-stream reconcile --every 5m --metrics-port 9468
    """
    settings = Settings()
    if bootstrap:
        settings = settings.model_copy(update={"bootstrap": bootstrap})
    bounds = (utc_time("--from", since), utc_time("--until", until))
    with ExitStack() as stack:
        if every is not None:
            if resume or until or table:
                raise UsageError(
                    "--every keeps books of its own: leave out --resume, --until and --table"
                )
            pause = duration("--every", every)
            _periodic(
                _reconciliation(stack, settings, (bounds[0] or wall() - KEPT, None), None),
                pause,
                metrics_port,
            )
        else:
            _once(_reconciliation(stack, settings, bounds, resume), table)


def _reconciliation(
    stack: ExitStack,
    settings: Settings,
    bounds: tuple[datetime | None, datetime | None],
    file: Path | None,
) -> Reconciliation:
    from rpm_stream.app.operate.reconcile.run import ReconcileWindow, Reconciliation
    from rpm_stream.app.stages.stage import knowledge_of

    if file is None:
        try:
            parent = private_folder(settings.data_dir)
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="reconcile-", dir=parent)
            )
        except OSError as error:
            raise UsageError(
                f"{settings.data_dir}: {error.strerror}; RPM_DATA_DIR names another folder"
            ) from None
        file = Path(folder) / "books.sqlite"
    reconciliation = Reconciliation(
        settings, knowledge_of(settings), file, ReconcileWindow(since=bounds[0], until=bounds[1])
    )
    stack.callback(reconciliation.close)
    return reconciliation


def _once(reconciliation: Reconciliation, table: bool) -> None:
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.operate.reconcile.run import balance
    from rpm_stream.app.operate.reconcile.table import show

    shown: list[ReconcileLine] = []
    with TopicBars() as progress:
        total = asyncio.run(
            balance(reconciliation, progress, shown.append if table else write_line)
        )
    if table:
        show(shown)
    if not total.balanced:
        raise CheckFailed(
            f"the books do not balance: {total.missing} parts, {total.gaps} gaps of {total.lost}"
            " frames"
        )


def _periodic(reconciliation: Reconciliation, every: timedelta, port: int) -> None:
    from rpm_stream.app.operate.reconcile.run import balance_for_ever
    from rpm_stream.app.runtime.logs import configure_log
    from rpm_stream.app.runtime.metrics_server import listen
    from rpm_stream.app.stages.run import stop_on_signals

    settings = Settings()
    configure_log(settings.log_level)
    if port:
        try:
            listen(port, settings.metrics_host)
        except OSError as error:
            raise UsageError(
                f"--metrics-port {settings.metrics_host}:{port}: {error.strerror}"
            ) from None

    async def run() -> None:
        await balance_for_ever(reconciliation, every, KEPT, stop_on_signals())

    asyncio.run(run())
