"""Decide when a value was measured.

The device's own clock is used if its time counts, else the gateway's ``at``. Device time counts if
the clock is valid and the time lies within 30 days before and 5 minutes after ``at`` (CONTRACT 3).
The offset from UTC is the first known one of the payload's, the registry's and the frame's, else
UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

import msgspec

from rpm_stream.entries import Refusal
from rpm_stream.records import Decoded, Record

DEVICE_TIME_BEFORE = timedelta(days=30)  # CONTRACT 3
DEVICE_TIME_AFTER = timedelta(minutes=5)  # CONTRACT 3
# flags of decoders: the clock itself reports that it is wrong
CLOCK_FAULTS = frozenset({"clock_not_set", "time_fault"})
IGNORED = "device_time_ignored"
# A gateway whose clock is an hour off must not cost readings. Up to the largest offset from UTC
# (UTC+14) the clock counts as wrongly set, and the reading is flagged. No time zone explains a
# larger difference.
FUTURE = timedelta(hours=14)
# no device of these kinds is older, and all later arithmetic stays in range
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


class Placed(Record, frozen=True, kw_only=True, gc=False):
    """The place of a value in time, and how it was found.

    A value can have two times: that of the device's own clock, if it sends one, and the gateway's
    ``at``. ``measured_at`` is the one that counts, with the offset from UTC and flags for what was
    uncertain. ``by_device`` means that the device's own clock was used. ``behind`` is the number of
    seconds that the device time is before the gateway's, if the clock is valid. ``shown`` is that
    device time as the device shows it, without a zone.
    """

    measured_at: datetime
    utc_offset: str | None
    flags: tuple[str, ...] = ()
    by_device: bool = False
    behind: int | None = None
    shown: datetime | None = None


def offset_minutes(offset: str) -> int:
    """Return the minutes east of UTC for ``+hh:mm``, ``-hh:mm`` or ``Z``."""
    if offset == "Z":
        return 0
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return -minutes if offset[0] == "-" else minutes


def offset_text(minutes: int) -> str:
    """Return ``+hh:mm`` for minutes east of UTC."""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


@lru_cache(maxsize=256)
def _zone(offset: str) -> timezone:
    return timezone(timedelta(minutes=offset_minutes(offset)))


def place(at: datetime, decoded: Decoded, offset: str | None) -> Placed:
    """Choose between the device's clock and the gateway's ``at``.

    ``offset`` is the device's from UTC, if known.
    """
    if stamp := decoded.attributes.get("device_time_utc"):  # the device sends its zone
        decoded = msgspec.structs.replace(
            decoded, device_time=datetime.fromisoformat(stamp).replace(tzinfo=None)
        )
        offset = "Z"
    shown = decoded.device_time
    if shown is None:
        return Placed(measured_at=at, utc_offset=offset)
    if not CLOCK_FAULTS.isdisjoint(decoded.flags):
        return Placed(measured_at=at, utc_offset=offset, flags=(IGNORED,))
    zone = _zone(offset) if offset else UTC
    try:
        in_utc = shown.replace(tzinfo=zone).astimezone(UTC)
        counts = at - DEVICE_TIME_BEFORE <= in_utc <= at + DEVICE_TIME_AFTER
        behind = int((at - in_utc).total_seconds())
    except OverflowError:
        return Placed(measured_at=at, utc_offset=offset, flags=(IGNORED,), shown=shown)
    if not counts:
        return Placed(
            measured_at=at, utc_offset=offset, flags=(IGNORED,), behind=behind, shown=shown
        )
    return Placed(
        measured_at=in_utc,
        utc_offset=offset or "Z",
        flags=() if offset else ("offset_unknown",),
        by_device=True,
        behind=behind,
        shown=shown,
    )


def without_device_time(placed: Placed, at: datetime) -> Placed:
    """Return the same value by the gateway's clock."""
    return msgspec.structs.replace(
        placed, measured_at=at, by_device=False, flags=(*placed.flags, IGNORED)
    )


def sent_time(decoded: Decoded) -> str:
    """Return the valid time that the device gives a value, as the device writes it.

    It is empty if there is none. It distinguishes values whether or not it counts.
    """
    if not CLOCK_FAULTS.isdisjoint(decoded.flags):
        return ""
    return str(decoded.attributes.get("device_time_utc") or decoded.device_time or "")


def time_fault(measured_at: datetime, received_at: datetime) -> Refusal | None:
    """Return why nothing can have been measured at this time, or None.

    The time is later than any time zone explains, or before there were devices.
    """
    if measured_at - received_at > FUTURE:
        return Refusal(
            reason="future_time", detail="measured after it was received, beyond any time zone"
        )
    if measured_at < OLDEST:
        return Refusal(reason="too_old", detail="measured before there were such devices")
    return None
