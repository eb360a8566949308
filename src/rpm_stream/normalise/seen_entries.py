"""The entries that a device has sent before, in a small state that loses no new reading silently.

duplicates.py decides by it. The newest entries are known one by one. For older ones, up to 7 days,
the state keeps the seconds that were seen for each kind of entry. Runs of seconds are spans, so 1
Hz is one span. An old entry in such a second is a duplicate. Only an entry of a kind of which
several share a second (``dense``), in a frame that was never read, cannot be distinguished from a
re-sent one. It is refused as too old, which keeps it as a Reject.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import chain, compress, pairwise
from typing import Literal

import msgspec

from rpm_stream.records.base import Record

EXACT = 512  # entries known one by one at least, 12 bytes each
# after so many more, the oldest are forgotten: 768 entries are 9 KB of the state's 48
FORGET_EVERY = 256
LOOK_EVERY = 64  # number of entries of a kind after which the total is checked
MOST_EXACT = 2560  # the maximum when so many lie within few seconds: 31 KB
KNOWN_FOR = timedelta(days=7)  # CONTRACT 5
MOST_SPANS = 2200  # spans of a kind: a week of 5-minute glucose is 2,016; about 5 bytes each
MOST_KINDS = 3  # kinds that may have that many; with more kinds, all share the total
MOST_FRAME_SPANS = 64
MOST_BOOTS = 4
MOST_REJECTS = 256  # rejects, frames with rejects, and entries read in part: 11 bytes each
MOST_LEFT_OUT = 1024  # missing parts of entries read in part, in all: up to 3 bytes each

SeenSpans = list[tuple[int, int]]
EntryVerdict = Literal["new", "duplicate", "too_old"]


class EntryMarks:
    """Entries of one kind: the numbers that represent them, ascending, and the second of each.

    They are columns of plain numbers, in memory as in the changelog. A dict of them took ten times
    the memory and twice the bytes, and 50 times as long to write.
    """

    __slots__ = ("digests", "seconds")

    def __init__(self, digests: Sequence[int] = (), seconds: Sequence[int] = ()) -> None:
        self.digests = array("Q", digests)
        self.seconds = array("I", ())
        self._set_seconds(seconds)

    def __len__(self) -> int:
        return len(self.digests)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntryMarks) and (self.digests, self.seconds) == (
            other.digests,
            other.seconds,
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _set_seconds(self, seconds: Sequence[int]) -> None:
        try:
            self.seconds = array("I", seconds)
        except OverflowError:  # before 1970 or after 2106
            self.seconds = array("q", seconds)

    def holds(self, digest: int) -> bool:
        """Return whether the entry is among these."""
        index = bisect_left(self.digests, digest)
        return index < len(self.digests) and self.digests[index] == digest

    def add(self, digest: int, second: int) -> bool:
        """Add an entry, and return whether it is new."""
        digests = self.digests
        index = bisect_left(digests, digest)
        if index < len(digests) and digests[index] == digest:
            return False
        try:
            self.seconds.insert(index, second)
        except OverflowError:
            self._set_seconds([*self.seconds[:index], second, *self.seconds[index:]])
        digests.insert(index, digest)
        return True

    def since(self, second: int) -> EntryMarks:
        """Return those of this second and later ones."""
        later = [at >= second for at in self.seconds]
        return EntryMarks(list(compress(self.digests, later)), list(compress(self.seconds, later)))

    def packed(self) -> bytes:
        """Return both columns in this machine's format, after a mark of that format."""
        return (
            _ORDER
            + self.seconds.typecode.encode()
            + self.digests.tobytes()
            + self.seconds.tobytes()
        )

    @classmethod
    def unpacked(cls, data: bytes) -> EntryMarks:
        """Return the marks that ``packed`` encoded.

        Raises ValueError if a machine with another format of numbers packed them.
        """
        order = data[: len(_ORDER)]
        code = data[len(_ORDER) : len(_ORDER) + 1]
        columns = data[len(_ORDER) + 1 :]
        if order != _ORDER or code not in (b"I", b"q"):
            raise ValueError("marks of another machine")
        marks = cls()
        marks.seconds = array(code.decode(), b"")
        count, rest = divmod(len(columns), marks.digests.itemsize + marks.seconds.itemsize)
        if rest:
            raise ValueError("marks without their seconds")
        marks.digests.frombytes(columns[: count * marks.digests.itemsize])
        marks.seconds.frombytes(columns[count * marks.digests.itemsize :])
        return marks


_ORDER = array("I", [1]).tobytes()


