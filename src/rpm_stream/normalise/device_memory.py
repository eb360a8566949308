"""What normalise remembers of one device.

All of it is bounded. Nothing depends on this machine's clock. A message that comes again finds what
held at its own time.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rpm_stream.normalise.seen_entries import SeenEntries
from rpm_stream.normalise.sightings import Sightings

# begins the key of a value that only has its minutes since the start of a session
OFFSET = "offset/"
FOREVER_AGO = datetime(1, 1, 1, tzinfo=UTC)


class SensorSession(msgspec.Struct, array_like=True):
    """The start of a CGM session (2AAA): local time and, if sent, the offset from UTC.

    ``since`` is when the gateway read it. ``named`` is the start as it was first sent. It
    identifies the session even if the device's zone changes.
    """

    start: datetime
    offset: str | None
    since: datetime = FOREVER_AGO
    named: datetime | None = None


class DeviceMemory(msgspec.Struct):
    """What is known of one device's values, clock and glucose sensor sessions."""

    seen: SeenEntries = msgspec.field(default_factory=SeenEntries)
    session: SensorSession | None = None
    earlier: list[SensorSession] = []  # the sessions before ``session``, oldest first
    run_time_h: int | None = None  # how long the session is expected to last (2AAB)
    # the newest differences of the device's clock to the gateway's (clock_skew.py)
    behind: list[int] = []
    # by characteristic: values seen under the time that the clock shows
    sightings: dict[str, Sightings] = {}
    counted: datetime | None = None  # the latest device time that counted, without a zone
    # device time of the last value that was refused because it was stored too long
    stored: datetime | None = None
