"""Find rows of a table with a number that has no source beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
UNSOURCED = frozenset({"version"})  # numbers without a clinical meaning


def unsourced(table: Mapping[str, Any], key: str = "") -> Iterator[str]:
    """Yield the keys of numbers that have no ``source`` beside or around them.

    A source at the top of a file applies to its own numbers and tables. Each row of its lists needs
    its own source.
    """
    has_source = bool(str(table.get("source", "")).strip())
    if has_source and key:
        return
    for name, value in table.items():
        place = f"{key}.{name}" if key else name
        if isinstance(value, Mapping):
            yield from () if has_source else unsourced(value, place)
        elif isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, start=1):
                yield from unsourced(each, f"{place} {number}")
        elif not has_source and name not in UNSOURCED and _is_number(value):
            yield place


def _is_number(value: Any) -> bool:
    """Return whether a value is or holds a number.

    Numbers that must be exact are written as text.
    """
    if isinstance(value, list):
        return any(_is_number(each) for each in value)
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)
