"""``rpm-stream rejects``: list the refused readings, and resend their frames after a fix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, get_args

import msgspec
import typer

from rpm_stream.app.cli.options import Bootstrap
from rpm_stream.app.cli.output import write_line
from rpm_stream.app.cli.times import utc_time
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.settings import Settings

if TYPE_CHECKING:
    from rpm_stream.app.operate.rejects import Selection
    from rpm_stream.records import Reject

OfReason = Annotated[str | None, typer.Option(help="Only this reason, such as unassigned.")]
OfDevice = Annotated[str | None, typer.Option(help="Only this device.")]
Since = Annotated[str | None, typer.Option(help="Only rejects since this time (RFC 3339).")]
Most = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this one; repeat it for more.")]
Everything = Annotated[bool, typer.Option("--all", help="Every reject that the topic holds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent.")]

rejects_app = typer.Typer(
    help="The rejects: list, show, and resend their frames after a fix.", no_args_is_help=True
)


@rejects_app.command("list")
def list_rejects(
    reason: OfReason = None,
    device: OfDevice = None,
    since: Since = None,
    limit: Most = 100,
    bootstrap: Bootstrap = None,
) -> None:
    """List the newest rejects, the oldest first, one JSON object a line.

    show prints the refused bytes.

    Example: rpm-stream rejects list --reason unassigned --limit 20
    """
    from rpm_stream.app.operate.rejects import listed

    for reject in _found(_selection(reason, device, since, None), limit, bootstrap):
        write_line(listed(reject))


@rejects_app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID")], bootstrap: Bootstrap = None
) -> None:
    """Print one reject with its refused bytes, as text and in hexadecimal, and a possible fix.

    Example: rpm-stream rejects show 0b0f8f3e-66a2-5b0e-9f53-0f8d6a6c4f11
    """
    from rpm_stream.app.operate.rejects import shown

    found = _found(_selection(None, None, None, [identity]), 1, bootstrap)
    if not found:
        raise UsageError("rpm.rejects has no such id: rpm-stream rejects list")
    write_line(shown(found[0]))


@rejects_app.command()
def redrive(
    reason: OfReason = None,
    device: OfDevice = None,
    since: Since = None,
    ids: Ids = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Resend the frames of rejects after a fix.

    Parts of them that were read before are duplicates. The command may be repeated: a part that is
    refused again is a duplicate too, and no alert is raised twice. Only frames that the frames
    topic still holds (14 days) can be sent. A value measured over 7 days before the device's newest
    is too_old.

    Example: rpm-stream rejects redrive --reason unassigned --device strap-17 --dry-run
    """
    from rpm_stream.app.operate import redrive as again

    if not (reason or device or since or ids or everything):
        raise UsageError("choose rejects by --reason, --device, --since, --id, or --all")
    chosen = _found(_selection(reason, device, since, ids), None, bootstrap)
    if dry_run:
        write_line({"dry_run": True, **_counts(chosen)})
    else:
        write_line(asyncio.run(again.redrive(bootstrap or Settings().bootstrap, chosen)))


def _counts(chosen: list[Reject]) -> dict[str, int]:
    """Return how many frames would be sent, each once."""
    from rpm_stream.app.kafka.names import FRAMES

    places = {
        (one.position.partition, one.position.offset)
        for one in chosen
        if one.position.topic == FRAMES
    }
    judge = sum(one.position.topic != FRAMES for one in chosen)
    return {"rejects": len(chosen), "frames": len(places), "judge": judge}


def _selection(
    reason: str | None, device: str | None, since: str | None, ids: list[str] | None
) -> Selection:
    from rpm_stream.app.operate.rejects import Selection
    from rpm_stream.records import Reason

    known = next((each for each in get_args(Reason) if each == reason), None)
    if reason is not None and known is None:
        raise UsageError(f"--reason: {reason!r} is not one of {', '.join(get_args(Reason))}")
    time = utc_time("--since", since)
    return Selection(reason=known, device=device, since=time, ids=frozenset(ids or ()))


def _found(selection: Selection, limit: int | None, bootstrap: str | None) -> list[Reject]:
    """Return the newest ``limit`` rejects of a selection, each id once.

    Without a limit they have no original.
    """
    from rpm_stream.app.cli.progress import TopicBars
    from rpm_stream.app.operate.rejects import selected

    async def collect() -> list[Reject]:
        found: dict[str, Reject] = {}
        with TopicBars() as progress:
            async for reject in selected(bootstrap or Settings().bootstrap, selection, progress):
                found.setdefault(
                    reject.id, reject if limit else msgspec.structs.replace(reject, original="")
                )
                if limit and len(found) > 2 * limit:
                    _drop_oldest(found, limit)
        _drop_oldest(found, limit or len(found))
        return sorted(
            found.values(),
            key=lambda reject: (reject.at, reject.position.partition, reject.position.offset),
        )

    return asyncio.run(collect())


def _drop_oldest(found: dict[str, Reject], most: int) -> None:
    for reject in sorted(found.values(), key=lambda reject: reject.at)[: max(0, len(found) - most)]:
        del found[reject.id]
