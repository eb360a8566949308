r"""Find JSON objects that have one of their fields twice.

A decoder keeps the last one, and the content of the other would be lost. Names are compared as JSON
means them: ``"device"`` and ``"devic\u0065"`` are one.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

# begins the escape of a letter, digit or underscore, which are the only characters in names of
# fields
ESCAPE = b"\\u00"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Once:
    """Checks the objects of one type.

    ``least`` is how many fields an object needs at least, for a type without fields that hold
    objects. If an object has exactly that many fields and was decoded, each of them is there once.
    """

    def __init__(self, kind: type[msgspec.Struct], least: int | None = None) -> None:
        self._names = kind.__struct_encode_fields__
        self._quoted = tuple(f'"{name}"'.encode() for name in self._names)
        self._least = least

    def twice(self, value: bytes) -> str | None:
        """Return a field of the type that the object has twice, or None.

        ``value`` is JSON that was decoded. Raises ValueError or RecursionError if the check is not
        possible.
        """
        if value.count(b'":') == self._least or self._at_a_glance(value):
            return None
        names: list[str] = []

        def keep(pairs: list[tuple[str, object]]) -> None:  # called last for the outermost object
            names[:] = [name for name, _ in pairs]

        json.loads(value, object_pairs_hook=keep, parse_int=str, parse_float=str)
        return next((name for name in self._names if names.count(name) > 1), None)

    def _at_a_glance(self, value: bytes) -> bool:
        """Return whether the bytes show without parsing that no field is there twice.

        This is nearly always so. An object without spaces between its fields is as long as the
        fields that were kept. In any other object each name must occur once, and no letter of it
        may be an escape.
        """
        kept = _fields.decode(value)
        if len(value) == 1 + sum([len(name) + len(key) + 4 for name, key in kept.items()]):
            return True
        return ESCAPE not in value and all(value.count(quoted) < 2 for quoted in self._quoted)


def twice_anywhere(value: bytes) -> bool:
    """Return whether the object, or one inside of it, has a field twice.

    ``value`` is JSON that was decoded. Raises RecursionError if the check is not possible.
    """
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) < len(pairs)

    json.loads(value, object_pairs_hook=look, parse_int=str, parse_float=str)
    return found
