"""Frame -> Readings, Rejects, one Account: the verbs ingest and normalise in order, for one device.

State is one ``DeviceState`` a device. A step never raises for what a frame holds: a failure inside one entry refuses
that entry as ``internal_error`` and touches nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from rpm_stream.duplicates import Mark, Verdict, check, frame_known, is_known, leave_out, mark, remember, was_left_out
from rpm_stream.ids import deterministic_id
from rpm_stream.ingest import decode
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir_codes import codes_of
from rpm_stream.ingest.frames import APP, FHIR, BadEntry, Entry, Envelope, decode_entries, parse_frame
from rpm_stream.ingest.quirks import Read, reader
from rpm_stream.knowledge import Knowledge
from rpm_stream.normalise import (
    Bounds,
    Offsets,
    Placed,
    Refusal,
    meter_limit,
    place,
    pressures_conflict,
    refusal,
    time_fault,
    without_device_time,
)
from rpm_stream.pipeline.device import DeviceState, join_session, note_session
from rpm_stream.pipeline.frames import FrameMessage, Ingested, Slot, Spot, Work, identity_of, refused_whole
from rpm_stream.pipeline.identity import claim, whose
from rpm_stream.pipeline.joins import join
from rpm_stream.pipeline.skew import CLOCK_SKEW, SKEW_SECONDS, SKEWED, noted, runs_behind, skew
from rpm_stream.records import Decoded, DeviceEntry, Origin, Reading
from rpm_stream.registry import Registry

__all__ = ["DeviceState", "FrameMessage", "Ingest", "Ingested"]

CLOCK_AHEAD = timedelta(minutes=5)  # as much as device time may be ahead (CONTRACT 3)
PRESSURES = ("systolic", "diastolic", "mean_arterial")


class _Part:
    """One entry on its way, value by value."""

    __slots__ = ("_same", "_spot", "device", "entry", "ordinal", "shown_before", "state", "work")

    def __init__(self, state: DeviceState, work: Work, entry: Entry, device: DeviceEntry | None) -> None:
        self.state, self.work, self.entry, self.device = state, work, entry, device
        self.ordinal = work.ordinal(entry)
        self._same: Decoded | None = None
        self._spot: Spot | None = None
        self.shown_before = False  # its device's clock shows a second of long ago once more

    def spot(self, decoded: Decoded, dense: bool) -> Spot:
        """Where ``decoded`` stands; nearly always where the value before it does."""
        known = self._same
        if (
            self._spot is None
            or known is None
            or known.device_time != decoded.device_time
            or known.key != decoded.key
            or known.flags != decoded.flags
            or known.attributes != decoded.attributes
        ):
            self._same, self._spot = decoded, self._found(decoded, dense)
        return self._spot

    def note_clock(self) -> None:
        """Keep how far the device's clock was off in an entry that was read, or shows a time again, once."""
        if self._spot is not None and self._spot.placed.behind is not None:
            self.state.behind = noted(self.state.behind, self._spot.placed.behind)

    def _found(self, decoded: Decoded, dense: bool) -> Spot:
        device, entry, work = self.device, self.entry, self.work
        offsets = Offsets(
            payload=entry.utc_offset, registry=device.utc_offset if device else None, frame=work.envelope.utc_offset
        )
        alone = decoded
        decoded, offsets = join_session(self.state, decoded, offsets, entry.at)
        kind = decoded.vital if entry.characteristic in (APP, FHIR) else entry.characteristic
        placed = self._unless_set_back(place(entry.at, decoded, offsets), decoded, kind)
        key = identity_of(entry, decoded, placed, self.ordinal)
        patient, unsure = whose(
            device, work.message.patient, claim(placed.measured_at, decoded.attributes, entry.subject)
        )
        fault = time_fault(placed.measured_at, work.received_at)
        seen_as = mark(kind, key, placed.measured_at)
        off_by = None if placed.behind is None else skew(noted(self.state.behind, placed.behind))
        verdict: Verdict = "new" if fault else check(self.state.seen, seen_as, dense, work.known_frame)
        if work.known_frame and decoded is not alone and verdict == "new" and self._read_alone(alone, dense):
            verdict = "duplicate"
        flags = decoded.flags + placed.flags
        if more := unsure if off_by is None else (*unsure, CLOCK_SKEW):
            flags += tuple(flag for flag in more if flag not in decoded.flags)
        return Spot(
            placed=placed,
            flags=flags,
            key=key,
            whose=fault or patient if isinstance(patient, str) else patient,
            seen_as=seen_as,
            verdict=verdict,
            skew=off_by,
        )

    def _unless_set_back(self, placed: Placed, decoded: Decoded, kind: str) -> Placed:
        """As placed; by ``at`` where a clock that was set back shows seconds of long ago again.

        What it measures now would pass for what it measured then.
        """
        if not placed.by_device or placed.behind is None or placed.behind <= SKEWED or self.work.known_frame:
            return placed
        seen, key = self.state.seen, identity_of(self.entry, decoded, placed, self.ordinal)
        seen_as = mark(kind, key, placed.measured_at)
        self.shown_before = not is_known(seen, seen_as) and check(seen, seen_as, False, True) == "duplicate"
        set_back = self.shown_before and runs_behind(noted(self.state.behind, placed.behind))
        return without_device_time(placed, self.entry.at) if set_back else placed

    def _read_alone(self, alone: Decoded, dense: bool) -> bool:
        """Whether this value of a re-sent frame was read before its session was known, under its time of receipt."""
        at = self.entry.at
        key = identity_of(self.entry, alone, Placed(measured_at=at, utc_offset=None), self.ordinal)
        return check(self.state.seen, mark(self.entry.characteristic, key, at), dense, True) == "duplicate"


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
            self._parts(_Part(state, work, entry, device))
        except Exception as error:  # noqa: BLE001  # refuse this entry, keep all others
            why = Refusal(reason="internal_error", detail=type(error).__name__)
            work.reject(entry, [decoded.part for decoded in entry.payload.readings] or [0], why, "normalise")

    def _parts(self, part: _Part) -> None:
        """Each value of one entry: a reading, a duplicate or a reject; noted only when the whole entry is done."""
        work, entry, readings = part.work, part.entry, part.entry.payload.readings
        conflict = (entry.at, entry.index) in work.conflicts
        if len(readings) > 1 and (readings[0].vital in PRESSURES or entry.characteristic == FHIR):
            conflict = pressures_conflict({decoded.vital: decoded for decoded in readings}, self._bounds)
        row = self.knowledge.characteristics.get(entry.characteristic)
        dense = row is not None and row.dense
        outcomes = [(each, self._part(part, each, dense, conflict and each.vital in PRESSURES)) for each in readings]
        refused: dict[tuple[Refusal, int], list[Decoded]] = {}  # by cause; of ``implausible`` each value is its own
        read: Mark | None = None
        for decoded, outcome in outcomes:
            if isinstance(outcome, Refusal):
                own = decoded.part if outcome.reason == "implausible" else -1
                refused.setdefault((outcome, own), []).append(decoded)
            elif outcome is None:
                work.duplicates += 1
            else:
                if outcome[0] is not read:  # nearly always one for all parts
                    read = outcome[0]
                    remember(part.state.seen, read)
                work.readings.setdefault(outcome[1].patient, []).append(outcome[1])
        for (why, _), values in refused.items():
            reject = work.reject(entry, [decoded.part for decoded in values], why, "normalise")
            if reject is not None and why.reason == "implausible" and "control_solution" not in values[0].flags:
                work.refuse(_refused(part, values[0], part.spot(values[0], dense), reject.id))
        if read is not None or part.shown_before:
            part.note_clock()
        if refused or part.state.seen.partial:
            self._leave_out(part, [(each, isinstance(outcome, Refusal)) for each, outcome in outcomes], dense)

    def _leave_out(self, part: _Part, outcomes: list[tuple[Decoded, bool]], dense: bool) -> None:
        """Note what is missing of an entry that was read: sent again and then acceptable, it is no duplicate."""
        seen = part.state.seen
        marks = {decoded.part: part.spot(decoded, dense).seen_as for decoded, _ in outcomes}
        for entry_mark in {each.digest: each for each in marks.values()}.values():
            missing = [each.part for each, refused in outcomes if refused and marks[each.part] == entry_mark]
            leave_out(seen, entry_mark, missing)

    def _part(
        self, part: _Part, decoded: Decoded, dense: bool, conflict: bool
    ) -> tuple[Mark, Reading] | Refusal | None:
        """The reading of one value with its mark; a Refusal; or None for a duplicate."""
        bound = self._bounds.judge(decoded.vital, decoded.value, decoded.unit)
        spot = part.spot(decoded, dense)
        if spot.verdict == "duplicate" and not was_left_out(part.state.seen, spot.seen_as, decoded.part):
            return None
        if isinstance(spot.whose, Refusal):
            return spot.whose
        if bound in ("unknown_vital", "unknown_unit"):
            return refusal(bound, decoded, self.knowledge)
        if spot.verdict == "too_old":
            return Refusal(reason="too_old", detail="older than what can be told from a re-sent value")
        if bound == "implausible":
            decoded = meter_limit(decoded)
        if (bound != "fine" or decoded.flags) and (why := refusal(bound, decoded, self.knowledge)):
            return why
        if conflict:
            return Refusal(reason="implausible", detail="no cuff measures these pressures together")
        return spot.seen_as, _reading(part, decoded, spot, spot.whose, bound == "query")


def _refused(part: _Part, decoded: Decoded, spot: Spot, identity: str) -> Reading:
    """A value that no body can have, under the id of its reject."""
    assert isinstance(spot.whose, str)  # whose it would be was asked before its value was looked at
    reading = _reading(part, decoded, spot, spot.whose, False)
    return msgspec.structs.replace(reading, id=identity, flags=(*reading.flags, "refused"))


def _reading(part: _Part, decoded: Decoded, spot: Spot, patient: str, query: bool) -> Reading:
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
