"""What ingest remembers of one device: what it has sent, and the CGM sessions that its offsets count from."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from rpm_stream.duplicates import Seen
from rpm_stream.ingest.frames import Entry
from rpm_stream.normalise import Offsets, offset_text
from rpm_stream.records import Decoded


class Session(msgspec.Struct, array_like=True):
    """Start of a CGM session (2AAA): local time and, when the device told it, its offset from UTC."""

    start: datetime
    offset: str | None


class DeviceState(msgspec.Struct):
    """What ingest remembers of one device. ``applied``: partition of rpm.frames -> last offset applied."""

    applied: dict[int, int] = {}
    seen: Seen = msgspec.field(default_factory=Seen)
    session: Session | None = None


def note_session(state: DeviceState, entry: Entry) -> None:
    """Keep the start of a CGM session for the measurements that count from it."""
    if entry.characteristic != "2AAA":
        return
    start = entry.payload.attributes.get("start") or [None]
    if None in start:
        return
    zone = entry.payload.attributes.get("tz_min")
    offset = None if zone is None else offset_text(zone + (entry.payload.attributes.get("dst_min") or 0))
    state.session = Session(start=datetime(*start), offset=offset)


def join_session(state: DeviceState, decoded: Decoded, offsets: Offsets) -> tuple[Decoded, Offsets]:
    """Give a CGM value its time: session start plus its offset in minutes."""
    if not decoded.key.startswith("offset/"):
        return decoded, offsets
    if state.session is None:
        return msgspec.structs.replace(decoded, flags=(*decoded.flags, "session_unknown")), offsets
    try:
        at = state.session.start + timedelta(minutes=int(decoded.key.removeprefix("offset/")))
    except OverflowError:
        return decoded, offsets
    key = f"{state.session.start.isoformat()}/{decoded.key}"
    joined = msgspec.structs.replace(decoded, device_time=at, key=key)
    return joined, msgspec.structs.replace(offsets, payload=state.session.offset)
