"""Frames on the wire: ids, limits, JSON.

What the contract of ``rpm.frames`` fixes for a sender, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import msgspec

from rpm_stream.errors import RpmStreamError
from rpm_stream.records import APP_VALUE, Frame, Measurement, Notification
from rpm_stream.records import RegistryEntry as RegistryEntry

Entries: TypeAlias = Sequence[Notification] | Sequence[Measurement] | Sequence[dict[str, Any]]

MAX_ENTRIES = 1000
MAX_BYTES = 256 * 1024
# what a frame needs besides its entries: four names of at most 128 characters, times, keys
ENVELOPE_BYTES = 2048
MAX_NAME = 128

_VALUE = re.compile(APP_VALUE)
_decoder = msgspec.json.Decoder(Frame)
# a Decimal in a FHIR resource keeps its digits
_encoder = msgspec.json.Encoder(decimal_format="number")


class FrameTooLarge(RpmStreamError, ValueError):
    """One entry, or a ready frame, is above 256 KiB: the service would refuse it as
    ``too_large``.
    """


class BadFrame(RpmStreamError, ValueError):
    """A frame that the service would refuse as ``bad_schema``; the text names the field, never
    its value.
    """


def frame_id(gateway: str, device: str, boot: str | int, seq: int) -> str:
    """``<gateway>-<device>-<boot>-<seq>``: the same uplink has the same id however often it is
    sent.

    Where that is longer than a name may be (128 characters), a UUID version 5 of it.
    """
    plain = f"{gateway}-{device}-{boot}-{seq}"
    return plain if len(plain) <= MAX_NAME else str(uuid5(NAMESPACE_URL, plain))


def encode_frame(frame: Frame) -> bytes:
    """The JSON of ``rpm.frames``: times in UTC with Z, fields without a value left out.

    Raises ``BadFrame`` for what the schema refuses and ``FrameTooLarge`` above 256 KiB.
    """
    present = {
        name: value for name, value in msgspec.structs.asdict(frame).items() if value is not None
    }
    try:
        wire = _encoder.encode(_in_utc(present))
        _decoder.decode(wire)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadFrame(str(error)) from error
    if ("notifications" in present) + ("measurements" in present) + ("resources" in present) != 1:
        raise BadFrame("a frame has exactly one of notifications, measurements, resources")
    if len(wire) > MAX_BYTES:
        raise FrameTooLarge(f"a frame has at most {MAX_BYTES} bytes, this one {len(wire)}")
    return wire


def _in_utc(value: Any) -> Any:
    """Every time of a frame in UTC, so that it is written with Z; a time without a zone stays
    and is refused.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, (Notification, Measurement)):
        at = value.at
        return (
            value
            if at.tzinfo in (None, UTC)
            else msgspec.structs.replace(value, at=at.astimezone(UTC))
        )
    if isinstance(value, list):
        return [_in_utc(item) for item in value]
    if isinstance(value, dict):
        return {name: _in_utc(item) for name, item in value.items()}
    return value


def check_values(entries: Entries, placeholders: Container[str]) -> None:
    """Raises ``BadFrame`` for a measurement whose value is neither a number, LO or HI, nor one of
    the texts that the clinic of this gateway has for "no value".
    """
    for each in entries:
        if not isinstance(each, Measurement):
            continue
        if (each.value is None) == (each.absent is None):
            raise BadFrame("a measurement has either a value or absent")
        if (
            each.value is not None
            and each.value not in placeholders
            and not _VALUE.search(each.value)
        ):
            raise BadFrame("Expected a plain decimal, LO or HI - at `$.measurements[...].value`")


def chunks(entries: Entries) -> Iterator[list[Any]]:
    """``entries`` in order, in lists that each fit into one frame: 1,000 entries, 256 KiB.

    Raises ``FrameTooLarge`` for one entry that fits into none.
    """
    chunk: list[Any] = []
    size = ENVELOPE_BYTES
    for entry in entries:
        needed = len(_encoder.encode(entry)) + 1
        if needed + ENVELOPE_BYTES > MAX_BYTES:
            raise FrameTooLarge(f"one entry has {needed} bytes; a frame has at most {MAX_BYTES}")
        if chunk and (len(chunk) == MAX_ENTRIES or size + needed > MAX_BYTES):
            yield chunk
            chunk = []
            size = ENVELOPE_BYTES
        chunk.append(entry)
        size += needed
    if chunk:
        yield chunk


def encode_registry(entry: RegistryEntry) -> bytes:
    """The JSON value of ``rpm.registry``, fields without a value left out."""
    fields = msgspec.structs.asdict(entry)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
