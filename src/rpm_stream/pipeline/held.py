"""A state that cannot be restored is held: its key's messages are kept where they are, the other
keys go on.

What stands in its place in the changelog says from which offset of the source on nothing was
applied, and keeps the octets as they were found. Once they can be read (made anew, or by another
release) the kept messages are applied in their order. A person is told by an alert of its own: the
patient's state, which holds the others, cannot be read.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha1
from typing import Final
from zlib import crc32

import msgspec

from rpm_stream.ids import deterministic_id
from rpm_stream.pipeline.judge_failure import GROUP
from rpm_stream.records import UNREADABLE, Alert, Transition
from rpm_stream.text import SERVICE

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


class Held(msgspec.Struct, frozen=True, array_like=True, tag="held"):
    """What stands in a changelog for a state that is held. ``crc`` is that of all the others.

    ``offset``: of the first message of the source that is not applied. ``upto``: catching up has
    begun, and goes at least to there. ``blob``: the state as it was found, or made anew as of
    ``offset``. ``alert``: what a person is told by, as JSON; empty where nobody is.
    """

    crc: int
    offset: int
    upto: int
    at: datetime
    fault: str
    blob: bytes
    alert: bytes = b""

    def mended(self, blob: bytes) -> bytes:
        """The same with a state that can be read."""
        return packed(msgspec.structs.replace(self, blob=blob))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Held)
_alert = msgspec.json.Decoder(Alert)
_json = msgspec.json.Encoder()


def hold(offset: int, at: datetime, fault: str, blob: bytes) -> Held:
    """A state is held from ``offset`` of its source on."""
    return Held(crc=0, offset=offset, upto=offset, at=at, fault=fault, blob=blob)


def kept_from(done: int, lowest: int | None) -> int:
    """From where on to keep the messages of a key whose state cannot be read and says nothing
    itself.

    ``done``: what is committed. ``lowest``: the lowest offset from which on messages of anybody
    were kept when that was committed: this may be what stood there for a held state. What was
    applied is then put out once more, as it was.
    """
    return done if lowest is None else min(done, lowest)


def packed(held: Held) -> bytes:
    """The octets for the changelog."""
    return _encoder.encode(msgspec.structs.replace(held, crc=_checksum(held)))


def read_held(value: bytes | None) -> Held | None:
    """What stands there for a held state; None where a state stands there itself, or something
    damaged.
    """
    try:
        held = _decoder.decode(value or b"")
    except UNREADABLE:
        return None
    return held if held.crc == _checksum(held) else None


def _checksum(held: Held) -> int:
    return crc32(_encoder.encode(msgspec.structs.replace(held, crc=0)))


def with_alert(held: Held, alert: Alert) -> Held:
    """The same with what a person is told by now."""
    return msgspec.structs.replace(held, alert=_json.encode(alert))


def alert_of(held: Held) -> Alert | None:
    """What a person is told by; None where nobody is."""
    return _alert.decode(held.alert) if held.alert else None


def opened(patient: str, partition: int, held: Held) -> Alert:
    """The medium alert that a patient is not judged.

    Its id is made of where the kept messages begin.
    """
    step = Transition(
        at=held.at, state="open", priority="medium", who=SERVICE, reason=WHY, event="opened"
    )
    return Alert(
        id=deterministic_id(patient, GROUP, RULE, str(partition), str(held.offset)),
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
    """The alert resolved: the patient is judged again.

    ``is_whole``: nothing that was kept had been deleted.
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
    """The line in which a device's kept frames count, apart from their partition, others of
    which have gone on.
    """
    return -(1 << 32) - int.from_bytes(
        sha1(b"%d/%b" % (partition, key), usedforsecurity=False).digest()[:6]
    )
