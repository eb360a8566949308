"""Sessions of a continuous glucose sensor.

Its values (2AA7) carry minutes since the session's start (2AAA).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from rpm_stream.entries import Entry
from rpm_stream.normalise.device_memory import OFFSET, DeviceMemory, SensorSession
from rpm_stream.normalise.placement import offset_minutes, offset_text
from rpm_stream.records import Decoded

# sessions before the present one: sensors last days, and frames are seldom sent again after longer
MOST_EARLIER = 3
# records.Offset: no place is farther with zone and summer time together
FARTHEST_EAST_MIN = 14 * 60


def note_session(memory: DeviceMemory, entry: Entry) -> None:
    """Remember what surrounds CGM measurements: a session's start (2AAA) and run time (2AAB)."""
    if entry.characteristic == "2AAB":
        memory.run_time_h = entry.payload.attributes["run_time_h"]
    if entry.characteristic != "2AAA":
        return
    start = entry.payload.attributes.get("start") or [None]
    if None in start:
        return
    zone = entry.payload.attributes.get("tz_min")
    east = None if zone is None else zone + (entry.payload.attributes.get("dst_min") or 0)
    offset = None if east is None or east > FARTHEST_EAST_MIN else offset_text(east)
    sent = SensorSession(start=datetime(*start), offset=offset, since=entry.at)
    known = session_at(memory, entry.at)
    if known is not None and (known.start, known.offset) == (sent.start, sent.offset):
        return  # the gateway read it again at the next connection
    is_same = known is not None and _instant(known) == _instant(sent) is not None
    sent.named = known.named or known.start if known is not None and is_same else sent.start
    sessions = sorted([*_sessions(memory), sent], key=lambda each: each.since)
    memory.session = sessions[-1]
    memory.earlier = sessions[:-1][-MOST_EARLIER:]


def _sessions(memory: DeviceMemory) -> list[SensorSession]:
    return [*memory.earlier, memory.session] if memory.session is not None else []


def _instant(session: SensorSession) -> datetime | None:
    """Return when it started in UTC, if the device sent its zone."""
    if session.offset is None:
        return None
    try:
        return session.start - timedelta(minutes=offset_minutes(session.offset))
    except OverflowError:
        return None


def session_at(memory: DeviceMemory, at: datetime) -> SensorSession | None:
    """Return the session that the device was in at ``at``.

    Before all known sessions it is the first one.
    """
    sessions = _sessions(memory)
    begun = [each for each in sessions if each.since <= at]
    return begun[-1] if begun else next(iter(sessions), None)


def join_session(
    memory: DeviceMemory, decoded: Decoded, offset: str | None, at: datetime
) -> tuple[Decoded, str | None]:
    """Give a CGM value, received at ``at``, its time: session start plus its offset in minutes.

    ``offset`` from UTC is the entry's own. A value with a session gets the session's. The flag
    ``session_unknown`` marks a value that keeps the time of receipt. The flag ``session_over``
    marks one that is later than the session's run time.
    """
    if not decoded.key.startswith(OFFSET):
        return decoded, offset
    session = session_at(memory, at)
    if session is None:
        return msgspec.structs.replace(decoded, flags=(*decoded.flags, "session_unknown")), offset
    minutes = int(decoded.key.removeprefix(OFFSET))
    try:
        measured = session.start + timedelta(minutes=minutes)
    except OverflowError:
        return decoded, offset
    flags = decoded.flags
    if memory.run_time_h is not None and minutes > memory.run_time_h * 60:
        flags = (*flags, "session_over")
    key = f"{(session.named or session.start).isoformat()}/{decoded.key}"
    return msgspec.structs.replace(
        decoded, device_time=measured, key=key, flags=flags
    ), session.offset
