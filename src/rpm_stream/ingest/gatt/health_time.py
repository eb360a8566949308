"""The elapsed-time stamp of the Generic Health Sensor: 9 octets. PROVISIONAL, as all of it.

flags u8 (bit 0 tick counter, bit 1 UTC, bits 3-2 resolution, bit 4 zone present, bit 5 current
timeline), counter u48 since 2000-01-01, source of synchronisation u8, zone s8 in quarters of an
hour (-128 unknown).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.notes import Notes

_TICKS = 0x01
_UTC = 0x02
_ZONE = 0x10
_CURRENT = 0x20
# microseconds of a count, by bits 3-2: 1 s, 0.1 s, 1 ms, 0.1 ms
_MICROSECONDS = (1_000_000, 100_000, 1_000, 100)
_EPOCH = datetime(2000, 1, 1)
_ZONE_UNKNOWN = -128
_QUARTER_MIN = 15


def note_timestamp(notes: Notes, cursor: Cursor) -> None:
    """Read the stamp into attribute ``timestamp``, and set the device time if it can be trusted.

    On the current timeline it sets ``device_time`` if local time is known, and attribute
    ``device_time_utc`` if UTC is. A stamp off the current timeline (the clock was set since) gets
    the flag ``not_current_timeline``.
    """
    flags = cursor.u8()
    counter = cursor.u48()
    source = cursor.u8()
    zone_min = _zone_min(flags, cursor.s8())
    time = None if flags & _TICKS else _shifted(_EPOCH, counter * _MICROSECONDS[flags >> 2 & 3])
    stamp: dict[str, Any] = {
        "flags": flags,
        "counter": counter,
        "source": source,
        "time": None if time is None else time.isoformat(),
        "utc": bool(flags & _UTC),
        "tz_min": zone_min,
        "current_timeline": bool(flags & _CURRENT),
    }
    notes.attributes["timestamp"] = stamp
    if not flags & _CURRENT:
        notes.flags.append("not_current_timeline")
    elif time is not None:
        _set_device_time(notes, time, bool(flags & _UTC), zone_min)


def _zone_min(flags: int, zone: int) -> int | None:
    if not flags & _ZONE or zone == _ZONE_UNKNOWN:
        return None
    if not -48 <= zone <= 56:
        raise DecodeError("reserved_value", "time zone out of range")
    return zone * _QUARTER_MIN


def _set_device_time(notes: Notes, time: datetime, utc: bool, zone_min: int | None) -> None:
    zone_us = None if zone_min is None else zone_min * 60_000_000
    if utc:
        notes.attributes["device_time_utc"] = f"{time.isoformat()}Z"
        notes.device_time = None if zone_us is None else _shifted(time, zone_us)
        return
    notes.device_time = time
    if zone_us is not None:
        notes.attributes["device_time_utc"] = f"{_shifted(time, -zone_us).isoformat()}Z"


def _shifted(time: datetime, microseconds: int) -> datetime:
    try:
        return time + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise DecodeError("reserved_value", "time stamp outside of the calendar") from error
