"""Registry entries from a file: messages of ``rpm.registry``, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rpm_stream.app.errors import UsageError
from rpm_stream.knowledge import Vital
from rpm_stream.records import RegistryEntry
from rpm_stream.registry import RegistryError, parse_entry
from rpm_stream.score.own_limits import faults


def read_registry(path: Path, vitals: Mapping[str, Vital] | None = None) -> Iterator[RegistryEntry]:
    """The entries in order. Raises UsageError naming the line; nothing of its content is said but a wrong setting.

    With ``vitals`` a setting that cannot be used is an error too (a limit in a unit that its vital does not have).
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = parse_entry(line)
        except RegistryError as error:
            raise UsageError(f"{path}: line {number}: {error}") from None
        if vitals is not None and (found := faults(entry, vitals)):
            raise UsageError(f"{path}: line {number}: {'; '.join(found)}")
        yield entry
