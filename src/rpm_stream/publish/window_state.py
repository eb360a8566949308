"""What is stored of a patient's 15-minute windows."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Bin(msgspec.Struct, omit_defaults=True):
    """One window in the state.

    ``start`` is in seconds since 1970. ``counts`` is how often each value text occurred, in
    ``unit`` (numbers.py). ``again`` counts values that are the same measurement as a counted one.
    """

    start: int
    unit: str
    device: str | None
    utc_offset: str | None
    received_at: datetime
    counts: dict[str, int] = {}
    size: int = 0
    changed: bool = False
    sent: bool = False
    again: dict[str, int] = {}


class VitalWindows(msgspec.Struct):
    """The kept windows of one vital, oldest first.

    Readings of a continuous vital do not become Observations of their own. They are counted into
    windows of 15 minutes, and each window becomes one summary. A course keeps the newest windows,
    so that a late reading can still be counted. ``newest`` is the time of the newest reading.
    Windows before ``floor`` (seconds since 1970) are closed for good, and a reading for them is
    published singly.
    """

    newest: float
    floor: int = -(2**62)
    bins: list[Bin] = []


class Summaries(msgspec.Struct):
    """The windows of one patient, with one ``VitalWindows`` for each vital.

    It encodes to msgpack and back.
    """

    patient: str
    courses: dict[str, VitalWindows] = {}
