"""The entry of a stream, in fewer steps than ``verb.py`` takes for any entry.

Nearly all entries of a device at 1 Hz are alike: no time or number of the device's own, one wearer,
no flag, plausible values, not seen before. Whether an entry is such a one is asked first, and what
becomes of it then is what the verb makes of it (``tests/laws/test_stream.py``). Of any other entry
nothing is decided here.
"""

from __future__ import annotations

from rpm_stream.entries import FHIR, Entry
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.outcome import Normalised
from rpm_stream.normalise.placement import DEVICE_TIME_AFTER, OLDEST, Placed
from rpm_stream.normalise.plausibility import PRESSURES, Plausibility
from rpm_stream.normalise.provenance import Provenance, make_reading, reading_attributes
from rpm_stream.normalise.seen_entries import remember_new
from rpm_stream.normalise.value_identity import PlacedValue, identify_by_at
from rpm_stream.normalise.wearer import USER
from rpm_stream.records import Payload

ASKED = (
    "device_time_utc",
    USER,
)  # attributes by which the verb places a value, or finds its person


def stream_readings(
    memory: DeviceMemory, frame: FrameContext, entry: Entry, plausibility: Plausibility
) -> Normalised | None:
    """The readings of an entry of a stream, noted in the memory; None where it is no such entry."""
    at = entry.at
    device = frame.registered
    if device is None or len(device.assignments) != 1 or not _is_plain(entry):
        return None
    if memory.seen.partial or frame.conflicts:
        return None
    if at < OLDEST or at - frame.received_at > DEVICE_TIME_AFTER:
        return None
    (holder,) = device.assignments
    if holder.user is not None or (holder.from_ is not None and at < holder.from_):
        return None
    if holder.until is not None and at >= holder.until:
        return None
    bound = plausibility.bound
    for each in entry.payload.readings:
        if bound(each.vital, each.value, each.unit) != "fine":
            return None
    decoded = entry.payload.readings[0]
    identity = identify_by_at(entry, decoded)
    placed = Placed(measured_at=at, utc_offset=frame.offset)
    value = PlacedValue(frame, entry, decoded, placed, True)
    attributes = reading_attributes(value, None)
    patient = holder.patient
    shared = Provenance(value, identity, "new", patient, None, (), attributes, None)
    readings = [make_reading(shared, each, patient, False) for each in entry.payload.readings]
    if not remember_new(memory.seen, identity.mark):
        return None  # the verb finds out what came before
    return Normalised(readings, 0, [])


def _is_plain(entry: Entry) -> bool:
    """Whether no value of an entry says when it was measured, whose it is, or a doubt."""
    if entry.subject or entry.utc_offset is not None or entry.characteristic == FHIR:
        return False
    return _says_nothing_else(entry.payload)


def _says_nothing_else(payload: Payload) -> bool:
    readings = payload.readings
    first = readings[0]
    if first.vital in PRESSURES or any(name in first.attributes for name in ASKED):
        return False
    for each in readings:
        if each.flags or each.key or each.device_time is not None:
            return False
        if each.value is None or each.attributes is not first.attributes:
            return False
    return True
