"""Messages in several segments (Generic Health Sensor): put together again, in whatever order
frames arrive.

Segment octet: bit 0 first, bit 1 last, bits 7-2 a rolling counter. Segments wait until their
message is whole; what waits is bounded by octets, number and age, and what is dropped is named,
never lost silently.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from rpm_stream.entries import SEGMENTED
from rpm_stream.ingest.errors import DecodeError

# of the 48 KB of a device (CONTRACT 8); a longer message is a waveform, which holds no vital
MOST_OCTETS = 4096
MOST_SEGMENTS = 64  # the counter has six bits
# between segments, by the gateway's clock; a message takes seconds. Design choice.
WAITS_FOR = timedelta(minutes=5)

_FIRST = 0x01
_LAST = 0x02
_WHOLE = 0x03


class Segment(msgspec.Struct, array_like=True, frozen=True):
    """One notification that holds a part of a message.

    ``again``: it came in a frame that was read before.
    """

    characteristic: str
    at: datetime
    octets: bytes
    again: bool = False

    @property
    def counter(self) -> int:
        """The rolling number, 0 to 63."""
        return self.octets[0] >> 2

    def has(self, edge: int) -> bool:
        """Whether it is the first or the last of its message."""
        return bool(self.octets[0] & edge)


class Whole(NamedTuple):
    """A message as if it had come in one segment, at the time of its last: so in whatever order
    they arrived.
    """

    at: datetime
    octets: bytes


def is_segment(characteristic: str, octets: bytes) -> bool:
    """Whether the payload is one of several segments, so that it says nothing by itself."""
    return characteristic in SEGMENTED and len(octets) > 1 and octets[0] & _WHOLE != _WHOLE


def counter_of_whole(segment: int) -> int:
    """The rolling number of a message that came in one segment.

    Raises DecodeError for one of several.
    """
    if segment & _WHOLE != _WHOLE:
        raise DecodeError("truncated", "one segment of a message that has several")
    return segment >> 2


def take(waiting: list[Segment], new: Segment) -> tuple[Whole | None, list[Segment]]:
    """Add ``new`` to those that wait (changed in place): the whole message if that completes one,
    and what was lost.

    A segment that waits already is let be. Segments of re-sent frames have a pool of their own:
    they may complete a message that was refused before, and disturb nothing that is new.
    """
    lost = [each for each in waiting if each.again == new.again and _overtaken(each, new)]
    waiting[:] = [each for each in waiting if each not in lost]
    if any(
        (each.characteristic, each.octets) == (new.characteristic, new.octets) for each in waiting
    ):
        return None, _told(lost)
    waiting.append(new)
    if chain := _chain(waiting, new):
        waiting[:] = [each for each in waiting if each not in chain]
        head = bytes([chain[0].octets[0] | _WHOLE])
        return Whole(chain[-1].at, head + b"".join(each.octets[1:] for each in chain)), _told(lost)
    while len(waiting) > MOST_SEGMENTS or sum(len(each.octets) for each in waiting) > MOST_OCTETS:
        dropped = next((each for each in waiting if each.again), waiting[0])
        waiting.remove(dropped)
        lost.append(dropped)
    return None, _told(lost)


def _overtaken(one: Segment, new: Segment) -> bool:
    """Whether the message of ``one`` can never become whole: it waited too long, or the counter
    has gone round.
    """
    if new.at - one.at > WAITS_FOR:
        return True
    same_place = one.characteristic == new.characteristic and one.counter == new.counter
    return same_place and one.octets != new.octets


def _told(lost: list[Segment]) -> list[Segment]:
    # of a re-sent frame, the first sending was accounted
    return [each for each in lost if not each.again]


def _chain(waiting: list[Segment], new: Segment) -> list[Segment]:
    """The message that ``new`` belongs to, first to last; empty while one of them is missing."""
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
