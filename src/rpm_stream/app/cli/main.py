"""The list of commands, and the one place where an error becomes a line and an exit status."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from rpm_stream import __version__
from rpm_stream.app.cli import (
    broker,
    decode,
    evaluate,
    feed,
    gateway,
    gateways,
    knowledge,
    reconcile,
    registry,
    registry_limits,
    rejects,
    replay,
    service,
    state,
    topics,
)
from rpm_stream.app.runtime.end import EXIT_CRASHED
from rpm_stream.app.runtime.errors import CheckFailed, UsageError
from rpm_stream.app.runtime.logs import configure_log
from rpm_stream.app.runtime.private import UMASK
from rpm_stream.app.runtime.settings import Settings

app = typer.Typer(
    name="rpm-stream",
    help=(
        "Streaming remote patient monitoring: BLE device frames in, explained alerts and FHIR R4"
        " Observations out."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The groups whose commands are in several modules. The other groups are declared beside their
# commands.
topics_app = typer.Typer(
    help="The nine Kafka topics: create, compare, add partitions.", no_args_is_help=True
)
registry_app = typer.Typer(
    help="The registry: devices and their wearers, patients and their limits.",
    no_args_is_help=True,
)
knowledge_app = typer.Typer(
    help="The tables with the knowledge of clinicians and device makers.", no_args_is_help=True
)

COMMANDS: dict[typer.Typer, tuple[Callable[..., None], ...]] = {
    app: (
        decode.decode,
        replay.replay,
        evaluate.evaluate,
        service.up,
        service.worker,
        service.stage,
        service.demo,
        feed.feed,
        reconcile.reconcile,
        gateways.gateways,
    ),
    knowledge_app: (knowledge.check,),
    topics_app: (topics.apply, topics.check, topics.grow, topics.acls, topics.schemas),
    registry_app: (
        registry.load,
        registry.assign,
        registry.unassign,
        registry.correct,
        registry.show,
        registry_limits.limits,
    ),
}
HIDDEN = frozenset({service.stage, topics.schemas})
GROUPS: dict[str, typer.Typer] = {
    "broker": broker.broker_app,
    "gateway": gateway.gateway_app,
    "topics": topics_app,
    "registry": registry_app,
    "knowledge": knowledge_app,
    "rejects": rejects.rejects_app,
    "state": state.state_app,
}

for group, commands in COMMANDS.items():
    for command in commands:
        group.command(hidden=command in HIDDEN)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rpm-stream {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Streaming remote patient monitoring.

    BLE device frames in, explained alerts and FHIR R4 Observations out.
    """
    del version


def main() -> None:
    """Run the command. The exit status is 0, 1 when a check fails, or 2 for wrong use.

    Unreadable input counts as wrong use. Exit 70 where going on would do harm, or for a defect. A
    defect does not exit with 1, because that would look like the result of a check that never came
    to its end.
    """
    configure_log("WARNING")
    os.umask(UMASK)  # files of a library or a child are readable by their owner alone, too
    try:
        _run()
        sys.stdout.flush()
    except (CheckFailed, UsageError) as error:
        _end(str(error), error.exit_status)
    except ValidationError as error:
        _end(_wrong_setting(error), 2)
    except BrokenPipeError:
        # The reader of the pipe has closed it. Python's buffered output must not be flushed again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except asyncio.CancelledError:
        # A client gave up a request. Nothing in the service cancels a command.
        _end("the command was interrupted and has no result: run it again", 2)
    except Exception:  # noqa: BLE001  # any exception keeps its traceback
        traceback.print_exc()
        sys.exit(EXIT_CRASHED)


def _run() -> None:
    """Run the requested command.

    A fault in its arguments ends as any other wrong use, with one line.
    """
    command = typer.main.get_command(app)
    try:
        with command.make_context("rpm-stream", sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except TyperException as error:
        if not (text := error.format_message()):  # no arguments: the help has been shown instead
            sys.exit(2)
        place = getattr(error, "ctx", None)
        raise UsageError(
            f"{text.rstrip('.')}; see {place.command_path if place else 'rpm-stream'} --help"
        ) from None


def _wrong_setting(error: ValidationError) -> str:
    """Return which setting is wrong and why, never its value, which may be a secret."""
    if error.title != Settings.__name__:
        raise error
    found = (
        f"RPM_{'_'.join(str(part) for part in each['loc']).upper()}: {each['msg']}"
        for each in error.errors()
    )
    return "; ".join(found)


def _end(text: str, status: int) -> NoReturn:
    sys.stderr.write(f"rpm-stream: {text}\n")
    sys.exit(status)
