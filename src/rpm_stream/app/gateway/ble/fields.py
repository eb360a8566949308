"""The two fields that a collector writes to a device: an unsigned integer and a Date Time (2A08).

The simulator writes its payloads with them too. Fields of GATT are little-endian.
"""

from __future__ import annotations

from datetime import datetime


def unsigned(value: int, octets: int) -> bytes:
    """An unsigned integer of so many octets. Raises ``ValueError`` outside its range."""
    if not 0 <= value < 1 << (8 * octets):
        raise ValueError(f"{value} does not fit into {octets} octets")
    return value.to_bytes(octets, "little")


def date_time(moment: datetime) -> bytes:
    """Seven octets of 2A08 from the fields of ``moment`` as they stand (local time; the wire has no
    zone).

    Raises ``ValueError`` for a fraction of a second or a year outside 1582 to 9999.
    """
    if moment.microsecond or moment.year < 1582:
        raise ValueError("a GATT date time has whole seconds and a year from 1582 to 9999")
    fields = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return moment.year.to_bytes(2, "little") + bytes(fields)
