"""The envelope of every stored state: checksum, layout and versions, checked before a restore.

Patients, devices and detectors use the same envelope. Other clients may write to the topics that
carry states, so nothing here unpickles, and a body is read only after its checks passed. The caller
defines what a layout and a version mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar
from zlib import crc32

import msgspec

from rpm_stream.errors import RpmStreamError
from rpm_stream.records.base import UNREADABLE

State = TypeVar("State")


class StateError(RpmStreamError):
    """A state cannot be restored. The text gives the reason without the state's content."""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """A sealed state.

    ``versions`` names what wrote it. ``crc`` is the CRC-32 of all other fields.
    """

    layout: int
    versions: bytes
    crc: int
    body: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Sealed).decode


def _checksum(layout: int, versions: bytes, body: bytes) -> int:
    return crc32(body, crc32(b"%d %b " % (layout, versions)))


def enclose(body: bytes, versions: bytes, layout: int) -> bytes:
    """Return ``body`` with its checksum and the versions that wrote it."""
    return _encode(
        Sealed(layout=layout, versions=versions, crc=_checksum(layout, versions, body), body=body)
    )


def whole(blob: bytes, layouts: Collection[int]) -> Sealed:
    """Return the sealed state if it is undamaged and has one of ``layouts``.

    Raises StateError.
    """
    try:
        sealed = _decode(blob)
    except UNREADABLE:
        raise StateError("it is no sealed state, or a part of one") from None
    if _checksum(sealed.layout, sealed.versions, sealed.body) != sealed.crc:
        raise StateError("its checksum is wrong: it was damaged")
    if sealed.layout not in layouts:
        known = ", ".join(map(str, sorted(layouts)))
        raise StateError(f"its layout is {sealed.layout}, this release reads {known}")
    return sealed


def checked(blob: bytes, rivers: frozenset[bytes], layouts: Collection[int]) -> Sealed:
    """Return the sealed state if it is whole and one of ``rivers`` wrote it.

    Raises StateError.
    """
    sealed = whole(blob, layouts)
    if sealed.versions not in rivers:
        written = sealed.versions.decode(errors="replace") or "none"
        known = ", ".join(river.decode() for river in sorted(rivers)) or "none"
        raise StateError(f"the River that wrote it is {written}, this release reads {known}")
    return sealed


def unseal(
    blob: bytes, rivers: frozenset[bytes], readers: Mapping[int, Callable[[bytes], State]]
) -> State:
    """Return the state, decoded by the reader of its layout.

    Raises StateError.
    """
    sealed = checked(blob, rivers, readers)
    try:
        return readers[sealed.layout](sealed.body)
    except UNREADABLE:
        raise StateError("its fields do not fit this release") from None
