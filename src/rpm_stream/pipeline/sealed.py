"""State as bytes: sealed with the versions of layout and River and a CRC, all checked before anything is restored.

Apart from the states themselves, so that a stage loads only what its own state needs: River takes a second to load.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from rpm_stream.pipeline.device import DeviceState

LAYOUT = 2
NO_RIVER = b""  # a device's state has nothing of River
_encoder = msgspec.msgpack.Encoder()
_device = msgspec.msgpack.Decoder(DeviceState)


class StateError(Exception):
    """A state cannot be restored; the text says why, without the state's content."""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a changelog record."""

    layout: int
    river: bytes
    crc: int
    body: bytes


_sealed = msgspec.msgpack.Decoder(Sealed)


def seal(body: bytes, river: bytes) -> bytes:
    """``body`` with its checksum and the versions that wrote it."""
    return _encoder.encode(Sealed(layout=LAYOUT, river=river, crc=crc32(body), body=body))


def unseal(blob: bytes, river: bytes) -> bytes:
    """The body. Raises StateError for another layout or River, or a wrong checksum."""
    try:
        sealed = _sealed.decode(blob)
    except msgspec.MsgspecError:
        raise StateError("it is no sealed state") from None
    if sealed.layout != LAYOUT:
        raise StateError(f"its layout is {sealed.layout}, this release reads {LAYOUT}")
    if sealed.river != river:
        written = sealed.river.decode(errors="replace")
        raise StateError(f"it was written with River {written}, this is {river.decode()}")
    if crc32(sealed.body) != sealed.crc:
        raise StateError("its checksum is wrong")
    return sealed.body


def pack_device(state: DeviceState) -> bytes:
    """The sealed state of one device."""
    return seal(_encoder.encode(state), NO_RIVER)


def unpack_device(blob: bytes | None) -> DeviceState:
    """The state, or a fresh one for a device that was not seen before. Raises StateError."""
    if blob is None:
        return DeviceState()
    try:
        return _device.decode(unseal(blob, NO_RIVER))
    except msgspec.MsgspecError:
        raise StateError("its fields do not fit this release") from None
