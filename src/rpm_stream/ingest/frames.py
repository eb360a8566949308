"""Decode bytes of ``rpm.frames`` to an envelope and its entries.

Each entry is decoded or refused by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from rpm_stream.entries import APP, FHIR, BadEntry, Entry
from rpm_stream.ingest.duplicate_keys import Once, twice_anywhere
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir.codes import Codes
from rpm_stream.ingest.fhir.observation import decode_observation
from rpm_stream.ingest.gatt.decoders import decode, short_form
from rpm_stream.ingest.gatt.quirks import Read
from rpm_stream.ingest.gatt.segments import is_segment
from rpm_stream.ingest.measurements import decode_measurement
from rpm_stream.records import (
    FrameHead,
    Measurement,
    Notification,
    Payload,
)
from rpm_stream.sameness import plain_number

MOST_BYTES = 256 * 1024  # CONTRACT 1
MOST_ENTRIES = 1000
# The shortest readable entry has some 60 bytes. If a frame has fewer bytes than this for each of
# its entries, most of them are no entries. Refusing them one by one would cost as much as 600
# readings for a frame of 2 kB, and output 1,000 rejects.
LEAST_ENTRY_BYTES = 32
# The allowed times of a frame. Outside of them, arithmetic with times would leave the calendar.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9000, 1, 1, tzinfo=UTC)

EntryKind = Literal["notifications", "measurements", "resources"]


class Envelope(FrameHead, frozen=True, kw_only=True):
    """A frame whose entries are still JSON text, so that one bad entry refuses only itself."""

    notifications: list[msgspec.Raw] | None = None
    measurements: list[msgspec.Raw] | None = None
    resources: list[msgspec.Raw] | None = None


_envelope = msgspec.json.Decoder(Envelope)
_notification = msgspec.json.Decoder(Notification)
_measurement = msgspec.json.Decoder(Measurement)


_frame_once = Once(Envelope)
_notification_once = Once(Notification, least=3)
_measurement_once = Once(Measurement, least=4)  # at, vital, unit, and value or absent


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def parse_frame(key: str | None, value: bytes) -> tuple[Envelope, EntryKind, list[msgspec.Raw]]:
    """Return the envelope, the kind of its entries and the entries.

    Raises DecodeError if the frame is refused whole.
    """
    if len(value) > MOST_BYTES:
        raise DecodeError("too_large", f"{len(value)} bytes, at most {MOST_BYTES}")
    try:
        envelope = _envelope.decode(value)
        _check_once(_frame_once, value)
    except msgspec.ValidationError as error:
        raise DecodeError("bad_schema", str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError("bad_json", str(error)) from None
    for at in (envelope.sent_at, envelope.received_at):
        if at is not None and not FIRST <= at <= LAST:
            raise DecodeError("bad_schema", "sent_at and received_at lie between 1970 and 9000")
    if key is not None and key != envelope.device:
        raise DecodeError("identity_conflict", "the message key is not the frame's device")
    kinds: list[tuple[EntryKind, list[msgspec.Raw] | None]] = [
        ("notifications", envelope.notifications),
        ("measurements", envelope.measurements),
        ("resources", envelope.resources),
    ]
    given = [(kind, entries) for kind, entries in kinds if entries is not None]
    if len(given) != 1:
        raise DecodeError(
            "bad_schema", "exactly one of notifications, measurements, resources is needed"
        )
    kind, entries = given[0]
    if not entries:
        raise DecodeError("bad_schema", f"{kind} is empty")
    if len(entries) > MOST_ENTRIES:
        raise DecodeError("too_large", f"{len(entries)} entries, at most {MOST_ENTRIES}")
    if len(value) < LEAST_ENTRY_BYTES * len(entries):
        raise DecodeError(
            "bad_schema", f"{len(entries)} entries in {len(value)} bytes: most of them are none"
        )
    return envelope, kind, entries


def _check_once(once: Once, value: bytes) -> None:
    if twice := once.twice(value):
        raise DecodeError("bad_schema", f"{twice} stands there twice")


def _decode_notification(index: int, original: bytes, read: Read) -> Entry:
    entry = _notification.decode(original)
    _check_once(_notification_once, original)
    try:
        payload = bytes.fromhex(entry.payload)
        if 2 * len(payload) != len(entry.payload):  # fromhex accepts spaces
            raise ValueError
    except ValueError:
        raise DecodeError("bad_schema", "payload is not hexadecimal") from None
    characteristic = short_form(entry.characteristic) or entry.characteristic
    partial = is_segment(characteristic, payload)
    return Entry(
        index=index,
        at=_utc(entry.at),
        characteristic=characteristic,
        content=payload.hex(),
        payload=Payload() if partial else read(entry.characteristic, payload),
        original=original,
        segment=payload if partial else None,
    )


def _decode_measurement(index: int, original: bytes, codes: Codes) -> Entry:
    entry = _measurement.decode(original)
    _check_once(_measurement_once, original)
    payload = decode_measurement(entry, codes)
    (decoded,) = payload.readings
    return Entry(
        index=index,
        at=_utc(entry.at),
        characteristic=APP,
        content=(
            "\x1f".join(
                (
                    decoded.vital,
                    str(decoded.absent) if decoded.value is None else plain_number(decoded.value),
                    decoded.unit,
                )
            )
        ),
        payload=payload,
        original=original,
    )


def _decode_resource(index: int, original: bytes, codes: Codes) -> Entry:
    found = decode_observation(original, codes)
    if twice_anywhere(original):
        raise DecodeError("bad_schema", "a field of the resource stands there twice")
    return Entry(
        index=index,
        at=found.at,
        characteristic=FHIR,
        content=found.content,
        payload=found.payload,
        original=original,
        utc_offset=found.utc_offset,
        subject=found.subject,
    )


def decode_entries(
    kind: EntryKind, entries: list[msgspec.Raw], codes: Codes, read: Read = decode
) -> Iterator[Entry | BadEntry]:
    """Yield each entry decoded, or the reason why it is refused.

    Never raises. ``read`` is the ``decode`` of the device's model.
    """
    for index, raw in enumerate(entries):
        original = bytes(raw)
        try:
            if kind == "notifications":
                yield _decode_notification(index, original, read)
            elif kind == "measurements":
                yield _decode_measurement(index, original, codes)
            else:
                yield _decode_resource(index, original, codes)
        except DecodeError as error:
            yield BadEntry(index=index, reason=error.reason, detail=error.detail, original=original)
        except msgspec.MsgspecError as error:
            yield BadEntry(index=index, reason="bad_schema", detail=str(error), original=original)
        except (OverflowError, ValueError, RecursionError) as error:
            yield BadEntry(
                index=index, reason="bad_schema", detail=type(error).__name__, original=original
            )
