"""What identifies a value: K of CONTRACT 5, its mark, and its name under its device's time.

A value is identified by its number from the device (2A18, 2AA7, 2BDD, a record system's
identifier). Without a number it is identified by the valid time that it carries and its payload,
whether or not that time counts. Without these it is identified by the gateway's ``at`` and its
payload. The same applies if its device time means nothing because the clock has stopped or was set
back (duplicates.py). Another reading then already has the identity by that time.
"""

from __future__ import annotations

import msgspec

from rpm_stream.entries import APP, FHIR, SEGMENTED, Entry
from rpm_stream.normalise.device_memory import OFFSET
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.placement import Placed, sent_time
from rpm_stream.normalise.plausibility import beyond_scale
from rpm_stream.normalise.seen_entries import EntryMark, mark
from rpm_stream.normalise.sightings import name_of
from rpm_stream.records import Decoded


class PlacedValue(msgspec.Struct, frozen=True, gc=False):
    """One value at its time.

    ``is_dense`` means that several values of its kind may share a second.
    """

    frame: FrameContext
    entry: Entry
    decoded: Decoded
    placed: Placed
    is_dense: bool

    @property
    def is_numbered(self) -> bool:
        """Whether its device, or a record system, has given it a number."""
        return is_numbered(self.decoded)

    @property
    def has_number(self) -> bool:
        """Whether a device has numbered it.

        A record system names a whole panel at once.
        """
        return has_number(self.entry, self.decoded)


class Identity(msgspec.Struct, frozen=True, gc=False):
    """What identifies a value among all values of its device.

    Two values with one identity are one value that was sent twice. ``key`` is K of CONTRACT 5, of
    which the id of the reading is made. ``mark`` is what the device's memory keeps of it. ``name``
    is set if the value carries its device's time or number. ``other`` is a mark that it may have
    left when it came at another time or by itself. ``was_refused`` means that it came before and
    was refused for its content.
    """

    key: str
    mark: EntryMark
    name: int | None = None
    other: EntryMark | None = None
    was_refused: bool = False


def identify(value: PlacedValue) -> Identity:
    """Return the identity by the device's number, else by its own time.

    The mark has the time that counts.
    """
    entry = value.entry
    decoded = value.decoded
    placed = value.placed
    kind = kind_of(entry, decoded)
    if decoded.key and value.is_numbered:
        name = name_of(decoded.key, content_of(decoded)) if value.has_number else None
        return Identity(
            key=decoded.key, mark=mark(kind, decoded.key, placed.measured_at), name=name
        )
    by_at = key_by_at(entry, decoded)
    sent = sent_time(decoded)
    at = mark(kind, by_at, entry.at)
    if not sent:
        return Identity(key=by_at, mark=at)
    key = f"{sent}\x1f{entry.content}"
    counted = mark(kind, key, placed.measured_at)
    one, other = (counted, at) if placed.by_device else (at, counted)
    return Identity(key=key, mark=one, name=name_of(sent, _without_counter(entry)), other=other)


def identify_by_at(entry: Entry, decoded: Decoded) -> Identity:
    """Return the identity by the gateway's time alone."""
    key = key_by_at(entry, decoded)
    return Identity(key=key, mark=mark(kind_of(entry, decoded), key, entry.at))


def kind_of(entry: Entry, decoded: Decoded) -> str:
    """Return the kind within which the value is distinguished.

    It is its characteristic, or its vital if it came by none.
    """
    return decoded.vital if entry.characteristic in (APP, FHIR) else entry.characteristic


def key_by_at(entry: Entry, decoded: Decoded) -> str:
    """Return the key of a value by the gateway's time.

    A value that comes twice at one instant is a repeat of itself.
    """
    return f"{entry.at.isoformat()}\x1f{entry.content}\x1f1\x1f{decoded.key}"


def is_numbered(decoded: Decoded) -> bool:
    """Return whether the key of a value identifies it, which minutes of a session alone do not."""
    return bool(decoded.key) and not decoded.key.startswith(OFFSET)


def has_number(entry: Entry, decoded: Decoded) -> bool:
    """Return whether a device has numbered the value.

    A record system names a whole panel at once.
    """
    return is_numbered(decoded) and entry.characteristic not in (APP, FHIR)


def content_of(decoded: Decoded) -> str:
    """Return the content of a numbered value.

    One number with another value is another measurement. A meter that has lost its battery starts
    again with its first number, and often with its first date.
    """
    return "\x1f".join(
        (decoded.value or decoded.absent or "", decoded.unit, *beyond_scale(decoded.flags))
    )


def _without_counter(entry: Entry) -> str:
    """Return the payload without the segment counter, which differs each time."""
    return entry.content[2:] if entry.characteristic in SEGMENTED else entry.content
