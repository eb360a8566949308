"""What a payload says besides its values, collected while it is read, and put into each of its
readings.

The names of the attributes are the same for every characteristic: ``status`` with ``status_flags``,
``rfu``, ``timestamp``, ``user_id`` and so on. ``flags`` of a reading unites all names of set bits
with the short flags of this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.date_time import Fields, local_time
from rpm_stream.ingest.gatt.medfloat import Measured
from rpm_stream.records import Absent, Decoded, Payload

Bits: TypeAlias = Mapping[int, str]
"""The names of a field's bits by their number (0 is the lowest), in the order in which they are
reported.
"""

UNKNOWN_USER = 255


class Value(NamedTuple):
    """One value of a payload: vital, UCUM unit, plain decimal text or the reason of its absence."""

    vital: str
    unit: str
    text: str | None
    absent: Absent | None = None


def value(vital: str, unit: str, measured: Measured) -> Value:
    """A value from a medfloat."""
    return Value(vital, unit, measured[0], measured[1])


def names(table: Bits, bits: int) -> list[str]:
    """The names of the set bits, in the table's order."""
    return [name for bit, name in table.items() if bits >> bit & 1] if bits else []


def chosen(table: Mapping[int, str], code: int, field: str) -> str:
    """The name of an enumerated value that the payload cannot be read without;
    ``reserved_value`` when it has none.
    """
    name = table.get(code)
    if name is None:
        raise DecodeError("reserved_value", f"{field}: reserved value")
    return name


def describe(attributes: dict[str, Any], name: str, table: Mapping[int, str], code: int) -> bool:
    """Put what ``code`` says of the values into the attribute ``name``; whether the code is
    reserved.

    The rule for reserved codes: a code that only describes (where, of what, by whom, on what
    occasion) never costs the value. The description is null then, and ``<name>_code`` keeps the
    code. A code that is the value, its unit, its time or the message itself is ``reserved_value``,
    as what it stands for is not known.
    """
    attributes[name] = table.get(code)
    if attributes[name] is not None:
        return False
    attributes[f"{name}_code"] = code
    return True


class Notes:
    """A builder that lives for one payload: attributes, flags, device time and key of its
    readings.
    """

    __slots__ = ("attributes", "device_time", "flags", "key")

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.flags: list[str] = []
        self.device_time: datetime | None = None
        self.key = ""

    def rfu(self, bits: int) -> None:
        """Bits reserved for future use: ignored and reported, never a reason to refuse a value."""
        if bits:
            self.attributes["rfu"] = bits
            self.flags.append("rfu")

    def describe(self, name: str, table: Mapping[int, str], code: int) -> None:
        """What a code says of the values; a reserved one is reported and costs no value
        (``describe``).
        """
        if describe(self.attributes, name, table, code):
            self.flags.append("reserved_code")

    def bits(self, number_name: str, names_name: str, number: int, table: Bits) -> None:
        """A field of bits: its number, the names of its set bits, and the names as flags."""
        found = names(table, number)
        self.attributes[number_name] = number
        self.attributes[names_name] = found
        self.flags.extend(found)

    def stamp(self, fields: Fields) -> None:
        """A Date Time: the device time when complete, else attribute ``timestamp`` with nulls."""
        self.device_time = local_time(fields)
        if self.device_time is None:
            self.attributes["timestamp"] = fields

    def user(self, index: int) -> None:
        """The device's user slot; 255 is unknown, which matters: somebody else may have stood on
        the scale.
        """
        if index == UNKNOWN_USER:
            self.attributes["user_id"] = "unknown"
            self.flags.append("user_unknown")
        else:
            self.attributes["user_id"] = index

    def payload(self, values: Sequence[Value]) -> Payload:
        """The payload of these values in this order; without a value the attributes stand by
        themselves.

        All readings share one attributes object, which nobody changes after this.
        """
        return (
            Payload(readings=self.readings(values))
            if values
            else Payload(attributes=self.attributes)
        )

    def readings(self, values: Sequence[Value], first_part: int = 0) -> tuple[Decoded, ...]:
        """The readings of these values, their parts counted from ``first_part``."""
        flags = tuple(dict.fromkeys(self.flags))
        return tuple(
            [
                Decoded(
                    vital=vital,
                    value=text,
                    unit=unit,
                    absent=absent,
                    flags=flags,
                    part=part,
                    attributes=self.attributes,
                    device_time=self.device_time,
                    key=self.key,
                )
                for part, (vital, unit, text, absent) in enumerate(values, first_part)
            ]
        )
