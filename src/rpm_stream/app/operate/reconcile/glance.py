"""What a frame tells of its sender, even where it was refused whole.

Of a frame that is no JSON any more (cut, or with a broken byte) the sender is often still legible.
Read only so that its number is not taken for one that never came: nothing else of it counts.
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
    """Sender and number of a frame; Any: whatever stands there."""

    device: Any = None
    frame: Any = None
    gateway: Any = None
    boot: Any = None
    seq: Any = None


_glance = msgspec.json.Decoder(Glance)


def glance(value: bytes) -> Glance:
    """What ``value`` tells. What cannot be read, or stands there twice, is None."""
    try:
        return _glance.decode(value)
    except UNREADABLE:
        return Glance(**{name: _legible(pattern, value) for name, pattern in _LEGIBLE.items()})


def _legible(pattern: re.Pattern[bytes], value: bytes) -> Any:
    """The one text or number that ``pattern`` finds."""
    found = [next(filter(None, match.groups())) for match in pattern.finditer(value)]
    if len(found) != 1:
        return None
    try:
        return msgspec.json.decode(found[0])
    except UNREADABLE:
        return None
