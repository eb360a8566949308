"""Reads the sender of a frame, even if the frame was refused as a whole.

In a frame that is no longer JSON (cut, or with a broken byte) the sender is often still legible. It
is read only so that the frame's number does not count as missing. Nothing else of the frame counts.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rpm_stream.records import UNREADABLE

_TEXT = rb'("(?:[^"\\\x00-\x1f]|\\.){0,512}")'
_NUMBER = rb"([0-9]{1,16})(?![0-9.eE])"
_LEGIBLE = {
    "frame": re.compile(rb'"frame"\s*:\s*' + _TEXT),
    "gateway": re.compile(rb'"gateway"\s*:\s*' + _TEXT),
    "device": re.compile(rb'"device"\s*:\s*' + _TEXT),
    "boot": re.compile(rb'"boot"\s*:\s*(?:' + _TEXT + b"|" + _NUMBER + b")"),
    "seq": re.compile(rb'"seq"\s*:\s*' + _NUMBER),
}


class Glance(msgspec.Struct, frozen=True):
    """Sender and number of a frame. The values may have any type."""

    device: Any = None
    frame: Any = None
    gateway: Any = None
    boot: Any = None
    seq: Any = None


_glance = msgspec.json.Decoder(Glance)


def glance(value: bytes) -> Glance:
    """Read the sender of a frame.

    If it is not JSON, a field that is unreadable or occurs twice is None.
    """
    try:
        return _glance.decode(value)
    except UNREADABLE:
        return Glance(**{name: _legible(pattern, value) for name, pattern in _LEGIBLE.items()})


def _legible(pattern: re.Pattern[bytes], value: bytes) -> Any:
    """Return the text or number that ``pattern`` finds, None unless it finds exactly one."""
    found = [next(filter(None, match.groups())) for match in pattern.finditer(value)]
    if len(found) != 1:
        return None
    try:
        return msgspec.json.decode(found[0])
    except UNREADABLE:
        return None
