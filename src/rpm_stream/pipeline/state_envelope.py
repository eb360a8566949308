"""A device's state as sealed bytes (``envelope.py``), and the layout of all states.

This module is separate from the states themselves, so that a stage loads only what its own state
needs. River takes a second to load.

A release reads the states of older ones. To change what a state holds: a further field with a
default needs nothing. For any other change increase ``LAYOUT`` and give each reader table
(``DEVICES`` here, ``PATIENTS`` in patient_codec.py) a line for the previous layout, with a function
that makes today's state from its body. Then write the files of the new layout
(``tests/support/states/make_states.py``). The files of the older layouts stay, and the tests read
them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from rpm_stream.envelope import StateError, checked, enclose, unseal
from rpm_stream.normalise.seen_entries import EntryMarks
from rpm_stream.normalise.sightings import Sightings
from rpm_stream.pipeline.device_state import DeviceState

__all__ = [
    "DEVICES",
    "LAYOUT",
    "StateError",
    "check_device",
    "checked",
    "pack_device",
    "seal",
    "unpack_device",
    "unseal",
]
LAYOUT: Final = 3
NO_RIVER: Final = frozenset({b""})  # a device's state contains nothing of River


def _plain(value: Any) -> bytes:
    if isinstance(value, EntryMarks | Sightings):
        return value.packed()
    raise NotImplementedError(type(value).__name__)


def _whole(kind: type, data: Any) -> Any:
    if kind in (EntryMarks, Sightings):
        return kind.unpacked(data)
    raise NotImplementedError(kind.__name__)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
DEVICES: Final[Mapping[int, Callable[[bytes], DeviceState]]] = {
    3: msgspec.msgpack.Decoder(DeviceState, dec_hook=_whole).decode,
}


def seal(body: bytes, river: bytes) -> bytes:
    """Return ``body`` sealed in the present layout of states."""
    return enclose(body, river, LAYOUT)


def pack_device(state: DeviceState) -> bytes:
    """Return the sealed state of one device."""
    return seal(_encoder.encode(state), b"")


def check_device(blob: bytes) -> None:
    """Check a sealed state cheaply: checksum, layout and versions only.

    Raises StateError.
    """
    checked(blob, NO_RIVER, DEVICES)


def unpack_device(blob: bytes | None) -> DeviceState:
    """Return the state, or a new one for a device that was not seen before.

    Raises StateError.
    """
    return DeviceState() if blob is None else unseal(blob, NO_RIVER, DEVICES)
