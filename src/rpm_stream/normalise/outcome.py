"""Sort the outcomes of one entry's values, and note them in the device's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from rpm_stream.entries import Refusal
from rpm_stream.normalise.clock_skew import note_clock
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.duplicates import note_sighting
from rpm_stream.normalise.plausibility import CONTROL_SOLUTION
from rpm_stream.normalise.provenance import Provenance, make_reading
from rpm_stream.normalise.seen_entries import leave_out, remember
from rpm_stream.records import Decoded, Reading

REFUSED = "refused"  # flag of an implausible value that the judge reports
# Reasons that a change of the registry, the gateway's clock or this service may remove. The other
# reasons depend on the value itself.
MENDED_ELSEWHERE = frozenset(
    {"unknown_device", "unassigned", "identity_conflict", "future_time", "internal_error"}
)


class Ended(msgspec.Struct, frozen=True, gc=False):
    """One value of an entry and its outcome.

    None means a duplicate.
    """

    decoded: Decoded
    provenance: Provenance
    outcome: Reading | Refusal | None


class RefusedParts(NamedTuple):
    """Parts of an entry that were refused for one cause.

    ``implausible`` is the value as a reading of its patient, for the judge to report. The caller
    gives it the id of the reject.
    """

    why: Refusal
    parts: list[int]
    implausible: Reading | None


class Normalised(msgspec.Struct, frozen=True, gc=False):
    """The result of an entry, in which each of its parts is once.

    ``is_context`` means that it has no parts.
    """

    readings: list[Reading]
    duplicates: int
    refusals: list[RefusedParts]
    is_context: bool = False


def conclude(memory: DeviceMemory, ended: Sequence[Ended]) -> Normalised:
    """Sort the outcomes of an entry, and note in the device's memory what came."""
    last = ended[-1].provenance
    is_timed = last.identity.name is not None or last.value.placed.behind is not None
    if not is_timed and not memory.seen.partial:
        read = [
            each.outcome
            for each in ended
            if each.provenance is last and isinstance(each.outcome, Reading)
        ]
        # nearly always a stream: one time, the gateway's, and all values are read
        if len(read) == len(ended):
            remember(memory.seen, last.identity.mark)
            return Normalised(read, 0, [])
    return _concluded(memory, ended)


def _concluded(memory: DeviceMemory, ended: Sequence[Ended]) -> Normalised:
    readings: list[Reading] = []
    # by cause, where each implausible value is a cause of its own
    refused: dict[tuple[Refusal, int], list[Ended]] = {}
    duplicates = 0
    noted_one: Provenance | None = None
    remembered: Provenance | None = None
    for each in ended:
        shared = each.provenance
        outcome = each.outcome
        if isinstance(outcome, Refusal):
            own = each.decoded.part if outcome.reason == "implausible" else -1
            refused.setdefault((outcome, own), []).append(each)
            continue
        if outcome is None:
            duplicates += 1
        else:
            readings.append(outcome)
        if shared is not noted_one:  # nearly always the same for all parts
            noted_one = shared
            note_sighting(
                memory, shared.value, shared.identity, "again" if outcome is None else "read"
            )
        if outcome is not None and shared is not remembered:
            remembered = shared
            remember(memory.seen, shared.identity.mark)
    refusals: list[RefusedParts] = []
    for (why, _), values in refused.items():
        new = values if why.reason in MENDED_ELSEWHERE else _refused_first(memory, values)
        duplicates += len(values) - len(new)
        if new:
            refusals.append(_refused_parts(new, why))
    _note_clock(memory, ended, bool(readings))
    if memory.seen.partial or refused:
        _note_left_out(memory, ended)
    return Normalised(readings, duplicates, refusals)


def _refused_first(memory: DeviceMemory, values: Sequence[Ended]) -> list[Ended]:
    """Return the values that are refused for the first time, of those refused for their content."""
    for each in values:
        note_sighting(memory, each.provenance.value, each.provenance.identity, "refused")
    return [
        each
        for each in values
        if not each.provenance.identity.was_refused and each.provenance.verdict != "duplicate"
    ]


def _refused_parts(values: Sequence[Ended], why: Refusal) -> RefusedParts:
    decoded = values[0].decoded
    shared = values[0].provenance
    implausible = None
    if why.reason == "implausible" and CONTROL_SOLUTION not in decoded.flags:
        # the wearer was found before the value was checked
        assert isinstance(shared.patient, str)
        reading = make_reading(shared, decoded, shared.patient, False)
        implausible = msgspec.structs.replace(reading, flags=(*reading.flags, REFUSED))
    return RefusedParts(why, [each.decoded.part for each in values], implausible)


def _note_clock(memory: DeviceMemory, ended: Sequence[Ended], is_read: bool) -> None:
    """Note what the entry shows of its device's clock.

    It counts if the entry is read, its time repeats, or it is too old.
    """
    if (last := ended[-1].provenance).value.placed.behind is None:
        return
    shows_clock = False
    shared: Provenance | None = None
    for each in ended:
        if each.provenance is shared:
            continue
        shared = each.provenance
        if shared.clock_repeats is not None:
            shows_clock = shared.clock_repeats
        shows_clock |= shared.too_old is not None
    if shows_clock or is_read:
        note_clock(memory, last.value.placed, last.too_old is not None)


def _note_left_out(memory: DeviceMemory, ended: Sequence[Ended]) -> None:
    """Note which parts of an entry that was read are missing.

    If such a part is sent again and is then acceptable, it is no duplicate.
    """
    for names in {each.provenance.left_out_as for each in ended}:
        its = [each for each in ended if each.provenance.left_out_as == names]
        missing = [each.decoded.part for each in its if isinstance(each.outcome, Refusal)]
        if len(missing) < len(its) or names[0] in memory.seen.partial:
            leave_out(memory.seen, names, missing)