class SeenEntries(msgspec.Struct):
    """The entries of one device.

    Times are whole seconds since 1970. ``older`` holds spans as [start, length, gap, …].
    """

    newest: datetime | None = None
    exact: dict[str, EntryMarks] = {}  # by kind
    forgotten: int | None = None  # entries up to this second are no longer known one by one
    older: dict[str, list[int]] = {}
    frames: dict[str, SeenSpans] = {}
    refused: list[bytes] = []  # the newest rejects, by the first eight bytes of their ids
    refusing: list[bytes] = []  # the newest frames with rejects, by eight bytes of their digest
    # by mark: the missing parts of the newest entries that were read in part
    partial: dict[int, list[int]] = {}


class EntryMark(Record, frozen=True, kw_only=True, gc=False):
    """One entry of a device.

    ``kind`` is its characteristic, or the vital of an app. ``digest`` has 64 bits that represent
    it.
    """

    kind: str
    digest: int
    at: datetime


def mark(kind: str, key: str, at: datetime) -> EntryMark:
    """Return the mark of the entry that ``key`` identifies among its kind."""
    digest = blake2b(f"{kind}\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return EntryMark(kind=kind, digest=int.from_bytes(digest), at=at)


def _packed(spans: SeenSpans) -> list[int]:
    flat = [spans[0][0], spans[0][1] - spans[0][0]] if spans else []
    for (_, end), (start, last) in pairwise(spans):
        flat += (start - end, last - start)
    return flat


def _unpacked(flat: list[int]) -> SeenSpans:
    spans: SeenSpans = []
    at = 0
    for gap, length in zip(flat[::2], flat[1::2], strict=True):
        spans.append((at + gap, at + gap + length))
        at += gap + length
    return spans


def _inside(spans: SeenSpans, value: int) -> bool:
    index = bisect_right(spans, (value, 2**62)) - 1
    return index >= 0 and spans[index][1] >= value


def _runs(values: list[int]) -> SeenSpans:
    """Return ascending values as spans."""
    spans: SeenSpans = []
    for value in values:
        if spans and value <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], value)
        else:
            spans.append((value, value))
    return spans


def _insert(spans: SeenSpans, run: tuple[int, int], most: int) -> None:
    """Add a run to sorted disjoint spans and join neighbours.

    Beyond ``most`` spans the closest two are joined.
    """
    low, high = run
    start = end = bisect_right(spans, (low, 2**62))
    if start and spans[start - 1][1] + 1 >= low:
        start -= 1
    while end < len(spans) and spans[end][0] - 1 <= high:
        end += 1
    if start < end:
        low = min(low, spans[start][0])
        high = max(high, spans[end - 1][1])
    spans[start:end] = [(low, high)]
    if len(spans) > most:
        near = min(range(1, len(spans)), key=lambda i: spans[i][0] - spans[i - 1][1])
        spans[near - 1 : near + 1] = [(spans[near - 1][0], spans[near][1])]


def frame_known(seen: SeenEntries, sender: str, seq: int) -> bool:
    """Return whether a frame of this gateway and boot was read before, and remember it."""
    spans = seen.frames.pop(sender, [])
    known = _inside(spans, seq)
    if not known:
        _insert(spans, (seq, seq), MOST_FRAME_SPANS)
    seen.frames[sender] = spans  # the most recent boot is last
    while len(seen.frames) > MOST_BOOTS:
        del seen.frames[next(iter(seen.frames))]
    return known


def was_rejected(seen: SeenEntries, reject_id: str) -> bool:
    """Return whether this same reject was written lately, and remember it.

    The id of a reject depends only on what was refused. So a re-sent one would give that id a
    second position and time. It is a duplicate of the one that is kept.
    """
    return _noted(seen.refused, bytes.fromhex(reject_id.replace("-", "")[:16]))


def frame_had_rejects(seen: SeenEntries, frame: bytes) -> bool:
    """Return whether something in this same frame was rejected lately, and remember it.

    Then each part of the frame has ended before as a reading or a reject. A part that is refused
    now is a duplicate, however many rejects were written since.
    """
    return _noted(seen.refusing, blake2b(frame, digest_size=8).digest())


def _noted(known: list[bytes], digest: bytes) -> bool:
    if digest in known:
        return True
    known.append(digest)
    del known[:-MOST_REJECTS]
    return False


def was_left_out(seen: SeenEntries, names: Sequence[int], part: int) -> bool:
    """Return whether this part of a known entry was refused when its other parts were read.

    Such a part is no duplicate.
    """
    return any(part in seen.partial.get(name, ()) for name in names)


