"""What is kept of an alert that is not resolved.

These are its members, what a person saw and decided, and what the last record reported.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from rpm_stream.records import Absent, Alert, Direction, FindingKind, Key, Priority

MOST_EVIDENCE = 8  # CONTRACT 1


class Fact(msgspec.Struct, array_like=True):
    """One reading as an alert needs it.

    ``number`` is the value in the vital's first unit. It is infinite for LO and HI.
    """

    id: str
    value: str | None
    unit: str
    absent: Absent | None
    measured_at: datetime
    number: str


class MemberFinding(msgspec.Struct, array_like=True):
    """What a rule found at one moment.

    ``points`` is the number of NEWS2 points that the value has.
    """

    measured_at: datetime
    priority: Priority
    title: str
    why: str
    evidence: tuple[str, ...]
    points: int = 0
    number: str = ""


class Member(msgspec.Struct, omit_defaults=True):
    """A rule inside an episode, with its highest priority, its vital and its side of a limit.

    ``why`` and ``title`` are the worst words that a record has shown. ``told`` is the number that
    these words name, and ``points`` the NEWS2 points that they name. ``measured_at`` is the time of
    the newest finding, and ``newest`` is what that finding reported. ``worst`` is the reading
    furthest beyond the limit since the alert opened. ``bound`` is the mildest limit of that side,
    in the vital's first unit.

    ``well`` marks a member that has recovered while other members of an alert about devices have
    not. Such a member has no line in the alert. ``kind`` and ``key`` are those of the findings. A
    state of an older release lacks them (``pipeline/old_members.py``).
    """

    rule: str
    why: str
    priority: Priority
    vital: str
    measured_at: datetime
    direction: Direction | None = None
    title: str = ""
    evidence: tuple[str, ...] = ()
    newest: MemberFinding | None = None
    worst: Fact | None = None
    bound: str = ""
    points: int = 0
    told: str = ""
    well: bool = False
    kind: FindingKind = "unknown"
    key: Key = Key()


class Snoozed(msgspec.Struct):
    """Until when an alert is snoozed, and which sides of the limits the snooze covers."""

    until: datetime
    covers: tuple[Direction, ...]


class Escalated(msgspec.Struct):
    """How often an alert has escalated since it was last opened."""

    since: datetime
    times: int


class TierRun(msgspec.Struct, array_like=True):
    """The first and last time of values a tier beyond the baseline, less than a minute apart.

    The baseline is what the person saw when they decided (``DecisionBasis``).
    """

    since: datetime
    last: datetime


class Snapshot(msgspec.Struct, array_like=True):
    """An alert's values after one message: the newest number of each vital, and NEWS2.

    ``is_record`` is true if a record of the alert was written then. ``beyond`` lists by vital and
    side which values were beyond a limit. ``worst`` is the worst number that came since, up to the
    next moment, by vital and side. ``worst_news2`` is the same for NEWS2. ``priority`` is that of
    the alert. It is None in a moment of an older release, and where moments of different priorities
    were merged.
    """

    at: datetime
    is_record: bool
    numbers: dict[str, str]
    news2: int | None
    worst: dict[str, str] = {}
    worst_news2: int | None = None
    beyond: tuple[str, ...] = ()
    priority: Priority | None = None


class DecisionBasis(msgspec.Struct, omit_defaults=True):
    """The values that were known when a person acknowledged or snoozed an alert.

    ``beyond`` lists by vital and side what was beyond a limit. ``rows`` holds the tiers that have
    begun. ``again`` names the members of which a value came again after an hour without one and has
    not been reported yet.
    """

    numbers: dict[str, str]
    news2: int | None
    beyond: tuple[str, ...] = ()
    rows: dict[str, TierRun] = {}
    again: list[str] = []


class LastRecord(msgspec.Struct, array_like=True):
    """What the last record that data caused has reported.

    ``at`` is the time of the record. ``worst`` is the worst number of each member, and ``levels``
    the level of each member against its limits. ``until`` is the time of the newest measurement
    that the record covers.
    """

    at: datetime
    worst: dict[str, str]
    levels: dict[str, str]
    until: datetime | None = None


class Episode(msgspec.Struct, omit_defaults=True):
    """An alert that is not resolved, with its members by name."""

    alert: Alert
    members: dict[str, Member]
    since: datetime  # when its first finding was measured
    decided_at: datetime  # when the finding that decided last was measured
    snoozed: Snoozed | None = None
    escalated: Escalated | None = None
    # What opened the alert. None in a state of an older release, or when its readings were voided.
    first: MemberFinding | None = None
    seen: bool = False  # whether a person has seen it since it last became open
    moments: list[Snapshot] = []
    decided: DecisionBasis | None = None
    worse_at: datetime | None = None  # when a tier last opened it again
    held: bool = False  # whether a tier was held back since then
    told: LastRecord | None = None


Episodes: TypeAlias = dict[str, Episode]
