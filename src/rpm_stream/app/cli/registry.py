"""``rpm-stream registry``: who wears what, and whose limits, in the topic rpm.registry."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.errors import UsageError
from rpm_stream.app.settings import Settings

Bootstrap = Annotated[str | None, typer.Option(help="Kafka, host:port[,host:port]; default: RPM_BOOTSTRAP.")]
At = Annotated[str | None, typer.Option(help="From when (RFC 3339); default: now.")]


def load(
    file: Annotated[Path, typer.Argument(help="Entries, one JSON object a line.")], bootstrap: Bootstrap = None
) -> None:
    """Write the entries of a file to the registry.

    Example: rpm-stream registry load registry.jsonl
    """
    from rpm_stream.app.registry_file import read_registry
    from rpm_stream.app.registry_topic import write

    entries = list(read_registry(file))
    asyncio.run(write(bootstrap or Settings().bootstrap, entries))
    _say({"written": len(entries)})


def assign(
    device: Annotated[str, typer.Argument()],
    patient: Annotated[str, typer.Argument()],
    at: At = None,
    model: Annotated[str | None, typer.Option(help="The device's model, for quirks and the record.")] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """A patient gets a device from a moment on; whoever had it loses it then.

    Example: rpm-stream registry assign strap-17 patient-4 --at 2026-01-31T08:00:00Z
    """
    from rpm_stream.app.registry_topic import assign as change

    _say(asyncio.run(change(bootstrap or Settings().bootstrap, device, patient, _time(at), model)))


def unassign(device: Annotated[str, typer.Argument()], at: At = None, bootstrap: Bootstrap = None) -> None:
    """A device belongs to nobody from a moment on.

    Example: rpm-stream registry unassign strap-17
    """
    from rpm_stream.app.registry_topic import assign as change

    _say(asyncio.run(change(bootstrap or Settings().bootstrap, device, None, _time(at), None)))


def show(
    key: Annotated[str | None, typer.Argument(help="device/<id> or patient/<id>; none: all.")] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Print entries, one JSON object a line: the same form that load reads.

    Example: rpm-stream registry show device/strap-17
    """
    from rpm_stream.app.registry_topic import read

    entries = asyncio.run(read(bootstrap or Settings().bootstrap))
    if key is not None and key not in entries:
        raise UsageError("the registry has no such entry")
    for name, entry in sorted(entries.items()):
        if key in (None, name):
            _say(entry)


def _time(text: str | None) -> datetime:
    return datetime.now(UTC) if text is None else zoned_time("--at", text).astimezone(UTC)


def _say(record: object) -> None:
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
