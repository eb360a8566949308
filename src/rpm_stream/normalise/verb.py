"""The verb normalise: one decoded entry of a device becomes readings, duplicates and refusals.

The steps are in the order of the work. A value ends by precedence. It is a duplicate if it is
known. It is refused if it has no wearer, an impossible time, an unknown vital or unit, is too old,
or is implausible, in this order. Otherwise it is a reading. A value that is refused for its
content, and was refused for it before, is a duplicate too.
"""

from __future__ import annotations

import msgspec

from rpm_stream.entries import Entry, Refusal
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.normalise.clock_skew import CLOCK_SKEW, noted, skew
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.duplicates import (
    OLDER,
    find,
    is_set_back,
    repeats_old_second,
    was_read_alone,
)
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.outcome import Ended, Normalised, conclude
from rpm_stream.normalise.placement import place, time_fault, without_device_time
from rpm_stream.normalise.plausibility import UNKNOWN, Plausibility, meter_limit
from rpm_stream.normalise.provenance import Provenance, make_reading, reading_attributes
from rpm_stream.normalise.seen_entries import EntryVerdict, was_left_out
from rpm_stream.normalise.sensor_session import join_session, note_session
from rpm_stream.normalise.stored_values import stored_refusal
from rpm_stream.normalise.stream import stream_readings
from rpm_stream.normalise.value_identity import PlacedValue, has_number, identify, identify_by_at
from rpm_stream.normalise.wearer import claim, wearer
from rpm_stream.records import Decoded, Reading


class Normalise:
    """Turns entries into readings, by the knowledge tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.plausibility = Plausibility(knowledge)
        self._dense = frozenset(
            name for name, row in knowledge.characteristics.items() if row.dense
        )

    def entry(self, memory: DeviceMemory, frame: FrameContext, entry: Entry) -> Normalised:
        """Return the result of ``entry``.

        ``memory`` changes only when all of its values are decided.
        """
        readings = entry.payload.readings
        if not readings:
            note_session(memory, entry)
            return Normalised([], 0, [], is_context=True)
        short = stream_readings(memory, frame, entry, self.plausibility)
        if short is not None:
            return short
        is_conflict = entry.index in frame.conflicts or self.plausibility.panel_conflicts(entry)
        is_dense = entry.characteristic in self._dense
        ended: list[Ended] = []
        shared: Provenance | None = None
        first = readings[0]
        for decoded in readings:
            if shared is None or not _share_provenance(entry, first, decoded):
                first = decoded
                shared = _provenance(memory, frame, entry, decoded, is_dense)
            ended.append(
                Ended(decoded, shared, self._outcome(memory, shared, decoded, is_conflict))
            )
        return conclude(memory, ended)

    def _outcome(
        self, memory: DeviceMemory, shared: Provenance, decoded: Decoded, is_conflict: bool
    ) -> Reading | Refusal | None:
        """Return a reading, the refusal of a value, or None for a duplicate."""
        # 4. Known already, and not among the missing parts of an entry that was read.
        if shared.verdict == "duplicate" and not was_left_out(
            memory.seen, shared.left_out_as, decoded.part
        ):
            return None
        # 5. Plausibility of a value that has a wearer.
        patient = shared.patient
        if isinstance(patient, Refusal):
            return patient
        bound = self.plausibility.bound(decoded.vital, decoded.value, decoded.unit)
        if shared.too_old is not None and bound not in UNKNOWN:
            return shared.too_old
        if bound != "fine" or decoded.flags or is_conflict:
            if bound == "implausible":
                decoded = meter_limit(decoded)
            if why := self.plausibility.refusal(bound, decoded, is_conflict):
                return why
        # 6. The reading.
        return make_reading(shared, decoded, patient, bound == "query")


def _share_provenance(entry: Entry, one: Decoded, other: Decoded) -> bool:
    """Return whether two values of an entry have the same time, wearer and identity."""
    return one is other or (
        one.device_time == other.device_time
        and one.key == other.key
        and (not one.key or one.value == other.value or not has_number(entry, other))
        and one.flags == other.flags
        and (one.attributes is other.attributes or one.attributes == other.attributes)
    )


def _provenance(
    memory: DeviceMemory, frame: FrameContext, entry: Entry, alone: Decoded, is_dense: bool
) -> Provenance:
    """Return when the value was measured, whose it is and whether it is known.

    ``alone`` is the value as it was decoded, without its session.
    """
    # 1. Placement in time: the session's or the device's time if it counts, else the gateway's.
    decoded, offset = join_session(memory, alone, entry.utc_offset, entry.at)
    placed = place(entry.at, decoded, offset or frame.offset)
    value = PlacedValue(frame, entry, decoded, placed, is_dense)
    identity = identify(value)
    clock_repeats = repeats_old_second(memory, value, identity) if placed.by_device else None
    if clock_repeats and is_set_back(memory, value):
        placed = without_device_time(placed, entry.at)
        value = PlacedValue(frame, entry, decoded, placed, is_dense)
        identity = msgspec.structs.replace(identify_by_at(entry, decoded), name=identity.name)
    # 2. Wearer.
    patient, unsure = wearer(
        frame.registered,
        frame.unregistered,
        claim(placed.measured_at, decoded.attributes, entry.subject),
    )
    fault = time_fault(placed.measured_at, frame.received_at)
    if fault is not None and isinstance(patient, str):
        patient = fault
    # 3. Known already, too old to be known, or new.
    verdict: EntryVerdict = "new"
    if fault is None:
        verdict, identity = find(memory, value, identity)
    if verdict == "new" and was_read_alone(memory, value, alone):
        verdict = "duplicate"
    too_old = OLDER if verdict == "too_old" else None
    off_by = None
    if placed.behind is not None:
        off_by = skew(noted(memory.behind, placed.behind))
        if verdict == "new":
            too_old = stored_refusal(memory, value, identity)
    flags = decoded.flags + placed.flags
    if more := unsure if off_by is None else (*unsure, CLOCK_SKEW):
        flags += tuple([flag for flag in more if flag not in decoded.flags])
    attributes = reading_attributes(value, off_by)
    return Provenance(value, identity, verdict, patient, too_old, flags, attributes, clock_repeats)
