"""The report as tables for a terminal: one wide table if it fits, else narrow ones.

The narrow tables have the same numbers. No number, hour, place or heading is ever broken over two
lines. Devices, gateways and reasons may be long, so they are folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from rpm_stream.app.operate.reconcile.lines import Gap, Hour, Missing, ReconcileLine, ReconcileTotal

# The columns that may be folded, with their least width. Every other column keeps its width.
FOLDED = {"device": 14, "gateway": 14, "boot": 8, "rejects": 26, "why": 30}
# Columns that are aligned to the left. Numbers are aligned to the right.
TEXT = FOLDED.keys() | {"hour", "what", "frame", "place", "seq", "reason"}
ANY_WIDTH = 10_000
HOURS = (
    "device",
    "hour",
    "frames",
    "lost",
    "parts",
    "readings",
    "duplicates",
    "rejects",
    "single",
    "summary",
    "not published",
    "also seen",
    "in flight",
    "missing",
)
CAME = ("device", "hour", "frames", "lost", "parts", "missing")
ENDED = ("device", "hour", "readings", "duplicates", "rejected")
BECAME = ("device", "hour", "single", "summary", "not published", "also seen", "in flight")
REFUSED = ("device", "hour", "reason", "parts")
MISSING = ("device", "what", "parts", "frame", "place", "why")
GAPS = ("gateway", "device", "seq", "boot")
TableRow = Sequence[object]


def show(lines: Sequence[ReconcileLine], width: int | None = None) -> None:
    """Print hours, what is missing, gaps and then the sum.

    ``width`` is in columns. None is the terminal's width, or 80.
    """
    console = Console(markup=False, highlight=False, width=width)
    hours = [line for line in lines if isinstance(line, Hour)]
    _first_that_fits(
        console,
        [_grid("Device and hour", HOURS, map(_hour, hours))],
        [
            _grid("What came, by device and hour", CAME, map(_came, hours)),
            _grid("What became of the parts", ENDED, map(_ended, hours)),
            _grid("What became of the readings", BECAME, map(_became, hours)),
            _grid("Rejected parts", REFUSED, (row for line in hours for row in _refused(line))),
        ],
    )
    missing = [line for line in lines if isinstance(line, Missing)]
    table = _grid("Missing", MISSING, map(_missing, missing))
    if _width(console, table) <= console.width:
        _print(console, table)
    else:
        for line in missing:
            _in_words(console, line)
    _print(
        console, _grid("Never came", GAPS, (_gap(line) for line in lines if isinstance(line, Gap)))
    )
    total = next(line for line in lines if isinstance(line, ReconcileTotal))
    console.print(
        f"{'Balanced' if total.balanced else 'NOT balanced'}: {total.frames} frames, {total.parts}"
        f" parts = {total.readings} readings + {total.duplicates} duplicates + {total.rejects}"
        f" rejects; in flight {total.in_flight.frames} frames, {total.in_flight.readings} readings,"
        f" {total.open_windows} open windows"
    )


def _grid(title: str, columns: Sequence[str], rows: Iterable[TableRow]) -> Table:
    grid = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in columns:
        head = name.replace(" ", "\n", 1)  # two short lines take less room than a long one
        grid.add_column(
            head,
            justify="left" if name in TEXT else "right",
            no_wrap=name not in FOLDED,
            overflow="fold",
            min_width=FOLDED.get(name, max(map(len, head.split("\n")))),
        )
    for row in rows:
        grid.add_row(*map(str, row))
    return grid


def _first_that_fits(console: Console, *choices: Sequence[Table]) -> None:
    """Print the first choice that fits without folding, or else the last one, folded."""
    fitting = (
        tables
        for tables in choices
        if all(_width(console, each) <= console.width for each in tables)
    )
    for table in next(fitting, choices[-1]):
        _print(console, table)


def _width(console: Console, table: Table) -> int:
    """Return the least width of a table, in which columns are folded as far as possible."""
    return Measurement.get(console, console.options.update(width=ANY_WIDTH), table).minimum


def _print(console: Console, table: Table) -> None:
    if table.row_count:
        console.print(table)


def _hour(line: Hour) -> TableRow:
    rejects = ", ".join(f"{count} {reason}" for reason, count in sorted(line.rejects.items()))
    return (
        line.device,
        _time(line),
        line.frames,
        line.lost,
        line.parts,
        line.readings,
        line.duplicates,
        rejects or 0,
        line.single,
        line.summary,
        line.not_published,
        line.also_seen,
        _in_flight(line),
        line.missing,
    )


def _came(line: Hour) -> TableRow:
    return line.device, _time(line), line.frames, line.lost, line.parts, line.missing


def _ended(line: Hour) -> TableRow:
    return line.device, _time(line), line.readings, line.duplicates, sum(line.rejects.values())


def _became(line: Hour) -> TableRow:
    return (
        line.device,
        _time(line),
        line.single,
        line.summary,
        line.not_published,
        line.also_seen,
        _in_flight(line),
    )


def _refused(line: Hour) -> Iterable[TableRow]:
    return (
        (line.device, _time(line), reason, count) for reason, count in sorted(line.rejects.items())
    )


def _time(line: Hour) -> str:
    return f"{line.hour:%Y-%m-%d %H}"


def _in_flight(line: Hour) -> int:
    return line.in_flight.frames + line.in_flight.readings


def _gap(line: Gap) -> TableRow:
    return line.gateway, line.device, f"{line.first} to {line.last}", line.boot


def _missing(line: Missing) -> TableRow:
    return _whose(line), line.kind, line.parts, line.frame or "", _place(line), line.why


def _in_words(console: Console, line: Missing) -> None:
    """Print a missing thing on lines of its own: what it is, where it was, and why."""
    parts = "1 part" if line.parts == 1 else f"{line.parts} parts"
    console.print(f"Missing: {line.kind}, {parts} of {_whose(line)}", overflow="fold")
    console.print(
        f"  {_place(line)}{f', frame {line.frame}' if line.frame else ''}", overflow="fold"
    )
    console.print(f"  {line.why}", overflow="fold")


def _whose(line: Missing) -> str:
    window = "" if line.window is None else f" {line.vital} {line.window:%Y-%m-%d %H:%M}"
    return f"{line.device or ''}{window}"


def _place(line: Missing) -> str:
    return f"{line.topic} {line.partition}:{line.offset}"
