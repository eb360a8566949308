"""Runs of readings that show a fault of a device or of its signal, and the findings about them.

The group ``device:<kind>`` has a member for each device and vital. Its name ends with the device's
id, so it stays in the state and never gets into a text. A member is reported once, and again only
after it was well. What a person has ended does not come back with the next reading.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias, get_args

from rpm_stream.knowledge.alerting import DeviceKind
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Finding, FindingKind, Key, Reading, Record
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import DeviceRun

KINDS: tuple[DeviceKind, ...] = get_args(DeviceKind)
# Runs that a patient can have of each of faults, repeats and doubts. The run whose newest reading
# is oldest is dropped first.
MOST_RUNS = 24
ANY = "any"  # in the name of a member that is not about a single vital
Runs: TypeAlias = dict[str, DeviceRun]


class DeviceReport(Record, frozen=True, kw_only=True):
    """A report about the device of the first reading.

    ``kind`` is its kind of fault, and ``of`` what the fault is about (see ``member_of``).
    """

    kind: DeviceKind
    of: str
    title: str
    why: str
    evidence: tuple[Reading, ...]


def report_of(kind: DeviceKind, reading: Reading, title: str, why: str) -> DeviceReport:
    """Return a report about the device of one reading, whose vital shows the fault."""
    return DeviceReport(kind=kind, of=reading.vital, title=title, why=why, evidence=(reading,))


class Teller:
    """Makes findings about devices, with the kind, the priority and the version of their rules."""

    def __init__(self, knowledge: Knowledge, kind: FindingKind, version: str) -> None:
        self._kind: FindingKind = kind
        self._priority = {kind: knowledge.priorities.of(f"device.{kind}") for kind in KINDS}
        self._version = version

    def finding(self, report: DeviceReport) -> Finding:
        """The finding of a report. The first reading of the evidence gives its time."""
        first = report.evidence[0]
        key = Key(what=report.kind, of=report.of, device=first.device)
        return Finding(
            kind=self._kind,
            key=key,
            member=member_name(self._kind, key),
            rule=f"device.{report.kind}@{self._version}",
            group=f"device:{report.kind}",
            priority=self._priority[report.kind],
            title=report.title,
            why=report.why,
            evidence=report.evidence,
            vital=first.vital,
            measured_at=first.measured_at,
        )


def member_of(kind: DeviceKind, of: str, device: str) -> str:
    """The name of a member in its episode and of its run in the state.

    ``kind`` is the fault of the device, and ``of`` the vital or flag that shows it.
    """
    return member_name("device", Key(what=kind, of=of, device=device))


def count(runs: Runs, member: str, at: datetime, is_wrong: bool) -> DeviceRun | None:
    """Continue, begin or end a member's run of faults.

    Return None where there is no run, or where the reading came late.
    """
    run = runs.get(member)
    if run is None:
        return keep(runs, member, DeviceRun(at, at, 1)) if is_wrong else None
    if at < run.until:
        return None
    if not is_wrong:
        run.until = at
        run.count = 0
        run.reported = False
    elif run.count == 0:
        run.since = at
        run.until = at
        run.count = 1
    elif at > run.until:  # faults of one instant (or frame) count as one
        run.until = at
        run.count = run.count + 1
    return run


def lasts(run: DeviceRun | None, times: int, minutes: int) -> bool:
    """Whether a run has so many faults over at least so many minutes."""
    return (
        run is not None
        and run.count >= times
        and run.until - run.since >= timedelta(minutes=minutes)
    )


def keep(runs: Runs, member: str, run: DeviceRun) -> DeviceRun:
    """Enter a run, and drop another where there are too many.

    A run that was not reported is dropped first, and among those the one whose newest reading is
    oldest.
    """
    runs[member] = run
    if len(runs) > MOST_RUNS:
        others = (name for name in runs if name != member)
        del runs[min(others, key=lambda name: (runs[name].reported, runs[name].until, name))]
    return run


def is_news(run: DeviceRun | None) -> bool:
    """Whether this run was not reported before. Marks it as reported."""
    if run is None or run.reported:
        return False
    run.reported = True
    return True


def any_going_on(runs: Runs) -> bool:
    """Whether a run is going on, so that a reading may end it."""
    return any(run.count for run in runs.values())


def is_well(run: DeviceRun | None) -> bool:
    """Whether a fault that was reported is over."""
    return run is not None and not run.reported
