"""The content of a payload besides its values, collected while it is read.

It is put into each of its readings. The names of the attributes are the same for every
characteristic: ``status`` with ``status_flags``, ``rfu``, ``timestamp``, ``user_id`` and so on.
``flags`` of a reading has all names of set bits and the short flags of this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.date_time import Fields, local_time
from rpm_stream.ingest.gatt.medfloat import FloatValue
from rpm_stream.records.in_house import Decoded, Payload
from rpm_stream.records.terms import Absent

Bits: TypeAlias = Mapping[int, str]
"""The names of a field's bits by their number (0 is the lowest), in the order of reporting."""

UNKNOWN_USER = 255


class Value(NamedTuple):
    """One value of a payload.

    It has a vital, a UCUM unit, and plain decimal text or the reason of its absence.
    """

    vital: str
    unit: str
    text: str | None
    absent: Absent | None = None


def value(vital: str, unit: str, measured: FloatValue) -> Value:
    """Return a value from a medfloat."""
    return Value(vital, unit, measured[0], measured[1])


def numbered(rows: str) -> dict[int, str]:
    r"""Return a table of numbers and their names from text with one row a line.

    >>> numbered("0 hand\n1 foot")
    {0: 'hand', 1: 'foot'}
    """
    found = (row.split() for row in rows.splitlines() if row.strip())
    return {int(number): name for number, name in found}


def names(table: Bits, bits: int) -> list[str]:
    """Return the names of the set bits, in the table's order."""
    return [name for bit, name in table.items() if bits >> bit & 1] if bits else []


def chosen(table: Mapping[int, str], code: int, field: str) -> str:
    """Return the name of an enumerated value that is needed to read the payload.

    Raises ``reserved_value`` if it has none.
    """
    name = table.get(code)
    if name is None:
        raise DecodeError("reserved_value", f"{field}: reserved value")
    return name


def describe(attributes: dict[str, Any], name: str, table: Mapping[int, str], code: int) -> bool:
    """Put the description for ``code`` into an attribute, and return whether it is reserved.

    The rule for reserved codes: a code that only describes (where, of what, by whom, on what
    occasion) never costs the value. The description in ``name`` is then null, and ``<name>_code``
    keeps the code. A code that is the value, its unit, its time or the message itself is
    ``reserved_value``, because its meaning is not known.
    """
    attributes[name] = table.get(code)
    if attributes[name] is not None:
        return False
    attributes[f"{name}_code"] = code
    return True


class Notes:
    """A builder for one payload: attributes, flags, device time and key of its readings."""

    __slots__ = ("attributes", "device_time", "flags", "key")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.flags: list[str] = []
        self.device_time: datetime | None = None
        self.key = ""

    def rfu(self, bits: int) -> None:
        """Report bits reserved for future use, which are no reason to refuse a value."""
        if bits:
            self.attributes["rfu"] = bits
            self.flags.append("rfu")

    def describe(self, name: str, table: Mapping[int, str], code: int) -> None:
        """Add the description for a code.

        A reserved code is reported and costs no value (see ``describe``).
        """
        if describe(self.attributes, name, table, code):
            self.flags.append("reserved_code")

    def bits(self, number_name: str, names_name: str, number: int, table: Bits) -> None:
        """Add a field of bits: its number, the names of its set bits, and the names as flags."""
        found = names(table, number)
        self.attributes[number_name] = number
        self.attributes[names_name] = found
        self.flags.extend(found)

    def stamp(self, fields: Fields) -> None:
        """Set the device time from a Date Time.

        An incomplete one goes into attribute ``timestamp``, with nulls.
        """
        self.device_time = local_time(fields)
        if self.device_time is None:
            self.attributes["timestamp"] = fields

    def user(self, index: int) -> None:
        """Add the device's user slot.

        255 is an unknown user. It matters, because another person may have been on the scale.
        """
        if index == UNKNOWN_USER:
            self.attributes["user_id"] = "unknown"
            self.flags.append("user_unknown")
        else:
            self.attributes["user_id"] = index

    def payload(self, values: Sequence[Value]) -> Payload:
        """Return the payload of these values in this order, or of the attributes without a value.

        All readings share one attributes object, which is not changed after this.
        """
        return (
            Payload(readings=self.readings(values))
            if values
            else Payload(attributes=self.attributes)
        )

    def readings(self, values: Sequence[Value], first_part: int = 0) -> tuple[Decoded, ...]:
        """Return the readings of these values, their parts counted from ``first_part``."""
        flags = tuple(dict.fromkeys(self.flags))
        return tuple(
            [
                Decoded(
                    vital=vital,
                    value=text,
                    unit=unit,
                    absent=absent,
                    attributes=self.attributes,
                    flags=flags,
                    device_time=self.device_time,
                    part=part,
                    key=self.key,
                )
                for part, (vital, unit, text, absent) in enumerate(values, first_part)
            ]
        )
