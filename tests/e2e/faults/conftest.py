"""The table at the end of a run of the faults."""

from __future__ import annotations

import pytest

ROWS = pytest.StashKey[list[list[str]]]()
HEAD = ["fault", "how", "frames", "lost", "two contents", "repeated", "own exits", "took"]


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[list[str]]:
    """A row for each fault that was survived."""
    return request.config.stash[ROWS]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Markdown, as README shows it. A fault that failed has no row: pytest has named it above."""
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]

    def line(row: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    terminalreporter.section("faults")
    terminalreporter.write_line(line(HEAD))
    terminalreporter.write_line("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in rows:
        terminalreporter.write_line(line(row))
