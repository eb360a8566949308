"""The facts that all entries of one frame share."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.entries import Entry
from rpm_stream.records import DeviceEntry


class FrameContext(msgspec.Struct, kw_only=True):
    """One frame as its entries see it.

    ``registered`` is the device's entry in the registry. ``unregistered`` is the patient of a
    device without an entry (in a CSV file). ``is_known`` means that the frame was read before.
    ``conflicts`` has the indexes of entries with impossible pressures.
    """

    frame: str
    device: str
    received_at: datetime
    registered: DeviceEntry | None
    unregistered: str | None
    offset: str | None  # from UTC: the registry's, else the frame's
    is_known: bool = False
    entries: list[Entry] = []
    conflicts: frozenset[int] = frozenset()
    # device times of the entries that count, filled where needed
    counted: list[datetime] | None = None
