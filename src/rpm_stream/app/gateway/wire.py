"""Frames on the wire: ids, limits and JSON.

This is exactly what the contract of ``rpm.frames`` fixes for a sender.
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

FrameEntries: TypeAlias = Sequence[Notification] | Sequence[Measurement] | Sequence[dict[str, Any]]

MAX_ENTRIES = 1000
MAX_BYTES = 256 * 1024
# bytes of a frame besides its entries: four names of at most 128 characters, times, keys
ENVELOPE_BYTES = 2048
MAX_NAME = 128

_VALUE = re.compile(APP_VALUE)
_decoder = msgspec.json.Decoder(Frame)
# a Decimal in a FHIR resource keeps its digits
_encoder = msgspec.json.Encoder(decimal_format="number")


class FrameTooLarge(RpmStreamError, ValueError):
    """One entry, or a ready frame, has more than 256 KiB.

    The service would refuse it as ``too_large``.
    """


class BadFrame(RpmStreamError, ValueError):
    """The service would refuse the frame as ``bad_schema``.

    The text names the field and never its value.
    """


def frame_id(gateway: str, device: str, boot: str | int, seq: int) -> str:
    """Return ``<gateway>-<device>-<boot>-<seq>``, the same id however often an uplink is sent.

    If that is longer than a name may be (128 characters), return its UUID version 5.
    """
    plain = f"{gateway}-{device}-{boot}-{seq}"
    return plain if len(plain) <= MAX_NAME else str(uuid5(NAMESPACE_URL, plain))


def encode_frame(frame: Frame) -> bytes:
    """Return the JSON for ``rpm.frames``: times in UTC with Z, fields without a value left out.

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
    """Return ``value`` with every time in UTC, so that it is written with Z.

    A time without a zone is not changed, so that the schema refuses it.
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


def check_values(entries: FrameEntries, placeholders: Container[str]) -> None:
    """Raise ``BadFrame`` for a measurement whose value is not allowed.

    Allowed are numbers, LO, HI and the placeholder texts that this gateway's clinic uses for
    "no value". A measurement has either a value or ``absent``.
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


def chunks(entries: FrameEntries) -> Iterator[list[Any]]:
    """Split ``entries`` in order into lists that each fit into one frame (1,000 entries, 256 KiB).

    Raises ``FrameTooLarge`` for a single entry that does not fit.
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
    """Return the JSON value for ``rpm.registry``, fields without a value left out."""
    fields = msgspec.structs.asdict(entry)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
