"""``rpm-stream knowledge``: check and print the tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from rpm_stream.app.runtime.errors import CheckFailed, UsageError
from rpm_stream.knowledge import Bounds, Knowledge, KnowledgeError, examine, load, shipped

TableRows = Iterator[tuple[str, ...]]
WIDE = {"source": 5, "why": 6, "points": 4, "rule": 4}  # columns of words, against 2 for the others


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="A clinic's own tables; default: only the shipped ones.")
    ] = None,
) -> None:
    """Check the tables, with a folder's own over the shipped ones.

    Exit 1 where something is wrong, also for a number without its source. A line then holds file,
    key and reason. Otherwise print the tables in force: vitals, limits with their sources, rules
    with their priorities. They are tables on a terminal, and JSON Lines elsewhere.

    Example: rpm-stream knowledge check /etc/rpm-stream/knowledge
    """
    try:
        faults = examine(folder)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None
    if faults:
        for fault in faults:
            _say(dict(zip(("file", "key", "reason"), _parts(fault), strict=True)))
        raise CheckFailed(
            f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in the tables"
        )
    tables = {name: (columns, list(rows)) for name, columns, rows in _tables(load(folder))}
    if not sys.stdout.isatty():
        for name, (columns, found) in tables.items():
            for row in found:
                _say({"table": name, **dict(zip(columns, row, strict=True))})
        return
    console = Console()
    for name, (columns, found) in tables.items():
        if not found:
            continue
        table = Table(title=name, title_justify="left", box=SIMPLE, expand=True)
        for column in columns:
            table.add_column(column, overflow="fold", ratio=WIDE.get(column, 2))
        for row in found:
            table.add_row(*row)
        console.print(table)


def _parts(fault: str) -> tuple[str, str, str]:
    """Return file, key and reason of a fault. The key is empty where the file itself is wrong."""
    file, _, rest = fault.partition(": ")
    key, found, reason = rest.partition(": ")
    if found:
        return file, key, reason
    reason, _, place = rest.partition(" - at ")
    return file, place.strip("`").removeprefix("$."), reason


def _tables(knowledge: Knowledge) -> Iterator[tuple[str, tuple[str, ...], TableRows]]:
    yield "vitals", ("vital", "units", "refused", "queried", "source"), _vitals(knowledge)
    yield (
        "limits",
        ("vital", "limit", "recovers", "first", "repeated", "source"),
        _limits(knowledge),
    )
    yield "news2", ("line", "unit", "points", "source"), _news2(knowledge)
    yield "charts", ("chart", "vital", "unit", "bands", "recovers", "source"), _charts(knowledge)
    yield "rules", ("rule", "priority", "harm", "onset", "why"), _rules(knowledge)
    yield "dropped", ("vital", "limit"), _dropped(knowledge)
    yield "spellings", ("unit", "spellings"), _spellings(knowledge)
    yield "placeholders", ("vital", "text", "absent", "source"), _placeholders(knowledge)


def _vitals(knowledge: Knowledge) -> TableRows:
    for name, row in knowledge.vitals.items():
        yield name, ", ".join(row.units), _bounds(row.reject), _bounds(row.query), row.source


def _bounds(bounds: Bounds) -> str:
    words = [("below", bounds.below), ("at most", bounds.at_or_below), ("above", bounds.above)]
    return ", ".join(f"{word} {number}" for word, number in words if number is not None)


def _limits(knowledge: Knowledge) -> TableRows:
    for row in knowledge.limits.limit:
        bound = f"below {row.below}" if row.below is not None else f"above {row.above}"
        yield (
            row.vital,
            f"{bound} {row.unit}",
            str(row.recover),
            row.first,
            row.repeated or "",
            row.source,
        )


def _dropped(knowledge: Knowledge) -> TableRows:
    """Yield the shipped limits that a clinic's own rows drop.

    A clinic's [[limit]] rows replace all shipped ones, also those that the clinic did not think of.
    """
    holds = {row[:2] for row in _limits(knowledge)}
    yield from (row[:2] for row in _limits(shipped()) if row[:2] not in holds)


def _news2(knowledge: Knowledge) -> TableRows:
    chart = knowledge.news2
    lines = {
        **chart.parameters(),
        "oxygen_flow": chart.oxygen_flow,
        "inspired_oxygen": chart.inspired_oxygen,
    }
    for name, line in lines.items():
        words = ", ".join(
            f"to {upto}: {points}" if upto else f"then {points}" for upto, points in line.rows
        )
        yield name, line.unit, words, line.source or chart.source


def _charts(knowledge: Knowledge) -> TableRows:
    """Yield the charts that replace NEWS2, one row each."""
    lines = [("pregnancy", line) for line in knowledge.maternity.line]
    lines += [(age.words, line) for age in knowledge.child.age for line in age.line]
    for chart, line in lines:
        words = ", ".join(
            f"to {upto}: {band}" if upto else f"then {band}" for upto, band in line.rows
        )
        back = [f"from {line.recover.low}" if line.recover.low is not None else ""]
        back.append(f"to {line.recover.high}" if line.recover.high is not None else "")
        yield (
            chart,
            ", ".join(line.vitals),
            line.unit,
            words,
            " ".join(filter(None, back)),
            line.source,
        )


def _spellings(knowledge: Knowledge) -> TableRows:
    """Yield the other spellings of each unit, one row each."""
    for unit in dict.fromkeys(row.unit for row in knowledge.spellings.values()):
        yield unit, ", ".join(name for name, row in knowledge.spellings.items() if row.unit == unit)


def _placeholders(knowledge: Knowledge) -> TableRows:
    for row in knowledge.placeholders.placeholder:
        yield row.vital, row.text, row.absent, row.source


def _rules(knowledge: Knowledge) -> TableRows:
    for name, risk in knowledge.priorities.rule.items():
        yield name, knowledge.priorities.of(name), risk.harm, risk.onset, risk.why


def _say(record: object) -> None:
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
