"""When a value was measured, whose it is and whether it is known, and the reading that follows."""

from __future__ import annotations

from typing import Any

import msgspec

from rpm_stream.ahead import CLOCK_AHEAD
from rpm_stream.entries import Refusal
from rpm_stream.ids import deterministic_id
from rpm_stream.normalise.clock_skew import SKEW_SECONDS
from rpm_stream.normalise.placement import DEVICE_TIME_AFTER
from rpm_stream.normalise.seen_entries import EntryVerdict
from rpm_stream.normalise.value_identity import Identity, PlacedValue
from rpm_stream.records import DEVICE_TIME, Decoded, Origin, Reading


class Provenance(msgspec.Struct, frozen=True, gc=False):
    """What values of an entry share that were measured at one time: when, whose, and whether known.

    An entry such as a blood pressure has several values with one time and one wearer. The shared
    facts are found once and used for each. ``patient`` is the wearer, or the refusal if there is
    none or the time is impossible. ``clock_repeats`` is whether the clock shows a second of long
    ago again, or None if that means nothing here.
    """

    value: PlacedValue
    identity: Identity
    verdict: EntryVerdict
    patient: str | Refusal
    too_old: Refusal | None
    flags: tuple[str, ...]
    attributes: dict[str, Any]  # of the readings, not changed after this
    clock_repeats: bool | None

    @property
    def left_out_as(self) -> tuple[int, ...]:
        """Its names among entries that were read in part.

        The first is the present one. Older releases wrote the second.
        """
        name = self.identity.name
        digest = self.identity.mark.digest
        return (digest,) if name is None else (name, digest)


def reading_attributes(value: PlacedValue, off_by: int | None) -> dict[str, Any]:
    """Return the attributes of the readings of one provenance.

    ``off_by`` is how many seconds the device's clock is off, if certain.
    """
    attributes = {**value.decoded.attributes, "characteristic": value.entry.characteristic}
    if off_by is not None:
        attributes[SKEW_SECONDS] = off_by
    if value.placed.shown is not None and not value.placed.by_device:
        attributes[DEVICE_TIME] = value.placed.shown.isoformat()
    return attributes


def make_reading(shared: Provenance, decoded: Decoded, patient: str, is_query: bool) -> Reading:
    """Return the reading of ``patient``.

    ``is_query`` means that its value lies outside the query bound.
    """
    frame = shared.value.frame
    entry = shared.value.entry
    placed = shared.value.placed
    flags = shared.flags
    if is_query:
        flags = (*flags, "query")
    if entry.at - frame.received_at > DEVICE_TIME_AFTER:
        flags = (*flags, CLOCK_AHEAD)
    key = shared.identity.key
    part = decoded.part
    return Reading(
        id=deterministic_id(
            "reading", frame.device, entry.characteristic, decoded.vital, str(part), key
        ),
        patient=patient,
        flags=flags,
        vital=decoded.vital,
        value=decoded.value,
        unit=decoded.unit,
        absent=decoded.absent,
        origin=Origin(frame=frame.frame, index=entry.index, part=part),
        device=frame.device,
        received_at=frame.received_at,
        measured_at=placed.measured_at,
        utc_offset=placed.utc_offset,
        attributes=shared.attributes,
    )
