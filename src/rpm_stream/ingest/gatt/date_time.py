"""Date Time (2A08): seven octets of local time without a zone.

year u16 (0 unknown, else 1582-9999), month u8 (0 unknown), day u8 (0 unknown), hours, minutes,
seconds u8. The zone is added later (the payload's, else the registry's, else the gateway's), never
here.
"""

from __future__ import annotations

import calendar
import struct
from datetime import datetime
from typing import TypeAlias

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.records.in_house import Payload

Fields: TypeAlias = list[int | None]
"""[year, month, day, hours, minutes, seconds], with ``None`` for an unknown year, month or day."""

_LAYOUT = struct.Struct("<HBBBBB")
_LEAP_YEAR = 2000  # 29 February may be right in a date without a year


def read_fields(cursor: Cursor) -> Fields:
    """Read and check the seven octets, the day against the calendar.

    Raises ``reserved_value`` if one is out of range.
    """
    year, month, day, hour, minute, second = _LAYOUT.unpack(cursor.take(7))
    if (year != 0 and not 1582 <= year <= 9999) or month > 12:
        raise DecodeError("reserved_value", "year or month out of range")
    longest = calendar.monthrange(year or _LEAP_YEAR, month)[1] if month else 31
    if day > longest:
        raise DecodeError("reserved_value", "day outside of its month")
    if hour > 23 or minute > 59 or second > 59:
        raise DecodeError("reserved_value", "time of day out of range")
    return [year or None, month or None, day or None, hour, minute, second]


def local_time(fields: Fields) -> datetime | None:
    """Return the naive local time, or ``None`` if year, month or day is unknown."""
    year, month, day, hour, minute, second = fields
    if year is None or month is None or day is None:
        return None
    return datetime(year, month, day, hour or 0, minute or 0, second or 0)


def decode_date_time(data: bytes) -> Payload:
    """Decode 2A08 by itself: no reading, and six elements in attribute ``date_time``."""
    cursor = Cursor(data)
    fields = read_fields(cursor)
    cursor.finish()
    return Payload(attributes={"date_time": fields})
