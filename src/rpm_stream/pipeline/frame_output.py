"""One frame through ingest: the message that came, its readings and rejects, and its account.

Normalising refuses, and this module makes the rejects. A *reject* is the record that publishes a
refusal.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import islice

import msgspec

from rpm_stream.entries import BadEntry, Entry, Refusal
from rpm_stream.ids import deterministic_id
from rpm_stream.ingest.frames import Envelope
from rpm_stream.normalise.outcome import Normalised
from rpm_stream.normalise.seen_entries import (
    MOST_REJECTS,
    SeenEntries,
    frame_had_rejects,
    was_rejected,
)
from rpm_stream.pipeline.chunks import chunks
from rpm_stream.pipeline.frame_message import FrameMessage, Ingested
from rpm_stream.records import (
    Account,
    Origin,
    Reading,
    Readings,
    Reason,
    Record,
    Reject,
    Stage,
)
from rpm_stream.text import cleaned

READINGS_A_MESSAGE = 500  # CONTRACT 1
ORIGINAL_BYTES = 64 * 1024  # CONTRACT 1
MOST_KNOWN_REJECTS = 1000  # in an account: 39 KB


class Rejected(Record, frozen=True, kw_only=True):
    """The content of a reject: the refused bytes, the reason, the stage and the origin.

    ``stage`` is the one that refused. ``parts`` has the parts of its entry if there are several.
    """

    original: bytes
    why: Refusal
    stage: Stage
    origin: Origin | None = None
    parts: tuple[int, ...] = ()


def make_reject(message: FrameMessage, at: datetime, rejected: Rejected) -> Reject:
    """Return a Reject with its deterministic id.

    ``at`` is when the frame was received. The id has two facts more than CONTRACT 5 names. The
    first is the device. Two devices that sent the same bad bytes at the same place (two unassigned
    oximeters with 100 % and no pulse) had one id with two contents. The second is the reason. A
    value of an unassigned device that is sent again after the assignment may then be refused as
    implausible.
    """
    digest = sha256(rejected.original).hexdigest()
    index, part = (rejected.origin.index, rejected.origin.part) if rejected.origin else (-1, -1)
    lines = message.lines
    return Reject(
        id=deterministic_id(
            "reject", message.key or "", digest, str(index), str(part), rejected.why.reason
        ),
        device=message.key or "",
        at=at,
        origin=rejected.origin,
        reason=rejected.why.reason,
        stage=rejected.stage,
        detail=cleaned(rejected.why.detail[:500]),
        original=b64encode(rejected.original[:ORIGINAL_BYTES]).decode(),
        sha256=digest,
        position=message.position,
        line=lines[index] if 0 <= index < len(lines) else (lines[0] if lines else None),
        parts=rejected.parts,
    )


def parts_of(reject: Reject) -> int:
    """Return how many parts a reject covers."""
    return len(reject.parts) or 1


def reject_whole(message: FrameMessage, seen: SeenEntries, why: Refusal) -> Ingested:
    """Return the result for a frame that is refused whole.

    It counts as one part, and as a duplicate if the same bytes were refused before. In a file every
    line gets its reject, also a repeated line.
    """
    at = message.received_at
    reject = make_reject(message, at, Rejected(original=message.value, why=why, stage="ingest"))
    again = was_rejected(seen, reject.id) and not message.lines
    account = Account(
        frame=None,
        gateway=None,
        device=message.key or "",
        seq=None,
        boot=None,
        partition=message.position.partition,
        offset=message.position.offset,
        received_at=at,
        entries=0,
        context=0,
        parts=1,
        readings=0,
        duplicates=int(again),
        rejects={} if again else {why.reason: 1},
        known_rejects=(reject.id,) if again else (),
    )
    return Ingested(readings=(), rejects=() if again else (reject,), account=account)


class FrameOutput:
    """Collects the results of the entries of one frame: readings, rejects and counts."""

    def __init__(
        self, message: FrameMessage, envelope: Envelope, received_at: datetime, seen: SeenEntries
    ) -> None:
        self._message = message
        self._envelope = envelope
        self._received_at = received_at
        self._seen = seen
        self._readings: dict[str, list[Reading]] = {}
        self._implausible: dict[str, list[Reading]] = {}
        self._rejects: list[Reject] = []
        self._duplicates = 0
        self._context = 0
        # by reason: whether this frame had a reject for it before
        self._had_rejects: dict[Reason, bool] = {}
        # ids of rejects that were written before, each once, in order
        self._known: dict[str, None] = {}

    def add(self, entry: Entry, normalised: Normalised) -> None:
        """Add the result of one entry."""
        self._context += normalised.is_context
        self._duplicates += normalised.duplicates
        for reading in normalised.readings:
            self._readings.setdefault(reading.patient, []).append(reading)
        for why, parts, implausible in normalised.refusals:
            reject = self.reject(entry, parts, why, "normalise")
            if reject is not None and implausible is not None:
                self._keep_implausible(msgspec.structs.replace(implausible, id=reject.id))

    def reject(
        self, entry: Entry | BadEntry, parts: Sequence[int], why: Refusal, stage: Stage
    ) -> Reject | None:
        """Reject parts of an entry for one cause.

        Returns None if the same reject was written before.
        """
        origin = Origin(frame=self._envelope.frame, index=entry.index, part=parts[0])
        several = tuple(parts) if len(parts) > 1 else ()
        rejected = Rejected(
            original=entry.original, why=why, stage=stage, origin=origin, parts=several
        )
        reject = make_reject(self._message, self._received_at, rejected)
        if why.reason not in self._had_rejects:
            this = b"%b\x1f%b" % (why.reason.encode(), self._message.value)
            self._had_rejects[why.reason] = frame_had_rejects(self._seen, this)
        # A frame can have more rejects than are remembered one by one. In a frame that had rejects
        # before, this one was then written too.
        is_forgotten = self._had_rejects[why.reason] and len(self._seen.refused) >= MOST_REJECTS
        if was_rejected(self._seen, reject.id) or (is_forgotten and not self._message.lines):
            self._duplicates += len(parts)
            self._known[reject.id] = None
            return None
        self._rejects.append(reject)
        return reject

    def _keep_implausible(self, value: Reading) -> None:
        """Keep an implausible value so that the judge can report it.

        Of one frame and patient at most as many are kept as a message of readings may have.
        """
        kept = self._implausible.setdefault(value.patient, [])
        if len(kept) < READINGS_A_MESSAGE:
            kept.append(value)

    def done(self, entries: int) -> Ingested:
        """Return the messages of readings, the rejects and the account.

        ``entries`` is how many entries the frame has.
        """
        envelope = self._envelope
        position = self._message.position
        count = sum(map(len, self._readings.values()))
        rejects: Counter[str] = Counter()
        for reject in self._rejects:
            rejects[reject.reason] += parts_of(reject)
        account = Account(
            frame=envelope.frame,
            gateway=envelope.gateway,
            device=envelope.device,
            seq=envelope.seq,
            boot=envelope.boot,
            partition=position.partition,
            offset=position.offset,
            received_at=self._received_at,
            entries=entries,
            context=self._context,
            parts=count + self._duplicates + rejects.total(),
            readings=count,
            duplicates=self._duplicates,
            rejects=dict(sorted(rejects.items())),
            known_rejects=tuple(islice(self._known, MOST_KNOWN_REJECTS)),
        )
        return Ingested(readings=self._messages(), rejects=tuple(self._rejects), account=account)

    def _messages(self) -> tuple[Readings, ...]:
        messages = []
        for patient in sorted(self._readings.keys() | self._implausible.keys()):
            readings = self._readings.get(patient, [])
            readings.sort(key=lambda reading: (reading.measured_at, reading.vital, reading.id))
            whole = Readings(
                patient=patient,
                frame=self._envelope.frame,
                partition=self._message.position.partition,
                offset=self._message.position.offset,
                chunk=0,
                received_at=self._received_at,
                readings=(),
            )
            implausible = next(chunks(self._implausible.get(patient, ()), READINGS_A_MESSAGE), ())
            for chunk, part in enumerate(
                chunks(readings, READINGS_A_MESSAGE) if readings else ((),)
            ):
                refused = () if chunk else implausible
                messages.append(
                    msgspec.structs.replace(whole, chunk=chunk, readings=part, refused=refused)
                )
        return tuple(messages)
