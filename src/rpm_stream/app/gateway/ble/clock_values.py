"""The values that set a device's clock.

They are Current Time (2A2B), Date Time (2A08) and Local Time Information (2A0F). This module
converts moments to bytes. It also converts bytes back, so that a device's clock can be compared
before it is written.

It reads no clock: the caller gives the moment and the offset. All three values are local time, and
only 2A0F carries an offset, so the caller sends the same offset with its frames.

Source: GATT Specification Supplement (Current Time, Exact Time 256, Day of Week, Time Zone, DST
Offset).
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

from rpm_stream.app.gateway.ble import fields
from rpm_stream.errors import RpmStreamError
from rpm_stream.records import Record

MANUAL: Final = 1  # this and the next three are bits of the adjust reason
EXTERNAL_REFERENCE: Final = 2
TIME_ZONE_CHANGED: Final = 4
SUMMER_TIME_CHANGED: Final = 8

# year, month, day, hours, minutes, seconds, weekday, 1/256 s, adjust reason
_LAYOUT = struct.Struct("<HBBBBBBBB")
_FRACTIONS = 256
_QUARTER_MIN = 15
_ZONE_UNKNOWN = -128
_SUMMER_UNKNOWN = 255
_SUMMER_CODES: dict[int, int] = {0: 0, 30: 2, 60: 4, 120: 8}  # minutes to the code of DST Offset
_SUMMER_MIN: dict[int, int] = {code: minutes for minutes, code in _SUMMER_CODES.items()}


class NoClockValue(RpmStreamError, ValueError):
    """The bytes are not a value of the characteristic. The text names the fault."""


class CurrentTime(Record, frozen=True, kw_only=True):
    """A value of 2A2B.

    ``local`` is the time on the device's clock, without a zone. It is None if the clock has no date
    yet.
    """

    local: datetime | None
    weekday: int  # 1 Monday to 7 Sunday, 0 unknown
    reasons: int  # bits: MANUAL and the others


class LocalTime(Record, frozen=True, kw_only=True):
    """A value of 2A0F in minutes.

    ``standard`` is the offset from UTC without summer time. ``summer`` is what summer time adds.
    None is unknown.
    """

    standard: int | None
    summer: int | None

    @property
    def utc_offset(self) -> int | None:
        """The whole offset from UTC in minutes, None if one of the two is unknown."""
        return None if self.standard is None or self.summer is None else self.standard + self.summer


def current_time(at: datetime, utc_offset: int, reasons: int = MANUAL) -> bytes:
    """Return the ten bytes of 2A2B for the moment ``at`` (with a zone).

    They show local time, ``utc_offset`` minutes east of UTC. ``reasons`` is a manual update by
    default, as blessed-android writes it to medical devices. Fractions are cut to 1/256 s. Raises
    ``ValueError`` for a moment without a zone.

    >>> current_time(datetime(2026, 11, 30, tzinfo=timezone(timedelta(hours=1))), 90).hex()
    'ea070b1e001e00010001'
    """
    local = _local(at, utc_offset)
    fraction = local.microsecond * _FRACTIONS // 1_000_000
    head = fields.date_time(local.replace(microsecond=0))
    return head + bytes([local.isoweekday(), fraction, reasons])


def date_time(local: datetime) -> bytes:
    """Return the seven bytes of 2A08 that set a device's clock to ``local``.

    A fraction of a second is cut. Raises ``ValueError`` for a time with a zone: the bytes have
    none, so the caller converts first.
    """
    if local.tzinfo is not None:
        raise ValueError("a device's own time has no zone")
    return fields.date_time(local.replace(microsecond=0))


def local_time_information(local_time: LocalTime) -> bytes:
    """Return the two bytes of 2A0F.

    The value has steps of 15 minutes for the zone, and 0, 30, 60 or 120 minutes for summer time.
    Offsets that do not fit are sent as unknown.
    """
    zone = local_time.standard
    summer = local_time.summer
    if (
        zone is None
        or zone % _QUARTER_MIN
        or not -48 <= zone // _QUARTER_MIN <= 56
        or summer not in _SUMMER_CODES
    ):
        return bytes([_ZONE_UNKNOWN & 0xFF, _SUMMER_UNKNOWN])
    return bytes([(zone // _QUARTER_MIN) & 0xFF, _SUMMER_CODES[summer]])


def local_time_at(at: datetime, zone: tzinfo) -> LocalTime:
    """Return the offset of ``zone`` at the moment ``at`` (with a zone), split as 2A0F splits it.

    If 2A0F has no code for the zone's own split, the whole offset is the standard offset. An
    example is Dublin, which counts winter as one hour less.
    """
    local = at.astimezone(zone)
    offset = _minutes(local.utcoffset())
    summer = _minutes(local.dst())
    if summer not in _SUMMER_CODES:
        summer = 0
    return LocalTime(standard=offset - summer, summer=summer)


def local_at(at: datetime, zone: tzinfo) -> datetime:
    """Return the time on a clock in ``zone`` at the moment ``at`` (with a zone).

    The result has no zone, as ``date_time`` needs it.
    """
    return at.astimezone(zone).replace(tzinfo=None)


def parse_current_time(data: bytes) -> CurrentTime:
    """Parse a value of 2A2B. Raises ``NoClockValue``."""
    if len(data) != _LAYOUT.size:
        raise NoClockValue(f"a value of 2A2B has {_LAYOUT.size} bytes, this has {len(data)}")
    year, month, day, hours, minutes, seconds, weekday, fraction, reasons = _LAYOUT.unpack(data)
    if weekday > 7:
        raise NoClockValue("the day of the week is out of range")
    local = _checked(year, month, day, timedelta(hours=hours, minutes=minutes, seconds=seconds))
    if local is not None:
        local += timedelta(microseconds=fraction * 1_000_000 // _FRACTIONS)
    return CurrentTime(local=local, weekday=weekday, reasons=reasons & 0x0F)


def parse_date_time(data: bytes) -> datetime | None:
    """Parse a value of 2A08 to a time without a zone, None if its date is unknown.

    Raises ``NoClockValue``.
    """
    if len(data) != 7:
        raise NoClockValue(f"a value of 2A08 has 7 bytes, this has {len(data)}")
    year, month, day, hours, minutes, seconds = struct.unpack("<HBBBBB", data)
    return _checked(year, month, day, timedelta(hours=hours, minutes=minutes, seconds=seconds))


def parse_local_time_information(data: bytes) -> LocalTime:
    """Parse a value of 2A0F.

    Raises ``NoClockValue`` for a wrong length, a zone out of range or a reserved value.
    """
    if len(data) != 2:
        raise NoClockValue(f"a value of 2A0F has 2 bytes, this has {len(data)}")
    zone, summer = struct.unpack("<bB", data)
    if zone != _ZONE_UNKNOWN and not -48 <= zone <= 56:
        raise NoClockValue("the time zone is out of range")
    if summer != _SUMMER_UNKNOWN and summer not in _SUMMER_MIN:
        raise NoClockValue("the value of summer time is reserved")
    standard = None if zone == _ZONE_UNKNOWN else zone * _QUARTER_MIN
    return LocalTime(standard=standard, summer=_SUMMER_MIN.get(summer))


def ahead(shown: datetime, at: datetime, utc_offset: int) -> timedelta:
    """Return how far a device's clock that shows ``shown`` is ahead of the moment ``at``.

    The result is negative if the clock is behind.
    """
    return shown - _local(at, utc_offset)


def _local(at: datetime, utc_offset: int) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment needs a zone")
    return at.astimezone(timezone(timedelta(minutes=utc_offset))).replace(tzinfo=None)


def _checked(year: int, month: int, day: int, since_midnight: timedelta) -> datetime | None:
    if not (year and month and day):
        return None
    if since_midnight >= timedelta(days=1):
        raise NoClockValue("the time of day is out of range")
    try:
        return datetime(year, month, day) + since_midnight
    except ValueError:
        raise NoClockValue("the date is not in the calendar") from None


def _minutes(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds() // 60)
