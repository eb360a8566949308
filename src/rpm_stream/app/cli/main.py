"""The list of commands, and the one place where an error becomes a line and an exit status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rpm_stream import __version__
from rpm_stream.app.cli import broker, decode, feed, gateway, registry, replay, service, topics
from rpm_stream.app.errors import CheckFailed, UsageError

app = typer.Typer(
    name="rpm-stream",
    help="Streaming remote patient monitoring: BLE device frames in, explained alerts and FHIR R4 Observations out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics_app = typer.Typer(help="The nine Kafka topics: create, compare.", no_args_is_help=True)
registry_app = typer.Typer(help="Who wears what, and whose limits.", no_args_is_help=True)

app.command()(decode.decode)
app.command()(replay.replay)
app.command()(service.up)
app.command()(service.worker)
app.command(hidden=True)(service.stage)
app.command()(service.demo)
app.command()(feed.feed)
app.command()(broker.broker)
app.add_typer(gateway.gateway_app, name="gateway")
app.add_typer(topics_app, name="topics")
app.add_typer(registry_app, name="registry")
topics_app.command()(topics.apply)
topics_app.command()(topics.check)
topics_app.command(hidden=True)(topics.schemas)
registry_app.command()(registry.load)
registry_app.command()(registry.assign)
registry_app.command()(registry.unassign)
registry_app.command()(registry.show)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rpm-stream {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Streaming remote patient monitoring: BLE device frames in, explained alerts and FHIR R4 Observations out."""
    del version


def main() -> None:
    """Entry point. Exit 0; 1 when the answer of a check is no; 2 for wrong use or unreadable input."""
    try:
        app()
    except CheckFailed as error:
        sys.stderr.write(f"rpm-stream: {error}\n")
        sys.exit(1)
    except UsageError as error:
        sys.stderr.write(f"rpm-stream: {error}\n")
        sys.exit(2)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
