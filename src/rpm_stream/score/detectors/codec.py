"""A detector's state as sealed bytes (``rpm_stream.envelope``), checked before it is restored.

The versions in the envelope name the detector, its version, River's version, and the CRC-32 of the
settings that the payload was learned under. River's version counts because River builds the random
trees, and another version may build others. River never sees a byte that did not pass the checks.
On bad bytes its own restore raises a BaseException, which no ``except Exception`` stops.

Layout 1 had an envelope of its own: ``1 u8 | length u8 | label | settings u32 | payload | crc
u32``. It can still be read.
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from river.__version__ import __version__ as river_version

from rpm_stream.envelope import StateError, enclose, whole
from rpm_stream.records.base import Record

__all__ = ["RIVERS", "Stamp", "StateError", "opened", "readable_rivers", "seal", "unseal"]
LAYOUT: Final = 2
FIRST_LAYOUT: Final = 1
RIVERS: Final = frozenset({"0.26.1"})
"""Versions of River that build the same trees, checked by tests/score/detectors/test_codec.py.

A state that was written under one of them can be read under another. States of versions that are
not listed can only be read under the same version.
"""
_HEAD: Final = struct.Struct(">BB")
_WORD: Final = struct.Struct(">I")


class Stamp(Record, frozen=True, kw_only=True):
    """The owner of a state: a detector, its version and its settings.

    ``settings`` is any text that changes whenever the settings change.
    """

    detector: str
    version: str
    settings: str


def readable_rivers() -> frozenset[str]:
    """Return the versions of River whose states may be read under the running version."""
    return RIVERS if river_version in RIVERS else frozenset({river_version})


def _label(stamp: Stamp, river: str) -> bytes:
    return f"{stamp.detector}/{stamp.version} river/{river}".encode()


def _settings(stamp: Stamp) -> bytes:
    return _WORD.pack(crc32(stamp.settings.encode()))


def seal(stamp: Stamp, payload: bytes) -> bytes:
    """Wrap ``payload`` in an envelope, which adds 40 to 55 bytes."""
    return enclose(payload, _label(stamp, river_version) + _settings(stamp), LAYOUT)


def opened(stamps: tuple[Stamp, ...], data: bytes) -> tuple[Stamp, bytes]:
    """Return the one of ``stamps`` that sealed ``data``, and the payload.

    Raises StateError and no other exception.
    """
    label, settings, payload = _first(data) if data[:1] == b"\x01" else _present(data)
    for stamp in stamps:
        if any(label == _label(stamp, river) for river in readable_rivers()):
            if settings != _settings(stamp):
                raise StateError("learned under other settings")
            return stamp, payload
    raise StateError("written by another detector, or by another version of it or of River")


def unseal(stamp: Stamp, data: bytes, size: int | None) -> bytes:
    """Return a payload of ``size`` bytes, or raise StateError and no other exception.

    ``size`` is None if the caller checks the size itself.
    """
    _, payload = opened((stamp,), data)
    if size is not None and len(payload) != size:
        raise StateError("the payload has a wrong size")
    return payload


def _present(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Split an envelope of the present layout into label, settings and payload."""
    sealed = whole(data, (LAYOUT,))
    return sealed.versions[: -_WORD.size], sealed.versions[-_WORD.size :], sealed.body


def _first(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Split an envelope of layout 1 into label, settings and payload."""
    if len(data) < _HEAD.size + 2 * _WORD.size:
        raise StateError("the state is too short")
    body = data[: -_WORD.size]
    if _WORD.pack(crc32(body)) != data[-_WORD.size :]:
        raise StateError("its checksum is wrong: it was damaged")
    start = _HEAD.size + body[1]
    return body[_HEAD.size : start], body[start : start + _WORD.size], body[start + _WORD.size :]
