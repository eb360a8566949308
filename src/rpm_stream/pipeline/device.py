"""What ingest remembers of one device: what it has sent, and what its later messages refer to.

All of it is bounded, and nothing depends on the clock of this machine: an old message that comes again finds what held
at its own time (``at``), not what came last.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from rpm_stream.duplicates import Seen
from rpm_stream.ingest.frames import Entry
from rpm_stream.ingest.segments import Segment
from rpm_stream.normalise import Offsets, offset_minutes, offset_text
from rpm_stream.pipeline.sightings import Sightings
from rpm_stream.records import Decoded

MOST_EARLIER = 3  # sessions before the present one: sensors last days, re-sent frames seldom longer
FARTHEST_EAST_MIN = 14 * 60  # records.Offset: of zone and summer time together no place is farther
FOREVER_AGO = datetime(1, 1, 1, tzinfo=UTC)


class Session(msgspec.Struct, array_like=True):
    """Start of a CGM session (2AAA): local time and, when the device told it, its offset from UTC.

    ``since`` when the gateway read it; ``named`` the start as it was first told, which identifies the session however
    the device's zone changes.
    """

    start: datetime
    offset: str | None
    since: datetime = FOREVER_AGO
    named: datetime | None = None


class Context(msgspec.Struct, array_like=True, frozen=True):
    """A glucose context (2A34) that came before its measurement."""

    sequence: int
    at: datetime
    attributes: dict[str, Any]


class BodyPacket(msgspec.Struct, array_like=True, frozen=True):
    """A packet of 2A9C that more follow: whose and when, which the later ones do not repeat."""

    at: datetime
    device_time: datetime | None
    user: int | str | None
    fat: str | None


class DeviceState(msgspec.Struct):
    """What ingest remembers of one device. ``applied``: partition of rpm.frames -> last offset applied."""

    applied: dict[int, int] = {}
    seen: Seen = msgspec.field(default_factory=Seen)
    session: Session | None = None
    earlier: list[Session] = []  # those before ``session``, the oldest first
    run_time_h: int | None = None  # how long the session is expected to last (2AAB)
    segments: list[Segment] = []
    contexts: list[Context] = []
    bodies: list[BodyPacket] = []
    behind: list[int] = []  # the newest differences of the device's clock to the gateway's (skew.py)
    sightings: dict[str, Sightings] = {}  # by characteristic: what was seen under the time that its clock shows
    counted: datetime | None = None  # the latest time that its clock has shown and that counted, without a zone
    stored: datetime | None = None  # the time of the last value that was refused for having lain in it too long


def note_session(state: DeviceState, entry: Entry) -> None:
    """Keep what surrounds CGM measurements: the start of a session (2AAA) and its run time (2AAB)."""
    if entry.characteristic == "2AAB":
        state.run_time_h = entry.payload.attributes["run_time_h"]
    if entry.characteristic != "2AAA":
        return
    start = entry.payload.attributes.get("start") or [None]
    if None in start:
        return
    zone = entry.payload.attributes.get("tz_min")
    east = None if zone is None else zone + (entry.payload.attributes.get("dst_min") or 0)
    offset = None if east is None or east > FARTHEST_EAST_MIN else offset_text(east)
    told = Session(start=datetime(*start), offset=offset, since=entry.at)
    known = session_at(state, entry.at)
    if known is not None and (known.start, known.offset) == (told.start, told.offset):
        return  # read again at the next connection
    same = known is not None and _instant(known) == _instant(told) is not None
    told.named = known.named or known.start if known is not None and same else told.start
    sessions = sorted([*_sessions(state), told], key=lambda each: each.since)
    state.session = sessions[-1]
    state.earlier = sessions[:-1][-MOST_EARLIER:]


def _sessions(state: DeviceState) -> list[Session]:
    return [*state.earlier, state.session] if state.session is not None else []


def _instant(session: Session) -> datetime | None:
    """When it started in UTC, if the device told its zone."""
    if session.offset is None:
        return None
    try:
        return session.start - timedelta(minutes=offset_minutes(session.offset))
    except OverflowError:
        return None


def session_at(state: DeviceState, at: datetime) -> Session | None:
    """The session that the device was in at ``at``; before all that is known, the first one."""
    sessions = _sessions(state)
    begun = [each for each in sessions if each.since <= at]
    return begun[-1] if begun else next(iter(sessions), None)


def join_session(state: DeviceState, decoded: Decoded, offsets: Offsets, at: datetime) -> tuple[Decoded, Offsets]:
    """Give a CGM value, received at ``at``, its time: session start plus its offset in minutes.

    Flags: ``session_unknown`` (it keeps the time of receipt), ``session_over`` (later than the session's run time).
    """
    if not decoded.key.startswith("offset/"):
        return decoded, offsets
    session = session_at(state, at)
    if session is None:
        return msgspec.structs.replace(decoded, flags=(*decoded.flags, "session_unknown")), offsets
    minutes = int(decoded.key.removeprefix("offset/"))
    try:
        measured = session.start + timedelta(minutes=minutes)
    except OverflowError:
        return decoded, offsets
    flags = decoded.flags
    if state.run_time_h is not None and minutes > state.run_time_h * 60:
        flags = (*flags, "session_over")
    key = f"{(session.named or session.start).isoformat()}/{decoded.key}"
    joined = msgspec.structs.replace(decoded, device_time=measured, key=key, flags=flags)
    return joined, msgspec.structs.replace(offsets, payload=session.offset)
