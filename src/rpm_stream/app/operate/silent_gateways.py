"""Finds silent gateways: nothing has come for longer than usual while a patient wears a device.

The usual pauses are computed from ``rpm.accounts``, which has the time of receipt of each frame. So
nothing has to be stored, and a restart forgets nothing. The days of a gateway are stored as slots
of ten minutes, with one bit a slot for "heard". The order of frames does not matter, and 10,000
gateways take 3 MB.

The usual pause of a gateway is a design choice. For each of the last 14 days on which it was heard,
take the longest pause that ended on that day. The median of these is the usual pause. It is 8 hours
for a strap that is off at night, 24 hours for a scale that is used each morning, and a few minutes
for a relay that never rests. A gateway is silent after one and a half times its usual pause, and
after one hour at least. If fewer than three days are known, the usual pause is the longest one, and
a day at least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from statistics import median

import msgspec
import structlog
from prometheus_client import Gauge

from rpm_stream.app.kafka.names import ACCOUNTS
from rpm_stream.app.kafka.range_reader import ReportProgress, Spans, reaching, records, window
from rpm_stream.app.registry.topic import read
from rpm_stream.knowledge.registry import Registry, holders
from rpm_stream.records import UNREADABLE, Record, Time

SLOT = timedelta(minutes=10)
SLOTS_A_DAY = 144
DAYS = 14
SLOTS = DAYS * SLOTS_A_DAY
TIMES = 1.5
LEAST = timedelta(hours=1)
# if no usual pause is known: a day, and two hours for a user who is late
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
    """A gateway and whether it is silent.

    ``last`` is when it was last heard. ``usual_minutes`` is its usual pause, None if unknown.
    ``silent_after`` is the number of minutes without a frame after which it counts as silent.
    ``expected`` is whether a patient wears a device of it.
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


class GatewayHistory:
    """The times at which one gateway was heard, and its devices.

    A time is stored as one bit for its slot of ten minutes, so a gateway takes little memory.
    """

    def __init__(self) -> None:
        self.last: datetime | None = None
        self.devices: set[str] = set()
        self._begin = 0  # the slot of the lowest bit
        self._bits = 0

    def note(self, device: str, at: datetime) -> None:
        """Note that a frame was received. Calls may come in any order."""
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
        """Drop older times."""
        if (gone := _slot(before) - self._begin) > 0:
            self._bits >>= gone
            self._begin += gone

    def pauses(self) -> list[timedelta]:
        """Return, for each day on which it was heard, the longest pause that ended on that day."""
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
    """Return how long a gateway usually pauses, None if it has no pause yet.

    >>> usual([timedelta(hours=8)] * 5 + [timedelta(hours=60)])
    datetime.timedelta(seconds=28800)
    """
    if not pauses:
        return None
    if len(pauses) < KNOWN_DAYS:
        return max(*pauses, timedelta(days=1))
    return timedelta(seconds=median(pause.total_seconds() for pause in pauses[-DAYS:]))


def silent_after(pause: timedelta | None) -> timedelta:
    """Return the pause after which a gateway with this usual pause is silent."""
    return LEAST_UNKNOWN if pause is None else max(LEAST, TIMES * pause)


class Gateways:
    """All gateways that were heard in the last 14 days. ``look`` reads only what is new."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._next: dict[int, int] = {}  # by partition of rpm.accounts
        self.courses: dict[str, GatewayHistory] = {}

    async def look(self, now: datetime, progress: ReportProgress) -> list[Heard]:
        """Read the new accounts and return the state of all gateways at ``now``.

        Raises ``UsageError`` when the broker is away or lacks a topic.
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
        """Note a message of rpm.accounts.

        An unreadable message has no effect, and neither has the account of a frame without a
        gateway.
        """
        try:
            account = _account.decode(value or b"")
        except UNREADABLE:
            return
        if account.gateway is not None:
            self.courses.setdefault(account.gateway, GatewayHistory()).note(
                account.device, account.received_at
            )

    def heard(self, registry: Registry, now: datetime) -> list[Heard]:
        """Return the state of all gateways at ``now``: silent ones first, then by name."""
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


def _heard(name: str, course: GatewayHistory, registry: Registry, now: datetime) -> Heard:
    assert course.last is not None  # a course exists only for a gateway that was heard
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
    """Set the gauges. No label names a gateway, and only the command lists which ones they are."""
    expected = [each for each in heard if each.expected]
    KNOWN.set(len(expected))
    SILENT.set(sum(each.silent for each in expected))
