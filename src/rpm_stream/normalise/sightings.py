"""The values of a device that were seen under the time of its own clock, whether or not it counts.

A device that sends its memory again sends the same time and payload, whatever its clock shows and
whatever zone the gateway is in. So these two name a value for 7 days since they were last seen, and
each sighting renews that (CONTRACT 10).

A clock that has stopped, or that starts at one date whenever it gets power, gives no information.
It shows one time with several values. Such a value counts as a new measurement each time it comes
by itself. Values that come together are a memory that is read out, and are known. A value that
comes again within a minute is known too.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

from rpm_stream.normalise.seen_entries import KNOWN_FOR

# sightings of a device, 17 bytes each. Beyond it those seen last are kept, and kinds with few lose
# least.
MOST = 512
LEAST = 128
FORGET_EVERY = 64
ROOM = 40 * 1024  # bytes for these and the entries of seen_entries.py, of the state's 48 KB
# seconds; design choice: a memory takes seconds, and no cuff measures twice in a minute
TOGETHER = 60

EntrySighting = Literal["new", "again", "anew", "refused"]
EntryOutcome = Literal["read", "again", "refused"]
_ORDER = array("I", [1]).tobytes()
_EACH = 8 + 4 + 4 + 1
_LAST = 2**32 - 1
_KNOWN_S = int(KNOWN_FOR / timedelta(seconds=1))
_TOGETHER = 1
_REFUSED = 2


def name_of(time: str, content: str) -> int:
    """Return 64 bits that name a value among those of its characteristic.

    The upper half is its time, the lower half its content.
    """
    upper, lower = (
        blake2b(each.encode(errors="surrogatepass"), digest_size=4).digest()
        for each in (time, content)
    )
    return int.from_bytes(upper + lower)


class Sightings:
    """The values of one characteristic by their names, ascending.

    They are columns of numbers, as in ``seen_entries.EntryMarks``. ``at`` is when the gateway got a
    value last, and ``seen`` when the service did. ``flags`` are whether it came together with
    another value of its time, and whether it was refused. Times are seconds since 1970. Those
    outside of 1970 to 2106 become the nearest.
    """

    __slots__ = ("at", "flags", "names", "seen")

    def __init__(self) -> None:
        self.names = array("Q")
        self.at = array("I")
        self.seen = array("I")
        self.flags = bytearray()

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sightings) and self.packed() == other.packed()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def holds(self, name: int) -> bool:
        """Return whether the value was seen, however long ago."""
        return self._place(name) is not None

    def is_another(self, name: int) -> bool:
        """Return whether only other values than this one were seen under its time or number."""
        return self._place(name) is None and len(self._of_one_time(name)) > 0

    def look(self, name: int, at: datetime, received_at: datetime) -> EntrySighting:
        """Return whether a value that comes now is new, known, measured again, or was refused.

        Changes nothing.
        """
        place = self._place(name)
        if place is None:
            return "new"
        if _second(received_at) - self.seen[place] > _KNOWN_S:
            return "anew"
        if self.flags[place] & _REFUSED:
            return "refused"
        alike = self._of_one_time(name)
        if len(alike) == 1 or any(
            self.flags[each] & _TOGETHER or self._is_near(each, at) for each in alike
        ):
            return "again"
        return "anew"

    def note(self, name: int, at: datetime, received_at: datetime, outcome: EntryOutcome) -> None:
        """Remember that a value was seen.

        A value that was read once stays so, however often it is refused.
        """
        place = self._place(name)
        second = _second(at)
        if place is None:
            place = bisect_left(self.names, name)
            self.names.insert(place, name)
            self.at.insert(place, second)
            self.seen.insert(place, 0)
            self.flags.insert(place, _REFUSED if outcome == "refused" else 0)
        if outcome == "read":
            self.flags[place] &= ~_REFUSED
        for each in self._of_one_time(name):
            if each != place and self._is_near(each, at):
                self.flags[each] |= _TOGETHER
                self.flags[place] |= _TOGETHER
        self.at[place] = max(self.at[place], second)
        self.seen[place] = max(self.seen[place], _second(received_at))

    def keep(self, most: int) -> None:
        """Forget all except for those that were seen last."""
        by_time = sorted(
            range(len(self)), key=lambda each: (self.seen[each], self.at[each], self.names[each])
        )
        kept = sorted(by_time[-most:] if most > 0 else ())
        self.names = array("Q", [self.names[each] for each in kept])
        self.at, self.seen = (
            array("I", [column[each] for each in kept]) for column in (self.at, self.seen)
        )
        self.flags = bytearray(self.flags[each] for each in kept)

    def packed(self) -> bytes:
        """Return the columns in this machine's format, after a mark of that format."""
        return b"".join(
            (_ORDER, self.names.tobytes(), self.at.tobytes(), self.seen.tobytes(), self.flags)
        )

    @classmethod
    def unpacked(cls, data: bytes) -> Sightings:
        """Return the sightings that ``packed`` encoded.

        Raises ValueError if a machine with another format of numbers packed them.
        """
        count, rest = divmod(len(data) - len(_ORDER), _EACH)
        if not data.startswith(_ORDER) or rest:
            raise ValueError("sightings of another machine, or a part of some")
        found = cls()
        place = len(_ORDER)
        for column in (found.names, found.at, found.seen):
            column.frombytes(data[place : place + count * column.itemsize])
            place += count * column.itemsize
        found.flags = bytearray(data[place:])
        return found

    def _place(self, name: int) -> int | None:
        place = bisect_left(self.names, name)
        return place if place < len(self.names) and self.names[place] == name else None

    def _of_one_time(self, name: int) -> range:
        first = name & ~_LAST
        return range(bisect_left(self.names, first), bisect_left(self.names, first + _LAST + 1))

    def _is_near(self, place: int, at: datetime) -> bool:
        return abs(self.at[place] - _second(at)) <= TOGETHER


def forget(kinds: Mapping[str, Sightings], taken: int = 0) -> None:
    """Keep as many sightings of a device as there is room for.

    ``taken`` is how many bytes are in use besides. The kinds with most sightings lose first.
    """
    most = min(MOST, max(LEAST, (ROOM - taken) // _EACH))
    if sum(map(len, kinds.values())) < most + FORGET_EVERY:
        return
    for kept, kind in _shares(kinds, most):
        if kept < len(kinds[kind]):
            kinds[kind].keep(kept)


def _shares(kinds: Mapping[str, Sightings], most: int) -> Iterator[tuple[int, str]]:
    """Yield how many of each kind are kept.

    All have equal shares. What smaller kinds do not need goes to the larger ones.
    """
    left = most
    by_size = sorted(kinds, key=lambda kind: (len(kinds[kind]), kind))
    for number, kind in enumerate(by_size):
        kept = min(len(kinds[kind]), left // (len(by_size) - number))
        left -= kept
        yield kept, kind


def _second(at: datetime) -> int:
    return min(max(int(at.timestamp()), 0), _LAST)
