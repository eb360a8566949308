"""One frame on its way through ingest: what came, what it became so far, and its balance."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import TypeAlias

import msgspec

from rpm_stream.duplicates import MOST_REFUSED, Seen, frame_refused_before, refused_before
from rpm_stream.ids import deterministic_id
from rpm_stream.ingest.frames import BadEntry, Entry, Envelope
from rpm_stream.normalise import Refusal
from rpm_stream.pipeline.chunks import chunks
from rpm_stream.records import Account, Origin, Position, Reading, Readings, Reason, Record, Reject, Stage
from rpm_stream.words import cleaned

READINGS_A_MESSAGE = 500  # CONTRACT 1
ORIGINAL_BYTES = 64 * 1024  # CONTRACT 1
MOST_KNOWN_REJECTS = 1000  # that an account names: 39 KB
Slot: TypeAlias = tuple[datetime, int]  # an entry's time and index


class FrameMessage(Record, frozen=True, kw_only=True):
    """A message of rpm.frames.

    From a file: ``lines`` has the line of each entry, or of all in one; ``patient`` is whose row of a CSV file it was,
    for a device that nobody registered.
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


class Refused(Record, frozen=True, kw_only=True):
    """Something that became no reading: its octets, why, found by which stage, and where in its frame it stood.

    ``parts``: the parts of its entry, where they are several.
    """

    original: bytes
    why: Refusal
    stage: Stage
    origin: Origin | None = None
    parts: tuple[int, ...] = ()


def make_reject(message: FrameMessage, at: datetime, refused: Refused) -> Reject:
    """A Reject with its deterministic id; ``at`` is when the frame was received.

    The id has the device besides what CONTRACT 5 names: two devices that send the same bad octets at the same place
    (two oximeters with 100 % and no pulse, both assigned to nobody) had one id with two contents. It has the reason
    too: a value that nobody wore, sent again once somebody did, may be one that no body can have.
    """
    digest = sha256(refused.original).hexdigest()
    index, part = (refused.origin.index, refused.origin.part) if refused.origin else (-1, -1)
    lines = message.lines
    return Reject(
        id=deterministic_id("reject", message.key or "", digest, str(index), str(part), refused.why.reason),
        device=message.key or "",
        at=at,
        origin=refused.origin,
        reason=refused.why.reason,
        stage=refused.stage,
        detail=cleaned(refused.why.detail[:500]),
        original=b64encode(refused.original[:ORIGINAL_BYTES]).decode(),
        sha256=digest,
        position=message.position,
        line=lines[index] if 0 <= index < len(lines) else (lines[0] if lines else None),
        parts=refused.parts,
    )


def parts_of(reject: Reject) -> int:
    """How many parts a reject covers."""
    return len(reject.parts) or 1


def refused_whole(message: FrameMessage, seen: Seen, why: Refusal) -> Ingested:
    """A frame that was refused whole: one part, a duplicate if the same octets were refused before.

    In a file every line is told, also one that stands there twice.
    """
    at = message.received_at
    reject = make_reject(message, at, Refused(original=message.value, why=why, stage="ingest"))
    again = refused_before(seen, reject.id) and not message.lines
    account = Account(
        frame=None, gateway=None, device=message.key or "", seq=None, boot=None,
        partition=message.position.partition, offset=message.position.offset, received_at=at,
        entries=0, context=0, parts=1, readings=0, duplicates=int(again), rejects={} if again else {why.reason: 1},
        known_rejects=(reject.id,) if again else (),
    )  # fmt: skip
    return Ingested(readings=(), rejects=() if again else (reject,), account=account)


class Work:
    """One frame on its way: what is known of it, and what it became so far."""

    def __init__(self, message: FrameMessage, envelope: Envelope, received_at: datetime, seen: Seen) -> None:
        self.message, self.envelope, self.received_at, self.seen = message, envelope, received_at, seen
        self.known_frame = False
        self.readings: dict[str, list[Reading]] = {}
        self.refused: dict[str, list[Reading]] = {}
        self.rejects: list[Reject] = []
        self.duplicates = self.context = 0
        self.conflicts: set[Slot] = set()
        self.entries: list[Entry] = []
        self.counted: list[datetime] | None = None  # device times of these that count; asked for where it matters
        self._was_refused: dict[Reason, bool] = {}  # whether this very frame had a refusal for it before
        self._known: dict[str, None] = {}  # ids of rejects that were written before, each once, in order

    def reject(self, entry: Entry | BadEntry, parts: Sequence[int], why: Refusal, stage: Stage) -> Reject | None:
        """Note parts of an entry that became no reading for one cause: a reject, or (None) the re-send of one."""
        origin = Origin(frame=self.envelope.frame, index=entry.index, part=parts[0])
        several = tuple(parts) if len(parts) > 1 else ()
        refused = Refused(original=entry.original, why=why, stage=stage, origin=origin, parts=several)
        reject = make_reject(self.message, self.received_at, refused)
        if why.reason not in self._was_refused:
            this = b"%b\x1f%b" % (why.reason.encode(), self.message.value)
            self._was_refused[why.reason] = frame_refused_before(self.seen, this)
        # Of a frame with more refusals than are kept one by one: it was told, and is forgotten.
        forgotten = self._was_refused[why.reason] and len(self.seen.refused) >= MOST_REFUSED
        if refused_before(self.seen, reject.id) or (forgotten and not self.message.lines):
            self.duplicates += len(parts)
            self._known[reject.id] = None
            return None
        self.rejects.append(reject)
        return reject

    def refuse(self, value: Reading) -> None:
        """Keep a value that no body can have, for the judge to tell of; each frame tells of so many."""
        refused = self.refused.setdefault(value.patient, [])
        if len(refused) < READINGS_A_MESSAGE:
            refused.append(value)

    def done(self, entries: int) -> Ingested:
        """The messages of readings, the rejects and the balance."""
        envelope, position = self.envelope, self.message.position
        count = sum(map(len, self.readings.values()))
        rejects: Counter[str] = Counter()
        for reject in self.rejects:
            rejects[reject.reason] += parts_of(reject)
        account = Account(
            frame=envelope.frame, gateway=envelope.gateway, device=envelope.device, seq=envelope.seq,
            boot=envelope.boot, partition=position.partition, offset=position.offset, received_at=self.received_at,
            entries=entries, context=self.context, parts=count + self.duplicates + rejects.total(), readings=count,
            duplicates=self.duplicates, rejects=dict(sorted(rejects.items())),
            known_rejects=tuple(islice(self._known, MOST_KNOWN_REJECTS)),
        )  # fmt: skip
        return Ingested(readings=self._messages(), rejects=tuple(self.rejects), account=account)

    def _messages(self) -> tuple[Readings, ...]:
        messages = []
        for patient in sorted(self.readings.keys() | self.refused.keys()):
            readings = self.readings.get(patient, [])
            readings.sort(key=lambda reading: (reading.measured_at, reading.vital, reading.id))
            whole = Readings(
                patient=patient, frame=self.envelope.frame, partition=self.message.position.partition,
                offset=self.message.position.offset, chunk=0, received_at=self.received_at, readings=(),
            )  # fmt: skip
            refused = next(chunks(self.refused.get(patient, ()), READINGS_A_MESSAGE), ())
            for chunk, part in enumerate(chunks(readings, READINGS_A_MESSAGE) if readings else ((),)):
                told = () if chunk else refused
                messages.append(msgspec.structs.replace(whole, chunk=chunk, readings=part, refused=told))
        return tuple(messages)
