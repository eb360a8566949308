"""Frame -> Readings, Rejects, one Account: the verbs ingest and normalise in order, for one device.

State is one ``DeviceState`` a device. A step never raises for what a frame holds: a failure inside one entry refuses
that entry as ``internal_error`` and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from rpm_stream.duplicates import frame_known, leave_out, remember, was_left_out
from rpm_stream.ids import deterministic_id
from rpm_stream.ingest import decode
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir_codes import codes_of
from rpm_stream.ingest.frames import FHIR, BadEntry, Entry, Envelope, decode_entries, parse_frame
from rpm_stream.ingest.quirks import Read, reader
from rpm_stream.knowledge import Knowledge
from rpm_stream.normalise import Bounds, Refusal, meter_limit, pressures_conflict, refusal
from rpm_stream.pipeline.device import DeviceState, note_session
from rpm_stream.pipeline.frames import FrameMessage, Ingested, Slot, Work, refused_whole
from rpm_stream.pipeline.joins import join
from rpm_stream.pipeline.skew import SKEW_SECONDS
from rpm_stream.pipeline.spots import Part, Spot
from rpm_stream.records import Decoded, DeviceEntry, Origin, Reading
from rpm_stream.registry import Registry
from rpm_stream.sameness import DEVICE_TIME

__all__ = ["DeviceState", "FrameMessage", "Ingest", "Ingested"]

CLOCK_AHEAD = timedelta(minutes=5)  # as much as device time may be ahead (CONTRACT 3)
PRESSURES = ("systolic", "diastolic", "mean_arterial")


# What the registry, the gateway's clock or we may mend: the others are for what a value says.
MENDED_ELSEWHERE = frozenset({"unknown_device", "unassigned", "identity_conflict", "future_time", "internal_error"})


class _Done(NamedTuple):
    """One value of an entry, where it stands, and what became of it; None: a duplicate."""

    decoded: Decoded
    spot: Spot
    outcome: Reading | Refusal | None


class Ingest:
    """The pure ingest agent: tables in, one ``step`` a frame."""

    def __init__(self, knowledge: Knowledge, registry: Registry, recorded_time: bool = False) -> None:
        self.knowledge, self.registry, self.recorded_time = knowledge, registry, recorded_time
        self._bounds = Bounds(knowledge)
        self._codes = codes_of(knowledge)
        self._models: dict[str, Read] = {model: reader(row) for model, row in knowledge.devices.items()}

    def step(self, state: DeviceState, message: FrameMessage) -> Ingested:
        """Apply one frame to ``state``. Never raises for what the frame holds."""
        try:
            envelope, kind, raw = parse_frame(message.key, message.value)
            received_at = self._received_at(envelope, message)
        except DecodeError as error:
            why = Refusal(reason=error.reason, detail=error.detail)
            return refused_whole(message, state.seen, why)
        except Exception as error:  # noqa: BLE001  # a bug of ours must not stop the device's other frames
            why = Refusal(reason="internal_error", detail=type(error).__name__)
            return refused_whole(message, state.seen, why)
        if message.key is None:
            message = msgspec.structs.replace(message, key=envelope.device)
        work = Work(message, envelope, received_at, state.seen)
        device = self.registry.devices.get(envelope.device)
        read = self._models.get(device.model or "", decode) if device is not None else decode
        entries = list(decode_entries(kind, raw, self._codes, read))
        if device is not None or message.patient is not None:
            work.known_frame = frame_known(state.seen, f"{envelope.gateway}\x1f{envelope.boot}", envelope.seq)
            if kind != "notifications":
                work.conflicts = self._conflicts(entries)
        if kind == "notifications":
            entries = join(state, entries, read, work.known_frame)
        work.entries = [entry for entry in entries if isinstance(entry, Entry)]
        for entry in entries:
            self._entry(state, work, entry, device)
        return work.done(len(raw))

    def _received_at(self, envelope: Envelope, message: FrameMessage) -> datetime:
        if not self.recorded_time:
            return message.received_at
        return (envelope.received_at or envelope.sent_at).astimezone(UTC)

    def _conflicts(self, entries: list[Entry | BadEntry]) -> set[Slot]:
        """Entries of one instant whose pressures no cuff can measure together."""
        cuffs: dict[datetime, dict[str, tuple[int, Decoded]]] = {}
        for entry in entries:
            if not isinstance(entry, Entry) or len(entry.payload.readings) != 1:
                continue  # a panel is judged by itself
            if (decoded := entry.payload.readings[0]).vital in PRESSURES:
                cuffs.setdefault(entry.at, {})[decoded.vital] = (entry.index, decoded)
        return {
            (at, index)
            for at, cuff in cuffs.items()
            if pressures_conflict({vital: decoded for vital, (_, decoded) in cuff.items()}, self._bounds)
            for index, _ in cuff.values()
        }

    def _entry(self, state: DeviceState, work: Work, entry: Entry | BadEntry, device: DeviceEntry | None) -> None:
        if isinstance(entry, BadEntry):
            work.reject(entry, [0], Refusal(reason=entry.reason, detail=entry.detail), "ingest")
            return
        try:
            if not entry.payload.readings:
                note_session(state, entry)
                work.context += 1
                return
            self._parts(Part(state, work, entry, device))
        except Exception as error:  # noqa: BLE001  # refuse this entry, keep all others
            why = Refusal(reason="internal_error", detail=type(error).__name__)
            work.reject(entry, [decoded.part for decoded in entry.payload.readings] or [0], why, "normalise")

    def _parts(self, part: Part) -> None:
        """Each value of one entry: a reading, a duplicate or a reject; noted only when the whole entry is done."""
        work, entry, readings = part.work, part.entry, part.entry.payload.readings
        conflict = (entry.at, entry.index) in work.conflicts
        if len(readings) > 1 and (readings[0].vital in PRESSURES or entry.characteristic == FHIR):
            conflict = pressures_conflict({decoded.vital: decoded for decoded in readings}, self._bounds)
        row = self.knowledge.characteristics.get(entry.characteristic)
        dense = row is not None and row.dense
        done = [_Done(each, *self._part(part, each, dense, conflict and each.vital in PRESSURES)) for each in readings]
        refused: dict[tuple[Refusal, int], list[_Done]] = {}  # by cause; of ``implausible`` each value is its own
        seen_at: Spot | None = None
        for each in done:
            outcome = each.outcome
            if isinstance(outcome, Refusal):
                own = each.decoded.part if outcome.reason == "implausible" else -1
                refused.setdefault((outcome, own), []).append(each)
                continue
            if outcome is None:
                work.duplicates += 1
            else:
                work.readings.setdefault(outcome.patient, []).append(outcome)
            if each.spot is not seen_at:  # nearly always one for all parts
                seen_at = each.spot
                part.note_sighting(each.spot, "again" if outcome is None else "read")
            if outcome is not None:
                remember(part.state.seen, each.spot.seen_as)
        for (why, _), values in refused.items():
            self._refuse(part, values, why)
        if part.shows_clock or any(isinstance(each.outcome, Reading) for each in done):
            part.note_clock()
        if part.state.seen.partial or any(isinstance(each.outcome, Refusal) for each in done):
            _leave_out(part, done)

    def _refuse(self, part: Part, values: list[_Done], why: Refusal) -> None:
        """One reject for a cause; or duplicates, where the device sends once more what was refused for what it says."""
        work, is_its_own = part.work, why.reason not in MENDED_ELSEWHERE
        again = [each for each in values if is_its_own and (each.spot.was_refused or each.spot.verdict == "duplicate")]
        work.duplicates += len(again)
        if new := [each for each in values if each not in again]:
            reject = work.reject(part.entry, [each.decoded.part for each in new], why, "normalise")
            first = new[0]
            if reject is not None and why.reason == "implausible" and "control_solution" not in first.decoded.flags:
                work.refuse(_refused(part, first.decoded, first.spot, reject.id))
        if is_its_own:
            for each in values:
                part.note_sighting(each.spot, "refused")

    def _part(self, part: Part, decoded: Decoded, dense: bool, conflict: bool) -> tuple[Spot, Reading | Refusal | None]:
        """Where one value stands, and its reading, a Refusal, or None for a duplicate."""
        spot = part.spot(decoded, dense)
        if spot.verdict == "duplicate" and not was_left_out(part.state.seen, spot.left_as, decoded.part):
            return spot, None
        return spot, self._read(part, spot, decoded, conflict)

    def _read(self, part: Part, spot: Spot, decoded: Decoded, conflict: bool) -> Reading | Refusal:
        bound = self._bounds.judge(decoded.vital, decoded.value, decoded.unit)
        if isinstance(spot.whose, Refusal):
            return spot.whose
        if bound in ("unknown_vital", "unknown_unit") and (why := refusal(bound, decoded, self.knowledge)):
            return why
        if spot.refusal is not None and spot.verdict != "duplicate":
            return spot.refusal
        if bound == "implausible":
            decoded = meter_limit(decoded)
        if (bound != "fine" or decoded.flags) and (why := refusal(bound, decoded, self.knowledge)):
            return why
        if conflict:
            return Refusal(reason="implausible", detail="no cuff measures these pressures together")
        return _reading(part, decoded, spot, spot.whose, bound == "query")


def _leave_out(part: Part, done: Sequence[_Done]) -> None:
    """Note what is missing of an entry that was read: sent again and then acceptable, it is no duplicate."""
    for names in {each.spot.left_as for each in done}:
        its = [each for each in done if each.spot.left_as == names]
        missing = [each.decoded.part for each in its if isinstance(each.outcome, Refusal)]
        if len(missing) < len(its) or names[0] in part.state.seen.partial:
            leave_out(part.state.seen, names, missing)


def _refused(part: Part, decoded: Decoded, spot: Spot, identity: str) -> Reading:
    """A value that no body can have, under the id of its reject."""
    assert isinstance(spot.whose, str)  # whose it would be was asked before its value was looked at
    reading = _reading(part, decoded, spot, spot.whose, False)
    return msgspec.structs.replace(reading, id=identity, flags=(*reading.flags, "refused"))


def _reading(part: Part, decoded: Decoded, spot: Spot, patient: str, query: bool) -> Reading:
    work, entry = part.work, part.entry
    device = work.envelope.device
    flags = spot.flags
    if query:
        flags = (*flags, "query")
    if entry.at - work.received_at > CLOCK_AHEAD:
        flags = (*flags, "clock_ahead")
    attributes = {**decoded.attributes, "characteristic": entry.characteristic}
    if spot.skew is not None:
        attributes[SKEW_SECONDS] = spot.skew
    if spot.placed.shown is not None and not spot.placed.by_device:
        attributes[DEVICE_TIME] = spot.placed.shown.isoformat()
    return Reading(
        id=deterministic_id("reading", device, entry.characteristic, decoded.vital, str(decoded.part), spot.key),
        patient=patient,
        device=device,
        vital=decoded.vital,
        value=decoded.value,
        unit=decoded.unit,
        measured_at=spot.placed.measured_at,
        received_at=work.received_at,
        utc_offset=spot.placed.utc_offset,
        absent=decoded.absent,
        flags=flags,
        attributes=attributes,
        origin=Origin(frame=work.envelope.frame, index=entry.index, part=decoded.part),
    )
