"""Registry entries from a file: messages of ``rpm.registry``, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rpm_stream.app.errors import UsageError
from rpm_stream.records import RegistryEntry
from rpm_stream.registry import RegistryError, parse_entry


def read_registry(path: Path) -> Iterator[RegistryEntry]:
    """The entries in order. Raises UsageError naming the line; nothing of its content is said."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield parse_entry(line)
        except RegistryError as error:
            raise UsageError(f"{path}: line {number}: {error}") from None
