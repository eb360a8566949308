"""Decide whether a value is a duplicate.

A value is a duplicate if the device has left its mark (seen_entries.py), or if it was seen under
the time that its device shows (sightings.py). Another value with a known time is a new value,
because a stopped clock shows one time for all that it measures. A value that is too old to be
distinguished from a re-sent one is refused, never dropped silently.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from rpm_stream.entries import Refusal
from rpm_stream.normalise.clock_skew import SKEWED, noted, runs_behind
from rpm_stream.normalise.device_memory import DeviceMemory
from rpm_stream.normalise.placement import sent_time
from rpm_stream.normalise.seen_entries import EntryVerdict, check, is_known, mark, size
from rpm_stream.normalise.sightings import TOGETHER, EntryOutcome, Sightings, forget
from rpm_stream.normalise.stored_values import is_stored
from rpm_stream.normalise.value_identity import (
    Identity,
    PlacedValue,
    content_of,
    identify_by_at,
    key_by_at,
)
from rpm_stream.records import Decoded

OLDER = Refusal(reason="too_old", detail="older than what can be told from a re-sent value")


def find(
    memory: DeviceMemory, value: PlacedValue, identity: Identity
) -> tuple[EntryVerdict, Identity]:
    """Return whether the value was seen, and its identity.

    The identity changes if another value already has the name under the device's time.
    """
    entry_mark = identity.mark
    verdict = check(memory.seen, entry_mark, value.is_dense, value.frame.is_known)
    if identity.name is None:
        return verdict, identity
    entry = value.entry
    decoded = value.decoded
    sightings = memory.sightings.get(entry_mark.kind)
    if value.is_numbered and _is_another(memory, identity):
        key = f"{decoded.key}\x1f{content_of(decoded)}"
        return "new", msgspec.structs.replace(
            identity, key=key, mark=mark(entry_mark.kind, key, entry_mark.at)
        )
    if verdict == "duplicate":
        return verdict, identity
    if identity.other is not None and is_known(memory.seen, identity.other):
        return "duplicate", identity
    found = (
        "new"
        if sightings is None
        else sightings.look(identity.name, entry.at, value.frame.received_at)
    )
    if found == "new":
        return verdict, identity
    if found == "refused" and verdict == "new" and not is_stored(value.placed):
        return verdict, msgspec.structs.replace(identity, was_refused=True)
    is_new_measurement = not (value.placed.by_device or value.is_numbered or _is_of_memory(value))
    if found == "anew" and is_new_measurement:
        return verdict, msgspec.structs.replace(identity, key=key_by_at(entry, decoded))
    return "duplicate", identity


def repeats_old_second(memory: DeviceMemory, value: PlacedValue, identity: Identity) -> bool | None:
    """Return whether an unknown value lies in a second of long ago that was seen.

    Returns None if that means nothing. It means something for a clock that counts and is well
    behind, in a frame that was not read before.
    """
    placed = value.placed
    if (
        not placed.by_device
        or placed.behind is None
        or placed.behind <= SKEWED
        or value.frame.is_known
    ):
        return None
    return (
        not is_known(memory.seen, identity.mark)
        and check(memory.seen, identity.mark, False, True) != "new"
    )


def is_set_back(memory: DeviceMemory, value: PlacedValue) -> bool:
    """Return whether the clock was set back, so that it shows old seconds again, and runs.

    A value of now would then count as one of that old time.
    """
    behind = value.placed.behind
    return behind is not None and runs_behind(noted(memory.behind, behind))


def was_read_alone(memory: DeviceMemory, value: PlacedValue, alone: Decoded) -> bool:
    """Return whether this value of a re-sent frame was read before its session was known.

    It was then read under its time of receipt. ``alone`` is the value without its session.
    """
    if not value.frame.is_known or value.decoded is alone:
        return False
    seen_as = identify_by_at(value.entry, alone).mark
    return check(memory.seen, seen_as, value.is_dense, True) == "duplicate"


def note_sighting(
    memory: DeviceMemory, value: PlacedValue, identity: Identity, outcome: EntryOutcome
) -> None:
    """Remember that a value was seen under its device's time."""
    if identity.name is None:
        return
    kinds = memory.sightings
    kind = identity.mark.kind
    if kind not in kinds:
        kinds[kind] = Sightings()
    kinds[kind].note(identity.name, value.entry.at, value.frame.received_at, outcome)
    forget(kinds, size(memory.seen))


def _is_another(memory: DeviceMemory, identity: Identity) -> bool:
    """Return whether the number of a value is known, but only with other values."""
    sightings = memory.sightings.get(identity.mark.kind)
    if sightings is None or identity.name is None:
        return False
    return is_known(memory.seen, identity.mark) and sightings.is_another(identity.name)


def _is_of_memory(value: PlacedValue) -> bool:
    """Return whether another value of the same shown time came with this one.

    Also true if the whole frame has come before.
    """
    entry = value.entry
    sent = sent_time(value.decoded)
    return value.frame.is_known or any(
        other.characteristic == entry.characteristic
        and other.content != entry.content
        and abs(other.at - entry.at) <= timedelta(seconds=TOGETHER)
        and any(sent_time(each) == sent for each in other.payload.readings[:1])
        for other in value.frame.entries
    )
