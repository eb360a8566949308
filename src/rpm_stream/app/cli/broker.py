"""``rpm-stream broker``: the embedded Kafka in the foreground."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rpm_stream.app.errors import UsageError
from rpm_stream.app.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.broker import Broker

POLL_SECONDS = 0.5


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = 9092,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what the topics hold from earlier runs.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder to keep the data in (in its subfolder kafka).", file_okay=False)
    ] = None,
) -> None:
    """Run an embedded Kafka for demos, development and tests, until Ctrl-C.

    Prints one JSON line when it is ready. The first run fetches 44 MB of jars into the user's cache.

    Example: rpm-stream broker --port 9092
    """
    # Both stop it in the same way, also while it starts; a shell may have started us with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        from rpm_stream.app.broker import Broker

        with Broker(data_dir or Settings().data_dir, port, fresh) as running:
            _serve(running)
    except KeyboardInterrupt:
        return


def _serve(running: Broker) -> None:
    sys.stdout.write(json.dumps({"ready": running.bootstrap, "log": str(running.log)}) + "\n")
    sys.stdout.flush()
    while running.running:
        time.sleep(POLL_SECONDS)
    raise UsageError(f"Kafka ended unexpectedly (log: {running.log})")
