"""``rpm-stream registry``: devices and their wearers, patients and their limits."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.cli.times import zoned_time
from rpm_stream.app.runtime.clock import wall
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.records import Assignment
from rpm_stream.text import is_clean

At = Annotated[str | None, typer.Option(help="The beginning (RFC 3339); default: now.")]
Until = Annotated[str | None, typer.Option(help="The end (RFC 3339); default: none.")]
User = Annotated[
    int | None, typer.Option(min=0, max=254, help="The slot on a shared device (GATT user index).")
]


def load(
    file: Annotated[Path, typer.Argument(help="Entries, one JSON object a line.")],
    bootstrap: Bootstrap = None,
) -> None:
    """Write the entries of a file to the registry, each in place of the whole former one.

    A limit that cannot be used is refused, and then nothing is written. Ignored fields are reported
    on stderr. registry show prints entries in the same form.

    Example: rpm-stream registry load registry.jsonl
    """
    from rpm_stream.app.cli.tables import own_tables
    from rpm_stream.app.registry.file import ignored, read_registry, without_group
    from rpm_stream.app.registry.topic import read, write

    settings = Settings()
    entries = list(read_registry(file, own_tables(settings.knowledge)))
    broker = bootstrap or settings.bootstrap
    asyncio.run(write(broker, entries))
    _say({"written": len(entries)})
    for warning in (*ignored(file), *without_group(entries, asyncio.run(read(broker)))):
        sys.stderr.write(f"rpm-stream: {warning}\n")


def assign(
    device: Annotated[str, typer.Argument()],
    patient: Annotated[str, typer.Argument()],
    at: At = None,
    until: Until = None,
    user: User = None,
    model: Annotated[
        str | None, typer.Option(help="The device's model, for quirks and the record.")
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Give a patient a device from a moment on. Its former wearer loses it for that time.

    With --until it is a loan. Frames that were refused meanwhile because the device had no wearer
    are sent again, and a second line says how many. On a device that several use, --user names the
    patient's slot and leaves the others theirs.

    Example: rpm-stream registry assign strap-17 patient-4 --at 2026-01-31T08:00:00Z
    """
    from rpm_stream.app.operate.assign_device import assign as change

    new = _span(patient, (at, until), user)
    entry, redriven = asyncio.run(change(bootstrap or Settings().bootstrap, device, new, model))
    _say(entry)
    _say({"sent_again": redriven})


def unassign(
    device: Annotated[str, typer.Argument()],
    at: At = None,
    until: Until = None,
    user: User = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Take a device from its wearer from a moment on, until another with --until.

    With --user only that slot of the device is taken. A wearer of the device without a slot loses
    it too, because a patient cannot have all slots but one. Assign theirs by --user.

    Example: rpm-stream registry unassign strap-17
    """
    from rpm_stream.app.operate.assign_device import unassign as change

    _say(
        asyncio.run(
            change(bootstrap or Settings().bootstrap, device, _span("-", (at, until), user))
        )
    )


def correct(
    device: Annotated[str, typer.Option(help="The device that another person wore.")],
    start: Annotated[str, typer.Option("--from", help="The beginning (RFC 3339).")],
    until: Annotated[str, typer.Option(help="The end (RFC 3339).")],
    who: Annotated[str, typer.Option(help="The person who orders the correction.")],
    reason: Annotated[str, typer.Option(help="The reason, which the withdrawn alerts show.")],
    to: Annotated[
        str | None,
        typer.Option(help="The patient who wore it; default: no one, the readings were wrong."),
    ] = None,
    user: User = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Correct the registry, the record and the alerts when another person wore a device.

    Observations of the wrong patient become entered-in-error, and summaries are written again with
    their other readings. Alerts that rest on nothing else are withdrawn. The readings are judged as
    late readings of the right patient. What detectors learned stays. Run again, it does what is
    left to do.

    Example: rpm-stream registry correct --device strap-17 --from 2026-01-30T20:00:00Z --until
    2026-01-31T08:00:00Z --to patient-5 --who nurse-12 --reason "her husband wore it"
    """
    from rpm_stream.app.cli.tables import own_tables
    from rpm_stream.app.operate.correct_wearer import correct as change
    from rpm_stream.pipeline.holdings import Correction

    if not who.strip() or not reason.strip():
        raise UsageError("--who and --reason must not be empty")
    if not is_clean(who):
        raise UsageError("--who holds a control character")
    span = _span(to or "-", (start, until), user)
    order = Correction(patient=to, who=who, at=wall(), reason=reason)
    settings = Settings()
    knowledge = own_tables(settings.knowledge)
    _say(
        {
            "corrected": asyncio.run(
                change(bootstrap or settings.bootstrap, device, span, order, knowledge)
            )
        }
    )


def show(
    key: Annotated[
        str | None, typer.Argument(help="device/<id> or patient/<id>; default: all.")
    ] = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Print entries, one JSON object a line, in the form that load reads.

    Example: rpm-stream registry show device/strap-17
    """
    from rpm_stream.app.registry.topic import read
    from rpm_stream.knowledge.registry import entry_key

    registry = asyncio.run(read(bootstrap or Settings().bootstrap))
    entries = {entry_key(entry): entry for entry in registry.entries()}
    if key is not None and key not in entries:
        raise UsageError("the registry has no such entry")
    for name, entry in sorted(entries.items()):
        if key in (None, name):
            _say(entry)


def _span(patient: str, times: tuple[str | None, str | None], user: int | None) -> Assignment:
    """Return the assignment from ``--at`` (now) to ``--until`` (no end)."""
    at, until = times
    start = wall() if at is None else zoned_time("--at or --from", at).astimezone(UTC)
    end = None if until is None else zoned_time("--until", until).astimezone(UTC)
    if end is not None and end <= start:
        raise UsageError("--until must be after the beginning")
    return Assignment(patient=patient, from_=start, until=end, user=user)


def _say(record: object) -> None:
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
