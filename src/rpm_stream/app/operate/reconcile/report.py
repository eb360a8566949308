"""The balanced books: what is missing and where, a line a device and hour, and the sum.

SQLite does all counting in the file. Only one frame, window or gap at a time is in memory. No line
names a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from rpm_stream.app.kafka.names import FRAMES, OBSERVATIONS, READINGS
from rpm_stream.app.operate.reconcile.balance import (
    BalanceFault,
    WindowCounts,
    frame_faults,
    window_due,
    window_fault,
)
from rpm_stream.app.operate.reconcile.gateway_gaps import find_gaps
from rpm_stream.app.operate.reconcile.lines import Hour, Missing, ReconcileLine, ReconcileTotal
from rpm_stream.app.operate.reconcile.queries import (
    FRAMES_SQL,
    LATER_SQL,
    READINGS_SQL,
    TEMPORARY,
    WINDOWS_SQL,
)
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.records import Account

SETTLE = timedelta(minutes=10)  # ticks come every 15 s if no message waits
# Seconds by which a measurement may lie ahead of its frame (a wrong time zone), and one hour.
AHEAD_SECONDS = 15 * 3600
HOUR_SECONDS = 3600
MICROSECONDS = 1_000_000
# the fields of WindowCounts in the order of WINDOWS_SQL
WINDOW_COUNTS = ("judged", "waiting", "single", "taken_back", "also_seen", "n")
_account = msgspec.json.Decoder(Account)


class Where(NamedTuple):
    """A place in a topic."""

    topic: str
    partition: int
    offset: int


class Report:
    """The lines of the books as of now. ``total`` is complete when ``lines`` has ended."""

    def __init__(self, store: Store, clock: Clock, wall: datetime) -> None:
        self._db = store.db
        self._clock = clock
        self._wall = wall
        firsts = store.first_places(FRAMES)
        oldest = self._db.execute("SELECT MIN(hour) FROM frame").fetchone()[0]
        from_the_start = not any(firsts.values())
        self._whole_from = 0 if from_the_start else (oldest or 0) * HOUR_SECONDS + AHEAD_SECONDS
        self._begins = 0 if from_the_start else (oldest or 0) * HOUR_SECONDS + HOUR_SECONDS
        self.total = ReconcileTotal()

    def lines(self) -> Iterator[ReconcileLine]:
        """Yield the lines of the report.

        They are gaps, faults that were noted while reading, hours with the faults of their frames,
        faults of readings, faults of windows, and the total.
        """
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS beginning (at INT)")
        self._db.execute("DELETE FROM temp.beginning")
        self._db.execute("INSERT INTO temp.beginning VALUES (?)", (self._begins * MICROSECONDS,))
        self._db.executescript(TEMPORARY)
        for gap in find_gaps(self._db):
            self.total.gaps += 1
            yield gap
        for kind, topic, part, place, why in self._db.execute(
            "SELECT kind, topic, part, place, why FROM fault"
        ):
            yield self._missed(BalanceFault(kind=kind, parts=1, why=why), Where(topic, part, place))
        yield from self._hours()
        yield from self._readings()
        yield from self._windows()
        self.total.balanced = not (self.total.missing or self.total.gaps)
        yield self.total

    def _missed(
        self, fault: BalanceFault, where: Where, device: str | None = None, frame: str | None = None
    ) -> Missing:
        """Return the line of a fault, after counting it in the total."""
        self.total.missing += fault.parts
        return Missing(
            kind=fault.kind,
            parts=fault.parts,
            why=fault.why,
            device=device,
            frame=frame,
            **where._asdict(),
        )

    def _hours(self) -> Iterator[ReconcileLine]:
        for (device, hour), rows in groupby(self._db.execute(FRAMES_SQL), key=lambda row: row[:2]):
            line = Hour(device=device, hour=_time(hour * HOUR_SECONDS))
            for row in rows:
                yield from self._frame(line, row[2:])
            self._outcomes(line, hour)
            self._sum(line)
            yield line

    def _frame(self, line: Hour, row: tuple[Any, ...]) -> Iterator[Missing]:
        """Add one frame to its hour and yield its faults.

        A frame that ingest has not processed yet is in flight instead.
        """
        part, place, frame, body, readings, rejects, waiting = row
        account = None if body is None else _account.decode(body)
        line.frames += 1
        if account is not None:
            line.entries += account.entries
            line.context += account.context
            line.parts += account.parts
            line.readings += account.readings
            line.duplicates += account.duplicates
            for reason, count in account.rejects.items():
                line.rejects[reason] = line.rejects.get(reason, 0) + count
        faults = frame_faults(account, readings, msgspec.json.decode(rejects, type=dict[str, int]))
        if faults and waiting:
            line.in_flight.frames += 1
            return
        for fault in faults:
            line.missing += fault.parts
            yield self._missed(fault, Where(FRAMES, part, place), line.device, frame)

    def _outcomes(self, line: Hour, hour: int) -> None:
        found = self._db.execute(
            "SELECT state, count, besides FROM temp.outcome WHERE device = ? AND hour = ?",
            (line.device, hour),
        )
        for state, count, besides in found:
            if state == "waiting":
                line.in_flight.readings += count
            else:
                setattr(line, state, getattr(line, state) + count)
                line.not_published += count if state == "also_seen" else 0
            line.besides += besides
        sql = "SELECT IFNULL(SUM(frames), 0) FROM temp.lost WHERE device = ? AND hour = ?"
        line.lost = self._db.execute(sql, (line.device, hour)).fetchone()[0]

    def _sum(self, line: Hour) -> None:
        total = self.total
        for name in ("frames", "lost", "parts", "readings", "duplicates"):
            setattr(total, name, getattr(total, name) + getattr(line, name))
        total.rejects += sum(line.rejects.values())
        total.in_flight.frames += line.in_flight.frames
        total.in_flight.readings += line.in_flight.readings

    def _readings(self) -> Iterator[Missing]:
        """Yield readings that lack an Observation of their own, one line a message."""
        for device, frame, part, place, count, entry, value in self._db.execute(READINGS_SQL):
            fault = BalanceFault(
                kind="no_observation",
                parts=count,
                why="readings that are owed an Observation have none",
            )
            missing = self._missed(fault, Where(READINGS, part, place), device, frame)
            yield replace(missing, entry=entry, part=value)

    def _windows(self) -> Iterator[Missing]:
        for row in self._db.execute(WINDOWS_SQL):
            _, patient, vital, start, seen = row[:5]
            n, at_part, at_place, *first = row[10:]
            counts = dict(zip(WINDOW_COUNTS, row[5:11], strict=True))
            fault = window_fault(WindowCounts(**counts, whole=start >= self._whole_from))
            if fault is None:
                continue
            if n is None and not self._is_due(patient, vital, start, seen):
                self.total.open_windows += 1
                continue
            device, frame, part, place = first
            where = (
                Where(FRAMES, part, place) if n is None else Where(OBSERVATIONS, at_part, at_place)
            )
            missing = self._missed(fault, where, device, frame)
            yield replace(missing, patient_ref=patient, vital=vital, window=_time(start))

    def _is_due(self, patient: str, vital: str, start: int, seen: int) -> bool:
        """Whether the judge owes the summary.

        It does if it has seen a later reading, or if enough time has passed for a tick.
        """
        due = window_due(_time(start))
        if self._db.execute(LATER_SQL, (patient, vital, int(due.timestamp() * 1000))).fetchone():
            return True
        if self._wall < datetime.fromtimestamp(seen / 1000, UTC) + SETTLE:
            return False
        return self._clock.at(self._wall) >= due + SETTLE * self._clock.speed


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
