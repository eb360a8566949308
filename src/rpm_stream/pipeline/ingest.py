"""Frame -> Readings, Rejects, one Account: the verbs ingest and normalise in order, for one device.

State is one ``DeviceState`` a device. A step never raises for what a frame holds: a failure inside one entry refuses
that entry as ``internal_error`` and touches nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec

from rpm_stream.duplicates import Mark, Seen, check, frame_known, mark, remember
from rpm_stream.ids import deterministic_id
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.frames import BadEntry, Entry, Envelope, decode_entries, parse_frame
from rpm_stream.knowledge import Knowledge
from rpm_stream.normalise import Bounds, Offsets, Placed, Refusal, offset_text, place, refusal, too_far_ahead
from rpm_stream.records import Account, Decoded, DeviceEntry, Origin, Position, Reading, Readings, Record, Reject, Stage
from rpm_stream.registry import Registry, wearer

READINGS_A_MESSAGE = 500  # CONTRACT 1
ORIGINAL_BYTES = 64 * 1024  # CONTRACT 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Session(msgspec.Struct, array_like=True):
    """Start of a CGM session (2AAA): local time and, when the device told it, its offset from UTC."""

    start: datetime
    offset: str | None


class DeviceState(msgspec.Struct):
    """What ingest remembers of one device."""

    applied: dict[int, int] = {}  # partition of rpm.frames -> last offset applied
    seen: Seen = msgspec.field(default_factory=Seen)
    session: Session | None = None


class FrameMessage(Record, frozen=True, kw_only=True):
    """A message of rpm.frames. From a file: ``lines`` has the line of each entry, or of all in one; ``patient`` is whose
    row of a CSV file it was, for a device that nobody registered.
    """

    key: str | None
    value: bytes
    position: Position
    received_at: datetime
    lines: tuple[int, ...] = ()
    patient: str | None = None


class Ingested(Record, frozen=True, kw_only=True):
    """All that one frame became."""

    readings: tuple[Readings, ...]
    rejects: tuple[Reject, ...]
    account: Account


class _Work:
    """One frame on its way: what is known of it, and what it became so far."""

    def __init__(self, message: FrameMessage, envelope: Envelope, received_at: datetime) -> None:
        self.message, self.envelope, self.received_at = message, envelope, received_at
        self.readings: dict[str, list[Reading]] = {}
        self.rejects: list[Reject] = []
        self.duplicates = self.context = 0
        self.known_frame = False
        self.equals: Counter[str] = Counter()
        self.conflicts: set[tuple[datetime, int]] = set()

    def reject(self, entry: Entry | BadEntry, part: int, why: Refusal, stage: Stage) -> None:
        origin = Origin(frame=self.envelope.frame, index=entry.index, part=part)
        self.rejects.append(make_reject(self.message, self.received_at, why, entry.original, stage, origin))


def make_reject(
    message: FrameMessage, received_at: datetime, why: Refusal, original: bytes, stage: Stage, origin: Origin | None
) -> Reject:
    """A Reject with its deterministic id (CONTRACT 5)."""
    digest = sha256(original).hexdigest()
    index, part = (origin.index, origin.part) if origin else (-1, -1)
    lines = message.lines
    return Reject(
        id=deterministic_id("reject", digest, str(index), str(part)),
        device=message.key or "",
        at=received_at,
        origin=origin,
        reason=why.reason,  # type: ignore[arg-type]  # DecodeError.reason is typed Reason at its source
        stage=stage,
        detail=why.detail[:500],
        original=b64encode(original[:ORIGINAL_BYTES]).decode(),
        sha256=digest,
        position=message.position,
        line=lines[index] if 0 <= index < len(lines) else (lines[0] if lines else None),
    )


class Ingest:
    """The pure ingest agent: tables in, one ``step`` a frame."""

    def __init__(self, knowledge: Knowledge, registry: Registry, recorded_time: bool = False) -> None:
        self.knowledge, self.registry, self.recorded_time = knowledge, registry, recorded_time
        self._bounds = Bounds(knowledge)

    def step(self, state: DeviceState, message: FrameMessage) -> Ingested:
        """Apply one frame to ``state``. Never raises for what the frame holds."""
        try:
            envelope, kind, raw = parse_frame(message.key, message.value)
            received_at = self._received_at(envelope, message)
        except DecodeError as error:
            return self._refused(message, Refusal(reason=error.reason, detail=error.detail))
        except Exception as error:  # a bug of ours must not stop the device's other frames
            return self._refused(message, Refusal(reason="internal_error", detail=type(error).__name__))
        if message.key is None:
            message = msgspec.structs.replace(message, key=envelope.device)
        work = _Work(message, envelope, received_at)
        work.known_frame = frame_known(state.seen, f"{envelope.gateway}\x1f{envelope.boot}", envelope.seq)
        device = self.registry.devices.get(envelope.device)
        if device is None and message.patient is None:
            why = Refusal(reason="unknown_device", detail="this device is not in the registry")
            for index, original in enumerate(raw):
                bad = BadEntry(index=index, reason=why.reason, detail=why.detail, original=bytes(original))
                work.reject(bad, 0, why, "normalise")
            return self._done(work, len(raw))
        entries = list(decode_entries(kind, raw))
        if kind == "measurements":
            work.conflicts = self._conflicts(entries)
        for entry in entries:
            self._entry(state, work, entry, device)
        return self._done(work, len(raw))

    def _received_at(self, envelope: Envelope, message: FrameMessage) -> datetime:
        if not self.recorded_time:
            return message.received_at
        return (envelope.received_at or envelope.sent_at).astimezone(UTC)

    def _conflicts(self, entries: list[Entry | BadEntry]) -> set[tuple[datetime, int]]:
        """Entries of one instant whose diastolic is not below systolic."""
        pairs: dict[datetime, dict[str, tuple[int, Decoded]]] = {}
        for entry in entries:
            if isinstance(entry, Entry) and entry.payload.readings[0].vital in ("systolic", "diastolic", "mean_arterial"):
                decoded = entry.payload.readings[0]
                pairs.setdefault(entry.at, {})[decoded.vital] = (entry.index, decoded)
        found: set[tuple[datetime, int]] = set()
        for at, pair in pairs.items():
            systolic, diastolic = pair.get("systolic"), pair.get("diastolic")
            if systolic and diastolic and self._bounds.pressures_conflict(systolic[1], diastolic[1]):
                found.update((at, index) for index, _ in pair.values())
        return found

    def _entry(self, state: DeviceState, work: _Work, entry: Entry | BadEntry, device: DeviceEntry | None) -> None:
        if isinstance(entry, BadEntry):
            work.reject(entry, 0, Refusal(reason=entry.reason, detail=entry.detail), "ingest")
            return
        try:
            if not entry.payload.readings:
                work.context += 1
                _note_session(state, entry)
                return
            self._parts(state, work, entry, device)
        except Exception as error:  # refuse this entry, keep all others
            why = Refusal(reason="internal_error", detail=type(error).__name__)
            for decoded in entry.payload.readings or (None,):
                work.reject(entry, decoded.part if decoded else 0, why, "normalise")

    def _parts(self, state: DeviceState, work: _Work, entry: Entry, device: DeviceEntry | None) -> None:
        """Each value of one entry becomes a reading, a duplicate or a reject; noted only when the whole entry is done."""
        by_vital = {decoded.vital: decoded for decoded in entry.payload.readings}
        conflict = (entry.at, entry.index) in work.conflicts or self._bounds.pressures_conflict(
            by_vital.get("systolic"), by_vital.get("diastolic")
        )
        made: list[tuple[Mark, Reading]] = []
        refused: list[tuple[int, Refusal]] = []
        duplicates = 0
        for decoded in entry.payload.readings:
            outcome = self._part(state, work, entry, decoded, device)
            if isinstance(outcome, Refusal):
                refused.append((decoded.part, outcome))
            elif outcome is None:
                duplicates += 1
            elif conflict and decoded.vital in ("systolic", "diastolic", "mean_arterial"):
                why = Refusal(reason="implausible", detail="diastolic is not below systolic")
                refused.append((decoded.part, why))
            else:
                made.append(outcome)
        for seen_as, reading in made:
            remember(state.seen, seen_as)
            work.readings.setdefault(reading.patient, []).append(reading)
        for part, why in refused:
            work.reject(entry, part, why, "normalise")
        work.duplicates += duplicates

    def _part(
        self, state: DeviceState, work: _Work, entry: Entry, decoded: Decoded, device: DeviceEntry | None
    ) -> tuple[Mark, Reading] | Refusal | None:
        """The reading of one value with its mark; a Refusal; or None for a duplicate."""
        bound = self._bounds.judge(decoded.vital, decoded.value, decoded.unit)
        if bound in ("unknown_vital", "unknown_unit"):
            return refusal(bound, decoded, self.knowledge) or Refusal(reason="internal_error", detail="bound")
        offsets = Offsets(
            registry=device.utc_offset if device else None,
            frame=work.envelope.utc_offset,
        )
        decoded, offsets = _join_session(state, decoded, offsets)
        placed = place(entry.at, decoded, offsets)
        if too_far_ahead(placed.measured_at, work.received_at):
            return Refusal(reason="future_time", detail="measured after it was received, beyond any time zone")
        patient = wearer(device, placed.measured_at) if device else work.message.patient
        if patient is None:
            return Refusal(reason="unassigned", detail="the device belonged to nobody at that time")
        key = _identity(work, entry, decoded, placed)
        kind = decoded.vital if entry.characteristic == "app" else entry.characteristic
        seen_as = mark(kind, key, placed.measured_at)
        row = self.knowledge.characteristics.get(entry.characteristic)
        verdict = check(state.seen, seen_as, row is not None and row.dense, work.known_frame)
        if verdict == "duplicate":
            return None
        if verdict == "too_old":
            return Refusal(reason="too_old", detail="older than what can be told from a re-sent value")
        if why := refusal(bound, decoded, self.knowledge):
            return why
        return seen_as, _reading(work, entry, decoded, placed, (patient, key, bound == "query"))

    def _refused(self, message: FrameMessage, why: Refusal) -> Ingested:
        """A frame that was refused whole: one part."""
        reject = make_reject(message, message.received_at, why, message.value, "ingest", None)
        account = Account(
            frame=None, gateway=None, device=message.key or "", seq=None, boot=None,
            partition=message.position.partition, offset=message.position.offset, received_at=message.received_at,
            entries=0, context=0, parts=1, readings=0, duplicates=0, rejects={why.reason: 1},
        )  # fmt: skip
        return Ingested(readings=(), rejects=(reject,), account=account)

    def _done(self, work: _Work, entries: int) -> Ingested:
        envelope, position = work.envelope, work.message.position
        messages = []
        for patient, readings in sorted(work.readings.items()):
            readings.sort(key=lambda reading: (reading.measured_at, reading.vital, reading.id))
            for chunk, start in enumerate(range(0, len(readings), READINGS_A_MESSAGE)):
                messages.append(
                    Readings(
                        patient=patient, frame=envelope.frame, partition=position.partition, offset=position.offset,
                        chunk=chunk, received_at=work.received_at,
                        readings=tuple(readings[start : start + READINGS_A_MESSAGE]),
                    )  # fmt: skip
                )
        count = sum(map(len, work.readings.values()))
        account = Account(
            frame=envelope.frame, gateway=envelope.gateway, device=envelope.device, seq=envelope.seq, boot=envelope.boot,
            partition=position.partition, offset=position.offset, received_at=work.received_at, entries=entries,
            context=work.context, parts=count + work.duplicates + len(work.rejects), readings=count,
            duplicates=work.duplicates, rejects=dict(sorted(Counter(reject.reason for reject in work.rejects).items())),
        )  # fmt: skip
        return Ingested(readings=tuple(messages), rejects=tuple(work.rejects), account=account)


def _note_session(state: DeviceState, entry: Entry) -> None:
    """Keep the start of a CGM session for the measurements that count from it."""
    if entry.characteristic != "2AAA":
        return
    start = entry.payload.attributes.get("start") or [None]
    if None in start:
        return
    zone = entry.payload.attributes.get("tz_min")
    offset = None if zone is None else offset_text(zone + (entry.payload.attributes.get("dst_min") or 0))
    state.session = Session(start=datetime(*start), offset=offset)


def _join_session(state: DeviceState, decoded: Decoded, offsets: Offsets) -> tuple[Decoded, Offsets]:
    """Give a CGM value its time: session start plus its offset in minutes."""
    if not decoded.key.startswith("offset/"):
        return decoded, offsets
    if state.session is None:
        return msgspec.structs.replace(decoded, flags=(*decoded.flags, "session_unknown")), offsets
    try:
        at = state.session.start + timedelta(minutes=int(decoded.key.removeprefix("offset/")))
    except OverflowError:
        return decoded, offsets
    key = f"{state.session.start.isoformat()}/{decoded.key}"
    joined = msgspec.structs.replace(decoded, device_time=at, key=key)
    return joined, msgspec.structs.replace(offsets, payload=state.session.offset)


def _identity(work: _Work, entry: Entry, decoded: Decoded, placed: Placed) -> str:
    """What identifies a value on its device: K of CONTRACT 5."""
    if decoded.key and not decoded.key.startswith("offset/"):
        return decoded.key
    if placed.by_device:
        return f"{placed.measured_at.isoformat()}\x1f{entry.content}"
    equal = f"{entry.characteristic}\x1f{entry.at.isoformat()}\x1f{entry.content}"
    if decoded.part == 0:
        work.equals[equal] += 1
    return f"{entry.at.isoformat()}\x1f{entry.content}\x1f{work.equals[equal]}\x1f{decoded.key}"


def _reading(work: _Work, entry: Entry, decoded: Decoded, placed: Placed, whose: tuple[str, str, bool]) -> Reading:
    patient, key, query = whose
    flags = decoded.flags + placed.flags
    if query:
        flags += ("query",)
    if entry.at - work.received_at > timedelta(minutes=5):
        flags += ("clock_ahead",)
    return Reading(
        id=deterministic_id("reading", work.envelope.device, entry.characteristic, decoded.vital, str(decoded.part), key),
        patient=patient,
        device=work.envelope.device,
        vital=decoded.vital,
        value=decoded.value,
        unit=decoded.unit,
        measured_at=placed.measured_at,
        received_at=work.received_at,
        utc_offset=placed.utc_offset,
        absent=decoded.absent,
        flags=flags,
        attributes={**decoded.attributes, "characteristic": entry.characteristic},
        origin=Origin(frame=work.envelope.frame, index=entry.index, part=decoded.part),
    )
