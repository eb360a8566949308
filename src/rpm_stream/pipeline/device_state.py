"""The state of one device: the memory of normalise, and parts that wait for later messages.

All of it is bounded. Nothing depends on the clock of this machine. An old message that comes again
finds what held at its own time (``at``), not what came last.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from rpm_stream.ingest.gatt.segments import MessageSegment
from rpm_stream.normalise.device_memory import DeviceMemory


class WaitingContext(msgspec.Struct, array_like=True, frozen=True):
    """A glucose context (2A34) that came before its measurement."""

    sequence: int
    at: datetime
    attributes: dict[str, Any]


class BodyPacket(msgspec.Struct, array_like=True, frozen=True):
    """A packet of 2A9C that is followed by more.

    It has the user and the time, which the later packets do not repeat.
    """

    at: datetime
    device_time: datetime | None
    user: int | str | None
    fat: str | None


class DeviceState(DeviceMemory):
    """What ingest remembers of one device.

    ``applied`` maps a partition of rpm.frames to the last offset applied. The state is stored as
    one map by field names, so that the fields of normalise and of reassembly are beside each other.
    """

    applied: dict[int, int] = msgspec.field(default_factory=dict)
    segments: list[MessageSegment] = msgspec.field(default_factory=list)
    contexts: list[WaitingContext] = msgspec.field(default_factory=list)
    bodies: list[BodyPacket] = msgspec.field(default_factory=list)
