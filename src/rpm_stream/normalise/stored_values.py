"""Refuse values that lay in their device for over 30 days, if its clock is known to be right."""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.entries import Refusal
from rpm_stream.normalise.clock_skew import noted, runs_behind
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.placement import DEVICE_TIME_BEFORE, Placed, place
from rpm_stream.normalise.value_identity import Identity, PlacedValue

# A clock that has lost its date starts at a date of its maker, mostly years ago. A memory reaches
# back some months.
LOST_DATE = timedelta(days=366)  # design choice
STORED = Refusal(
    reason="too_old", detail="measured over 30 days before it was sent, by a clock that is right"
)


def is_stored(placed: Placed) -> bool:
    """Return whether a value was in its device for over 30 days, by its own time.

    A clock that has lost its date is further back than any memory reaches.
    """
    if placed.behind is None or placed.by_device:
        return False
    return DEVICE_TIME_BEFORE < timedelta(seconds=placed.behind) <= LOST_DATE


def stored_refusal(memory: DeviceMemory, value: PlacedValue, identity: Identity) -> Refusal | None:
    """Return why a value that was in its device for over 30 days is not current, or None.

    The clock has since shown later times that counted, or this same one.
    """
    placed = value.placed
    if placed.behind is None or not is_stored(placed):
        return None
    counted = max(filter(None, (memory.counted, _counted_beside(value.frame))), default=None)
    if counted is None or placed.shown is None or counted < placed.shown:
        return None
    if counted == placed.shown and not _is_held(memory, identity):
        return None  # the clock may have stopped
    if runs_behind(noted(memory.behind, placed.behind)):
        return None  # its clock is wrong by the same each time, so it measures now
    return STORED


def _is_held(memory: DeviceMemory, identity: Identity) -> bool:
    """Return whether the value was seen under its device's time, however long ago."""
    sightings = memory.sightings.get(identity.mark.kind)
    return identity.name is not None and sightings is not None and sightings.holds(identity.name)


def _counted_beside(frame: FrameContext) -> datetime | None:
    """Return the latest time that counts among what came in the same frame."""
    if frame.counted is None:
        frame.counted = [
            beside.shown
            for entry in frame.entries
            for decoded in entry.payload.readings[:1]
            if (beside := place(entry.at, decoded, entry.utc_offset or frame.offset)).by_device
            and beside.shown is not None
        ]
    return max(frame.counted, default=None)
