"""Join messages in several segments (Generic Health Sensor), in whatever order frames arrive.

Segment octet: bit 0 first, bit 1 last, bits 7-2 a rolling counter. Segments wait until their
message is whole. The waiting segments are bounded by octets, number and age. Dropped segments are
reported, never lost silently.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from rpm_stream.entries import SEGMENTED
from rpm_stream.ingest.errors import DecodeError

# of the 48 KB of a device (CONTRACT 8); a longer message is a waveform, which holds no vital
MOST_BYTES = 4096
MOST_SEGMENTS = 64  # the counter has six bits
# between segments, by the gateway's clock, as a message takes seconds. Design choice.
WAITS_FOR = timedelta(minutes=5)

_FIRST = 0x01
_LAST = 0x02
_WHOLE = 0x03


class MessageSegment(msgspec.Struct, array_like=True, frozen=True):
    """One notification that holds a part of a message.

    ``again`` means that it came in a frame that was read before.
    """

    characteristic: str
    at: datetime
    data: bytes
    again: bool = False

    @property
    def counter(self) -> int:
        """The rolling number, 0 to 63."""
        return self.data[0] >> 2

    def has(self, edge: int) -> bool:
        """Return whether it is the first or the last of its message."""
        return bool(self.data[0] & edge)


class Whole(NamedTuple):
    """A message as if it had come in one segment, at the time of its last segment.

    So it is the same in whatever order they arrived.
    """

    at: datetime
    data: bytes


def is_segment(characteristic: str, octets: bytes) -> bool:
    """Return whether the payload is one of several segments and has no meaning by itself."""
    return characteristic in SEGMENTED and len(octets) > 1 and octets[0] & _WHOLE != _WHOLE


def counter_of_whole(segment: int) -> int:
    """Return the rolling number of a message that came in one segment.

    Raises DecodeError for one of several.
    """
    if segment & _WHOLE != _WHOLE:
        raise DecodeError("truncated", "one segment of a message that has several")
    return segment >> 2


def take(
    waiting: list[MessageSegment], new: MessageSegment
) -> tuple[Whole | None, list[MessageSegment]]:
    """Add ``new`` to the ``waiting`` segments, which change in place.

    Returns the whole message if it is now complete, and the lost segments. A segment that is
    already waiting is ignored. Segments of re-sent frames have a pool of their own. They may
    complete a message that was refused before, and do not disturb new ones.
    """
    overtaken = [each for each in waiting if each.again == new.again and _overtaken(each, new)]
    waiting[:] = [each for each in waiting if each not in overtaken]
    if any((each.characteristic, each.data) == (new.characteristic, new.data) for each in waiting):
        return None, _accountable(overtaken)
    waiting.append(new)
    if chain := _chain(waiting, new):
        waiting[:] = [each for each in waiting if each not in chain]
        head = bytes([chain[0].data[0] | _WHOLE])
        return Whole(chain[-1].at, head + b"".join(each.data[1:] for each in chain)), _accountable(
            overtaken
        )
    while len(waiting) > MOST_SEGMENTS or sum(len(each.data) for each in waiting) > MOST_BYTES:
        dropped = next((each for each in waiting if each.again), waiting[0])
        waiting.remove(dropped)
        overtaken.append(dropped)
    return None, _accountable(overtaken)


def _overtaken(one: MessageSegment, new: MessageSegment) -> bool:
    """Return whether the message of ``one`` can never become whole.

    It has waited too long, or the counter has gone round.
    """
    if new.at - one.at > WAITS_FOR:
        return True
    same_place = one.characteristic == new.characteristic and one.counter == new.counter
    return same_place and one.data != new.data


def _accountable(dropped: list[MessageSegment]) -> list[MessageSegment]:
    # segments of a re-sent frame were accounted at the first sending
    return [each for each in dropped if not each.again]


def _chain(waiting: list[MessageSegment], new: MessageSegment) -> list[MessageSegment]:
    """Return the message that ``new`` belongs to, first to last.

    The list is empty while a segment is missing.
    """
    by_counter = {
        each.counter: each
        for each in waiting
        if (each.characteristic, each.again) == (new.characteristic, new.again)
    }
    first = new
    while not first.has(_FIRST):
        before = by_counter.get((first.counter - 1) % 64)
        if before is None or before.has(_LAST) or before is new:
            return []
        first = before
    chain = [first]
    while not chain[-1].has(_LAST):
        after = by_counter.get((chain[-1].counter + 1) % 64)
        if after is None or after.has(_FIRST):
            return []
        chain.append(after)
    return chain
