"""The table at the end of a run of the faults."""

from __future__ import annotations

import os

import pytest

ROWS = pytest.StashKey[list[list[str]]]()
FIGURES = pytest.StashKey[list[str]]()
HEAD = ["fault", "how", "frames", "lost", "two contents", "repeated", "own exits", "took"]


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[list[str]]:
    """A row for each fault that was survived."""
    return request.config.stash[ROWS]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines below the table."""
    return request.config.stash[FIGURES]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS], config.stash[FIGURES] = [], []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The waiting times take minutes: only with RPM_FAULTS=full or long (pytest counts them as
    deselected).
    """
    if os.environ.get("RPM_FAULTS", "short") == "short":
        long = [
            item for item in items if item.path.name in ("test_failover.py", "test_fairness.py")
        ]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Markdown, as README shows it. A fault that failed has no row: pytest has named it above."""
    rows, figures = config.stash.get(ROWS, []), config.stash.get(FIGURES, [])
    if rows or figures:
        terminalreporter.section("faults")
    if rows:
        widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
        for row in [HEAD, ["-" * width for width in widths], *rows]:
            cells = " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line(f"| {cells} |")
    for figure in figures:
        terminalreporter.write_line(figure)
