"""Registry entries from a file with one message of ``rpm.registry`` a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, RegistryError, parse_entry
from rpm_stream.pipeline.stored_entry import read_entry
from rpm_stream.records import PatientEntry, RegistryEntry
from rpm_stream.score.rules.entry_faults import faults

AnyEntry = TypeVar("AnyEntry")


def read_registry(path: Path, knowledge: Knowledge | None = None) -> Iterator[RegistryEntry]:
    """Yield the entries in order, as they may enter.

    Raises UsageError with the number of the line. The text holds nothing of the line's content but
    an unusable setting. With ``knowledge`` an unusable setting is an error too, for example a limit
    in a unit that its vital does not have. All of them are reported together, one a line.
    """
    wrong: list[str] = []
    now = Clock().now()
    for number, entry in _entries(path, parse_entry):
        if knowledge is not None and (found := faults(entry, knowledge, now)):
            wrong += [f"{path}: line {number}: {fault}" for fault in found]
        yield entry
    if wrong:
        raise UsageError("\n".join(wrong))


def stored_registry(path: Path) -> Registry:
    """Return the registry in a file of records of the topic, as a worker reads it.

    Raises UsageError.
    """
    registry = Registry()
    for _, stored in _entries(path, read_entry):
        registry.put(stored.entry, stored.left_out)
    return registry


def _entries(path: Path, read: Callable[[bytes], AnyEntry]) -> Iterator[tuple[int, AnyEntry]]:
    """Yield the number and the entry of each line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, read(line)
            except RegistryError as error:
                raise UsageError(f"{path}: line {number}: {error}") from None


def ignored(path: Path) -> Iterator[str]:
    """Yield the fields of a readable file that the service ignores, misspelt ones most often.

    Each is one text with the number of its line.
    """
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            given = msgspec.json.decode(line)
            given = (
                given["value"]
                if isinstance(given, dict) and {"key", "value"} <= given.keys()
                else given
            )
            for name in _unknown(given, msgspec.to_builtins(parse_entry(line))):
                yield f"line {number}: {name}: no such field, it is ignored"


def without_group(entries: Iterable[RegistryEntry], registry: Registry) -> Iterator[str]:
    """Yield how many panels and programmes that patients in ``entries`` name are missing.

    Settings of a missing panel or programme have no effect.
    """
    patients = [entry for entry in entries if isinstance(entry, PatientEntry)]
    for kind, names, known in (
        ("panel", {entry.panel for entry in patients}, registry.panels),
        ("programme", {entry.programme for entry in patients}, registry.programmes),
    ):
        missing = len({name for name in names if name is not None} - known.keys())
        if missing:
            yield (
                f"{missing} {kind}{'s' if missing > 1 else ''} that patients name, but the registry"
                " does not have"
            )


def _unknown(given: Any, known: Any) -> Iterator[str]:
    """Yield the names of fields in ``given`` that are not in ``known``, which has all fields."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name in known:
                yield from _unknown(value, known[name])
            else:
                # any other name might be a person's
                yield name if re.fullmatch("[a-z_]{1,40}", name) else "a field"
    elif isinstance(given, list) and isinstance(known, list | tuple):
        for one, read in zip(given, known, strict=False):
            yield from _unknown(one, read)
