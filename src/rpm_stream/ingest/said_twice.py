"""JSON objects that say one of their fields twice: a decoder keeps the last, and what the other
said would be lost.

Names are compared as JSON means them: ``"device"`` and ``"devic\\u0065"`` are one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

# begins the escape of a letter, digit or underscore, and names of fields have nothing else
ESCAPE = b"\\u00"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Once:
    """Looks at the objects of one type. ``least``: how many fields one needs, where none of them
    holds an object.

    So many that were decoded are each of them once.
    """

    def __init__(self, kind: type[msgspec.Struct], least: int | None = None) -> None:
        self._names = kind.__struct_encode_fields__
        self._quoted = tuple(f'"{name}"'.encode() for name in self._names)
        self._least = least

    def twice(self, value: bytes) -> str | None:
        """A field of the type that the object has twice; None where it has none. ``value`` is JSON
        that was decoded.

        Raises ValueError or RecursionError where it cannot be told.
        """
        if value.count(b'":') == self._least or self._at_a_glance(value):
            return None
        names: list[str] = []

        def keep(pairs: list[tuple[str, object]]) -> None:  # called for the outermost object last
            names[:] = [name for name, _ in pairs]

        json.loads(value, object_pairs_hook=keep, parse_int=str, parse_float=str)
        return next((name for name in self._names if names.count(name) > 1), None)

    def _at_a_glance(self, value: bytes) -> bool:
        """Whether the octets tell that nothing stands there twice, as they nearly always do.

        An object without blanks between its fields is as long as the fields that were kept; in any
        other each name stands once, and none of its letters is an escape.
        """
        kept = _fields.decode(value)
        if len(value) == 1 + sum([len(name) + len(said) + 4 for name, said in kept.items()]):
            return True
        return ESCAPE not in value and all(value.count(quoted) < 2 for quoted in self._quoted)


def twice_anywhere(value: bytes) -> bool:
    """Whether the object, or one inside of it, has a field twice. ``value`` is JSON that was
    decoded.

    Raises RecursionError where it cannot be told.
    """
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(value, object_pairs_hook=look, parse_int=str, parse_float=str)
    return found
