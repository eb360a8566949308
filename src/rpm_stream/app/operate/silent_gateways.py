"""Which gateways are silent: nothing has come for longer than is usual for them, while somebody
wears a device.

What is usual is read from ``rpm.accounts``, which say of each frame when it was received: so
nothing has to be kept, and a restart forgets nothing. A gateway's days are kept as slots of ten
minutes in which it was heard, one bit each; their order does not matter, and 10,000 gateways take 3
MB.

What is usual for a gateway (design choice): of each of the last 14 days on which it was heard, the
longest pause that ended on that day; the middle one of these. A strap that is off at night has 8
hours, a scale that is used each morning 24, a relay that never rests a few minutes. Silent is who
pauses for one and a half times that, and an hour at least. Of whom fewer than three days are known,
the longest pause counts, and a day at least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from statistics import median

import msgspec
import structlog
from prometheus_client import Gauge

from rpm_stream.app.kafka.names import ACCOUNTS
from rpm_stream.app.kafka.range_reader import Progress, Spans, reaching, records, window
from rpm_stream.app.registry.topic import read
from rpm_stream.knowledge.registry import Registry, holders
from rpm_stream.records import UNREADABLE, Record, Time

SLOT = timedelta(minutes=10)
SLOTS_A_DAY = 144
DAYS = 14
SLOTS = DAYS * SLOTS_A_DAY
TIMES = 1.5
# a day, and who comes two hours late
LEAST = timedelta(hours=1)
LEAST_UNKNOWN = timedelta(hours=26)
KNOWN_DAYS = 3

KNOWN = Gauge(
    "rpm_gateways_expected",
    "Gateways heard in the last 14 days that have a device which somebody wears",
)
SILENT = Gauge(
    "rpm_gateways_silent",
    "Of these, those that have sent nothing for longer than is usual for them",
)
log = structlog.get_logger()


class Heard(Record, frozen=True, kw_only=True):
    """A gateway: when it was last heard, how long it usually pauses (None: not known), and whether
    it is silent.

    ``silent_after``: minutes without a frame from which on it counts as silent; ``expected``:
    somebody wears a device of it.
    """

    gateway: str
    last: Time
    usual_minutes: int | None
    silent_after: int
    devices: int
    expected: bool
    silent: bool


class _Account(msgspec.Struct, frozen=True):
    gateway: str | None
    device: str
    received_at: datetime


_account = msgspec.json.Decoder(_Account)


def _slot(at: datetime) -> int:
    return int(at.timestamp() // SLOT.total_seconds())


class Course:
    """When one gateway was heard, and with which devices."""

    def __init__(self) -> None:
        self.last: datetime | None = None
        self.devices: set[str] = set()
        self._begin = 0  # the slot of the lowest bit
        self._bits = 0

    def note(self, device: str, at: datetime) -> None:
        """A frame was received; in any order."""
        self.devices.add(device)
        self.last = at if self.last is None else max(self.last, at)
        slot = _slot(at)
        if not self._bits:
            self._begin = slot
        if slot < self._begin:
            self._bits <<= self._begin - slot
            self._begin = slot
        self._bits |= 1 << (slot - self._begin)

    def forget(self, before: datetime) -> None:
        """Drop what is older."""
        if (gone := _slot(before) - self._begin) > 0:
            self._bits >>= gone
            self._begin += gone

    def pauses(self) -> list[timedelta]:
        """Of each day on which it was heard, in order, the longest pause that ended on it."""
        longest: dict[int, int] = {}
        before: int | None = None
        for slot in self._slots():
            if before is not None:
                longest[slot // SLOTS_A_DAY] = max(
                    longest.get(slot // SLOTS_A_DAY, 0), slot - before
                )
            before = slot
        return [pause * SLOT for pause in longest.values()]

    def _slots(self) -> Iterator[int]:
        bits = self._bits
        slot = self._begin
        while bits:
            skip = (bits & -bits).bit_length()
            yield slot + skip - 1
            bits >>= skip
            slot += skip


def usual(pauses: list[timedelta]) -> timedelta | None:
    """How long a gateway usually pauses; None where nothing is known of it.

    >>> usual([timedelta(hours=8)] * 5 + [timedelta(hours=60)])
    datetime.timedelta(seconds=28800)
    """
    if not pauses:
        return None
    if len(pauses) < KNOWN_DAYS:
        return max(*pauses, timedelta(days=1))
    return timedelta(seconds=median(pause.total_seconds() for pause in pauses[-DAYS:]))


def silent_after(pause: timedelta | None) -> timedelta:
    """From which pause on a gateway is silent whose usual pause is this."""
    return LEAST_UNKNOWN if pause is None else max(LEAST, TIMES * pause)


class Gateways:
    """All gateways that were heard in the last 14 days; ``look`` reads on from where it stood."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._next: dict[int, int] = {}  # by partition of rpm.accounts
        self.courses: dict[str, Course] = {}

    async def look(self, now: datetime, progress: Progress) -> list[Heard]:
        """Read on, and say what is so at ``now``.

        Raises UsageError when the broker is away or lacks a topic.
        """
        since = now - timedelta(days=DAYS)
        async with reaching(self._bootstrap, (ACCOUNTS,)) as broker:
            spans = self._unread(await window(broker, ACCOUNTS, since, None))
            async for batch in records(broker, spans, progress):
                for record in batch:
                    self.note(record.value)
                self._next[batch[-1].partition] = batch[-1].offset + 1
        return self.heard(await read(self._bootstrap), now)

    def _unread(self, spans: Spans) -> Spans:
        return {
            tp: (max(first, self._next.get(tp.partition, 0)), end)
            for tp, (first, end) in spans.items()
        }

    def note(self, value: bytes | None) -> None:
        """A message of rpm.accounts; one that is none, or of a frame that named no gateway, says
        nothing here.
        """
        try:
            account = _account.decode(value or b"")
        except UNREADABLE:
            return
        if account.gateway is not None:
            self.courses.setdefault(account.gateway, Course()).note(
                account.device, account.received_at
            )

    def heard(self, registry: Registry, now: datetime) -> list[Heard]:
        """What is so at ``now``: the silent ones first, then by name."""
        since = now - timedelta(days=DAYS)
        self.courses = {
            name: course
            for name, course in self.courses.items()
            if course.last and course.last >= since
        }
        found = []
        for name, course in self.courses.items():
            course.forget(since)
            found.append(_heard(name, course, registry, now))
        return sorted(found, key=lambda each: (not each.silent, each.gateway))


def _heard(name: str, course: Course, registry: Registry, now: datetime) -> Heard:
    assert course.last is not None  # it was heard, or there would be no course
    pause = usual(course.pauses())
    after = silent_after(pause)
    worn = (registry.devices[device] for device in course.devices if device in registry.devices)
    expected = any(holders(device, now) for device in worn)
    return Heard(
        gateway=name,
        last=course.last,
        usual_minutes=None if pause is None else round(pause.total_seconds() / 60),
        silent_after=round(after.total_seconds() / 60),
        devices=len(course.devices),
        expected=expected,
        silent=expected and now - course.last > after,
    )


def show(heard: Iterable[Heard]) -> None:
    """The counts as gauges; which gateways they are the command says: no label names one."""
    expected = [each for each in heard if each.expected]
    KNOWN.set(len(expected))
    SILENT.set(sum(each.silent for each in expected))
