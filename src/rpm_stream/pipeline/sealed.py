"""State as bytes: sealed with the versions of layout and River and a CRC, all checked before anything is restored.

Apart from the states themselves, so that a stage loads only what its own state needs: River takes a second to load.

A release reads what older ones wrote. To change what a state holds: a further field with a default needs nothing; for
any other change count ``LAYOUT`` up and give each reader table (``DEVICES`` here, ``PATIENTS`` in state.py) a line for
the layout before, with a function that makes today's state of its body; then write the files of the new layout
(``tests/support/states/make_states.py``). The files of the older layouts stay, and the tests read them all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from zlib import crc32

import msgspec

from rpm_stream.normalise.seen_entries import EntryMarks
from rpm_stream.normalise.sightings import Sightings
from rpm_stream.pipeline.device import DeviceState
from rpm_stream.records import UNREADABLE

LAYOUT: Final = 3
NO_RIVER: Final = frozenset({b""})  # a device's state has nothing of River
State = TypeVar("State")


class StateError(Exception):
    """A state cannot be restored; the text says why, without the state's content."""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a changelog record, in every layout. ``crc`` is that of all the others."""

    layout: int
    river: bytes
    crc: int
    body: bytes


def _plain(value: Any) -> bytes:
    if isinstance(value, EntryMarks | Sightings):
        return value.packed()
    raise NotImplementedError(type(value).__name__)


def _whole(kind: type, data: Any) -> Any:
    if kind in (EntryMarks, Sightings):
        return kind.unpacked(data)
    raise NotImplementedError(kind.__name__)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_sealed = msgspec.msgpack.Decoder(Sealed)
DEVICES: Final[Mapping[int, Callable[[bytes], DeviceState]]] = {
    3: msgspec.msgpack.Decoder(DeviceState, dec_hook=_whole).decode,
}


def _checksum(layout: int, river: bytes, body: bytes) -> int:
    return crc32(body, crc32(b"%d %b " % (layout, river)))


def seal(body: bytes, river: bytes) -> bytes:
    """``body`` with its checksum and the versions that wrote it."""
    return _encoder.encode(Sealed(layout=LAYOUT, river=river, crc=_checksum(LAYOUT, river, body), body=body))


def checked(blob: bytes, rivers: frozenset[bytes], layouts: Collection[int]) -> Sealed:
    """The sealed state, whole and of versions that are read. Raises StateError."""
    try:
        sealed = _sealed.decode(blob)
    except UNREADABLE:
        raise StateError("it is no sealed state, or a part of one") from None
    if _checksum(sealed.layout, sealed.river, sealed.body) != sealed.crc:
        raise StateError("its checksum is wrong: it was damaged")
    if sealed.layout not in layouts:
        known = ", ".join(map(str, sorted(layouts)))
        raise StateError(f"its layout is {sealed.layout}, this release reads {known}")
    if sealed.river not in rivers:
        written = sealed.river.decode(errors="replace") or "none"
        known = ", ".join(river.decode() for river in sorted(rivers)) or "none"
        raise StateError(f"the River that wrote it is {written}, this release reads {known}")
    return sealed


def unseal(blob: bytes, rivers: frozenset[bytes], readers: Mapping[int, Callable[[bytes], State]]) -> State:
    """The state, by the reader of its layout. Raises StateError."""
    sealed = checked(blob, rivers, readers)
    try:
        return readers[sealed.layout](sealed.body)
    except UNREADABLE:
        raise StateError("its fields do not fit this release") from None


def pack_device(state: DeviceState) -> bytes:
    """The sealed state of one device."""
    return seal(_encoder.encode(state), b"")


def check_device(blob: bytes) -> None:
    """What can be said of a sealed state at little cost. Raises StateError."""
    checked(blob, NO_RIVER, DEVICES)


def unpack_device(blob: bytes | None) -> DeviceState:
    """The state, or a fresh one for a device that was not seen before. Raises StateError."""
    return DeviceState() if blob is None else unseal(blob, NO_RIVER, DEVICES)
