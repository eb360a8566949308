"""Hold the messages of a key whose state cannot be restored, while other keys go on.

The changelog then has a ``HeldState`` in place of the state. It gives the offset of the source from
which on nothing was applied, and keeps the bytes as they were found. When they can be read, because
they were rebuilt or another release reads them, the kept messages are applied in their order. A
separate alert informs a person, because the patient's state, which holds the other alerts, cannot
be read.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha1
from typing import Final
from zlib import crc32

import msgspec

from rpm_stream.ids import deterministic_id
from rpm_stream.records import UNREADABLE, Alert, Transition
from rpm_stream.text import SERVICE

GROUP: Final = "device:not_judged"
RULE: Final = "device.not_judged.held@1"
TITLE: Final = "Readings are not judged for now"
WHY: Final = (
    "what the service remembers of this patient is damaged: readings are kept and judged when it is"
    " mended, until then look at this patient's values yourself"
)
AGAIN: Final = "mended: all that was kept has been judged in its order"
EXPIRED: Final = (
    "mended: what was kept has been judged, but the oldest of it had been deleted by then"
)


class HeldState(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """The record in a changelog for a state that is held.

    - ``crc`` is the checksum of all other fields.
    - ``offset`` is that of the first message of the source that is not applied.
    - ``upto`` is the offset that catching up has to reach at least, once it has begun.
    - ``blob`` is the state as it was found, or rebuilt as of ``offset``.
    - ``alert`` is the alert that informs a person, as JSON, or empty if there is none.
    """

    crc: int
    offset: int
    upto: int
    at: datetime
    fault: str
    blob: bytes
    alert: bytes = b""

    def mended(self, blob: bytes) -> bytes:
        """Return the same record, packed, with a state that can be read."""
        return packed(msgspec.structs.replace(self, blob=blob))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(HeldState)
_alert = msgspec.json.Decoder(Alert)
_json = msgspec.json.Encoder()


def hold(offset: int, at: datetime, fault: str, blob: bytes) -> HeldState:
    """Return the record of a state that is held from ``offset`` of its source on."""
    return HeldState(crc=0, offset=offset, upto=offset, at=at, fault=fault, blob=blob)


def kept_from(done: int, lowest: int | None) -> int:
    """Return the offset from which on to keep the messages of a key with an unreadable state.

    It is for a state that does not give an offset itself. ``done`` is what is committed. ``lowest``
    is the lowest offset from which on messages of any key were kept at that commit, as the
    unreadable bytes may have been a ``HeldState`` with it. Messages that were applied before are
    then output once more, unchanged.
    """
    return done if lowest is None else min(done, lowest)


def packed(held: HeldState) -> bytes:
    """Return the bytes for the changelog."""
    return _encoder.encode(msgspec.structs.replace(held, crc=_checksum(held)))


def read_held(value: bytes | None) -> HeldState | None:
    """Return the ``HeldState`` of a changelog's record.

    Returns None if the record is a state or damaged.
    """
    try:
        held = _decoder.decode(value or b"")
    except UNREADABLE:
        return None
    return held if held.crc == _checksum(held) else None


def _checksum(held: HeldState) -> int:
    return crc32(_encoder.encode(msgspec.structs.replace(held, crc=0)))


def with_alert(held: HeldState, alert: Alert) -> HeldState:
    """Return the same record with the present alert."""
    return msgspec.structs.replace(held, alert=_json.encode(alert))


def alert_of(held: HeldState) -> Alert | None:
    """Return the alert that informs a person, or None if there is none."""
    return _alert.decode(held.alert) if held.alert else None


def opened(patient: str, partition: int, held: HeldState) -> Alert:
    """Return the medium alert that a patient is not judged.

    Its id is made of the place where the kept messages begin, and of the time: a state may be
    damaged twice before a commit moves. The time is in the changelog before the alert is sent.
    """
    step = Transition(
        at=held.at, state="open", priority="medium", who=SERVICE, reason=WHY, event="opened"
    )
    return Alert(
        id=deterministic_id(
            patient, GROUP, RULE, str(partition), str(held.offset), held.at.isoformat()
        ),
        patient=patient,
        group=GROUP,
        priority="medium",
        state="open",
        title=TITLE,
        why=(WHY,),
        rule=RULE,
        evidence=(),
        history=(step,),
        opened_at=held.at,
        measured_at=held.at,
        updated_at=held.at,
    )


def ended(alert: Alert, at: datetime, is_whole: bool) -> Alert:
    """Return the alert resolved, because the patient is judged again.

    ``is_whole`` is false if kept messages had been deleted meanwhile.
    """
    words = AGAIN if is_whole else EXPIRED
    step = Transition(
        at=at,
        state="resolved",
        priority=alert.priority,
        who=SERVICE,
        reason=words,
        event="resolved",
    )
    return msgspec.structs.replace(
        alert, state="resolved", updated_at=at, history=(*alert.history, step)
    )


def line_of(key: bytes, partition: int) -> int:
    """Return the line in which a device's kept frames count.

    The line is separate from their partition, in which frames of other devices have gone on.
    """
    return -(1 << 32) - int.from_bytes(
        sha1(b"%d/%b" % (partition, key), usedforsecurity=False).digest()[:6]
    )
