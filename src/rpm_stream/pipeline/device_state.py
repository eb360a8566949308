"""The state of one device: what normalise remembers of it, and what its later messages are put
together with.

All of it is bounded, and nothing depends on the clock of this machine: an old message that comes
again finds what held at its own time (``at``), not what came last.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from rpm_stream.ingest.gatt.segments import Segment
from rpm_stream.normalise.device_memory import DeviceMemory


class GlucoseContext(msgspec.Struct, array_like=True, frozen=True):
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


class DeviceState(DeviceMemory):
    """What ingest remembers of one device. ``applied``: partition of rpm.frames -> last offset
    applied.

    Stored as one map by field names, so that the fields of normalise and of reassembly stand beside
    each other.
    """

    applied: dict[int, int] = msgspec.field(default_factory=dict)
    segments: list[Segment] = msgspec.field(default_factory=list)
    contexts: list[GlucoseContext] = msgspec.field(default_factory=list)
    bodies: list[BodyPacket] = msgspec.field(default_factory=list)