def leave_out(seen: SeenEntries, names: Sequence[int], parts: list[int]) -> None:
    """Remember, under the first of its names, the missing parts of an entry that was read.

    Without missing parts the entry is complete.
    """
    for name in names:
        seen.partial.pop(name, None)
    if parts:
        seen.partial[names[0]] = parts[:MOST_LEFT_OUT]
        while (
            len(seen.partial) > MOST_REJECTS or sum(map(len, seen.partial.values())) > MOST_LEFT_OUT
        ):
            del seen.partial[next(iter(seen.partial))]


def is_known(seen: SeenEntries, entry: EntryMark) -> bool:
    """Return whether this same entry is among the newest, which are known one by one."""
    marks = seen.exact.get(entry.kind)
    return marks is not None and marks.holds(entry.digest)


def check(seen: SeenEntries, entry: EntryMark, dense: bool, of_known_frame: bool) -> EntryVerdict:
    """Return whether the entry was seen before, without changing anything."""
    if is_known(seen, entry):
        return "duplicate"
    if seen.newest is not None and entry.at < seen.newest - KNOWN_FOR:
        return "too_old"
    second = int(entry.at.timestamp())
    if seen.forgotten is None or second > seen.forgotten:
        return "new"
    if not _inside(_unpacked(seen.older.get(entry.kind, [])), second):
        return "new"
    return "too_old" if dense and not of_known_frame else "duplicate"


def size(seen: SeenEntries) -> int:
    """Return about how many bytes the entries take."""
    return 12 * sum(map(len, seen.exact.values())) + 5 * sum(map(len, seen.older.values())) // 2


def remember(seen: SeenEntries, entry: EntryMark) -> None:
    """Remember an entry that became readings."""
    marks = seen.exact.get(entry.kind)
    if marks is None:
        marks = seen.exact[entry.kind] = EntryMarks()
    if seen.newest is None or entry.at > seen.newest:
        seen.newest = entry.at
    if not marks.add(entry.digest, int(entry.at.timestamp())):
        return  # another part of the same entry
    _look(seen, marks)


def remember_new(seen: SeenEntries, entry: EntryMark) -> bool:
    """``remember`` an entry that is new beyond doubt; False, and nothing noted, where ``check`` has
    to say whether it is.
    """
    if seen.newest is not None and entry.at < seen.newest - KNOWN_FOR:
        return False
    second = int(entry.at.timestamp())
    if seen.forgotten is not None and second <= seen.forgotten:
        return False
    marks = seen.exact.get(entry.kind)
    if marks is None:
        marks = seen.exact[entry.kind] = EntryMarks()
    if not marks.add(entry.digest, second):
        return False
    if seen.newest is None or entry.at > seen.newest:
        seen.newest = entry.at
    _look(seen, marks)
    return True


def _look(seen: SeenEntries, marks: EntryMarks) -> None:
    """Forget the oldest entries now and then."""
    if len(marks) % LOOK_EVERY or seen.newest is None:
        return
    if sum(map(len, seen.exact.values())) >= EXACT + FORGET_EVERY:
        _forget(seen, int((seen.newest - KNOWN_FOR).timestamp()))


def _forget(seen: SeenEntries, limit: int) -> None:
    """Keep the newest entries one by one, and only the seconds of the others.

    A second is forgotten whole or not at all. Otherwise the rest of a burst would look like its own
    re-send. Only a burst that alone would fill the state is cut.
    """
    by_time = sorted(chain.from_iterable(marks.seconds for marks in seen.exact.values()))
    kept_from = by_time[-EXACT] if len(by_time) < MOST_EXACT else by_time[-EXACT] + 1
    if by_time[0] >= kept_from:
        return
    kinds: dict[str, SeenSpans] = {kind: _unpacked(flat) for kind, flat in seen.older.items()}
    for kind, marks in seen.exact.items():
        for run in _runs(sorted(second for second in marks.seconds if second < kept_from)):
            most = MOST_SPANS if len(kinds) <= MOST_KINDS else MOST_SPANS * MOST_KINDS // len(kinds)
            _insert(kinds.setdefault(kind, []), run, most)
    kept = {kind: [span for span in spans if span[1] >= limit] for kind, spans in kinds.items()}
    seen.older = {kind: _packed(spans) for kind, spans in kept.items() if spans}
    seen.forgotten = max(seen.forgotten or 0, by_time[bisect_left(by_time, kept_from) - 1])
    since = {kind: marks.since(kept_from) for kind, marks in seen.exact.items()}
    seen.exact = {kind: marks for kind, marks in since.items() if marks}
