"""The report as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from rpm_stream.app.books.lines import Gap, Hour, Line, Missing, Total

HOURS = (
    "device", "hour", "frames", "lost", "parts", "readings", "duplicates", "rejects", "single", "summary",
    "not published", "also seen", "in flight", "missing",
)  # fmt: skip


def show(lines: list[Line]) -> None:
    """Three tables: hours, what is missing, gaps; then the sum."""
    console = Console(markup=False, highlight=False)
    hours = [_hour(line) for line in lines if isinstance(line, Hour)]
    missing = [_missing(line) for line in lines if isinstance(line, Missing)]
    gaps = [_gap(line) for line in lines if isinstance(line, Gap)]
    heads = (
        ("Device and hour", HOURS, hours),
        ("Missing", ("device", "what", "parts", "frame", "place", "why"), missing),
        ("Never came", ("gateway", "device", "seq", "boot"), gaps),
    )
    for title, columns, rows in heads:
        if rows:
            grid = Table(*columns, title=title)
            for row in rows:
                grid.add_row(*map(str, row))
            console.print(grid)
    total = next(line for line in lines if isinstance(line, Total))
    console.print(
        f"{'Balanced' if total.balanced else 'NOT balanced'}: {total.frames} frames, {total.parts} parts = "
        f"{total.readings} readings + {total.duplicates} duplicates + {total.rejects} rejects; in flight "
        f"{total.in_flight.frames} frames, {total.in_flight.readings} readings, {total.open_windows} open windows"
    )


def _hour(line: Hour) -> tuple[object, ...]:
    rejects = ", ".join(f"{count} {reason}" for reason, count in sorted(line.rejects.items()))
    return (
        line.device, f"{line.hour:%Y-%m-%d %H}", line.frames, line.lost, line.parts, line.readings, line.duplicates,
        rejects or 0, line.single, line.summary, line.not_published, line.also_seen,
        line.in_flight.frames + line.in_flight.readings, line.missing,
    )  # fmt: skip


def _gap(line: Gap) -> tuple[object, ...]:
    return line.gateway, line.device, f"{line.first} to {line.last}", line.boot


def _missing(line: Missing) -> tuple[object, ...]:
    window = "" if line.window is None else f" {line.vital} {line.window:%Y-%m-%d %H:%M}"
    place = f"{line.topic} {line.partition}:{line.offset}"
    return f"{line.device or ''}{window}", line.kind, line.parts, line.frame or "", place, line.why
