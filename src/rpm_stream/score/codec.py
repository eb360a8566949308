"""The envelope of a detector's state: checked whole before anything is restored from it.

Layout, big-endian: ``layout u8 | length u8 | label | settings u32 | payload | crc u32``. The label names detector,
its version and River's (its random trees are ours only as long as River builds the same ones); ``settings`` is the
CRC-32 of the settings that the payload was learned under; ``crc`` is the CRC-32 of all before it.

The topic that carries the state can be written by others, so nothing here unpickles, and River never sees a byte
that did not pass (on bad bytes its own restore raises a BaseException, which no ``except Exception`` stops).
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from river.__version__ import __version__ as river_version

from rpm_stream.records import Record

LAYOUT: Final = 1
RIVERS: Final = frozenset({"0.26.1"})
"""Versions of River that build the same trees (tests/score/test_codec.py holds what they are): what was written under
one of them is read under another. Between versions that do not stand here nothing is."""
_HEAD: Final = struct.Struct(">BB")
_WORD: Final = struct.Struct(">I")


class StateError(Exception):
    """The bytes are no state that this detector, with these settings and this River, may continue from."""


class Stamp(Record, frozen=True, kw_only=True):
    """Whose state it is: detector, its version, and its settings as text (any text that changes with them)."""

    detector: str
    version: str
    settings: str


def readable_rivers() -> frozenset[str]:
    """The versions of River whose states may be read under the one that runs."""
    return RIVERS if river_version in RIVERS else frozenset({river_version})


def _label(stamp: Stamp, river: str) -> bytes:
    return f"{stamp.detector}/{stamp.version} river/{river}".encode()


def seal(stamp: Stamp, payload: bytes) -> bytes:
    """Wrap ``payload``; adds 30 to 45 bytes."""
    label = _label(stamp, river_version)
    body = _HEAD.pack(LAYOUT, len(label)) + label + _WORD.pack(crc32(stamp.settings.encode())) + payload
    return body + _WORD.pack(crc32(body))


def unseal(stamp: Stamp, data: bytes, size: int | None) -> bytes:
    """Give back a payload of ``size`` bytes (None: the caller knows), or raise StateError and nothing else."""
    if len(data) < _HEAD.size + 2 * _WORD.size:
        raise StateError("too short")
    body = data[: -_WORD.size]
    if _WORD.pack(crc32(body)) != data[-_WORD.size :]:
        raise StateError("checksum does not match")
    layout, length = _HEAD.unpack_from(body)
    if layout != LAYOUT:
        raise StateError("another layout")
    start = _HEAD.size + length
    if body[_HEAD.size : start] not in {_label(stamp, river) for river in readable_rivers()}:
        raise StateError("another detector, or another version of it or of River")
    if body[start : start + _WORD.size] != _WORD.pack(crc32(stamp.settings.encode())):
        raise StateError("learned under other settings")
    payload = body[start + _WORD.size :]
    if size is not None and len(payload) != size:
        raise StateError("payload of a wrong size")
    return payload
