"""The two fields that a collector writes to a device: an unsigned integer and a Date Time (2A08).

The simulator writes its payloads with them too. Fields of GATT are little-endian.
"""

from __future__ import annotations

from datetime import datetime


def unsigned(value: int, octets: int) -> bytes:
    """Return an unsigned integer in ``octets`` bytes. Raises ``ValueError`` outside its range."""
    if not 0 <= value < 1 << (8 * octets):
        raise ValueError(f"{value} does not fit into {octets} bytes")
    return value.to_bytes(octets, "little")


def date_time(moment: datetime) -> bytes:
    """Return the seven bytes of 2A08 for the fields of ``moment``.

    The fields are written without conversion: they are local time, and the value has no zone.
    Raises ``ValueError`` for a fraction of a second or a year outside 1582 to 9999.
    """
    if moment.microsecond or moment.year < 1582:
        raise ValueError("a GATT date time has whole seconds and a year from 1582 to 9999")
    fields = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return moment.year.to_bytes(2, "little") + bytes(fields)
