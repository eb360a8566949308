"""Tables of cases, laid out for a reader."""

from __future__ import annotations


def rows(text: str) -> list[tuple[str, ...]]:
    """Return the cases of a table: one on each line, its cells parted by spaces."""
    return [tuple(line.split()) for line in text.splitlines() if line.strip()]
