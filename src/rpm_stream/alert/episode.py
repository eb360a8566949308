"""What is kept of an alert that is not resolved: its members, what a person saw and decided,
what was told.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from rpm_stream.records import Absent, Alert, Direction, Key, Kind, Priority

MOST_EVIDENCE = 8  # CONTRACT 1


class Fact(msgspec.Struct, array_like=True):
    """One reading as an alert needs it; ``number`` in the vital's first unit, infinite for LO
    and HI.
    """

    id: str
    value: str | None
    unit: str
    absent: Absent | None
    measured_at: datetime
    number: str


class Found(msgspec.Struct, array_like=True):
    """What a rule said of one moment; ``points`` of NEWS2 that the value has."""

    measured_at: datetime
    priority: Priority
    title: str
    why: str
    evidence: tuple[str, ...]
    points: int = 0
    number: str = ""


class Member(msgspec.Struct, omit_defaults=True):
    """A rule inside an episode: its highest priority, its worst words that were told, its vital and
    side of a limit.

    ``measured_at``: of its newest finding. ``newest``: what it said then. ``worst``: the reading
    that was furthest beyond the limit since the alert opened, ``bound`` the mildest limit of that
    side, in the vital's first unit. ``told``, ``points``: the number, or the points of NEWS2, that
    ``why`` and ``title`` tell. ``well``: it has recovered while others of an alert about devices
    have not, and is no line of it. ``kind`` and ``key`` are those of its findings; a state of an
    older release lacks them (pipeline/old_members.py).
    """

    rule: str
    why: str
    priority: Priority
    vital: str
    measured_at: datetime
    direction: Direction | None = None
    title: str = ""
    evidence: tuple[str, ...] = ()
    newest: Found | None = None
    worst: Fact | None = None
    bound: str = ""
    points: int = 0
    told: str = ""
    well: bool = False
    kind: Kind = "unknown"
    key: Key = Key()


class Snoozed(msgspec.Struct):
    """Until when an alert is snoozed, and which sides of the limits that covers."""

    until: datetime
    covers: tuple[Direction, ...]


class Escalated(msgspec.Struct):
    """How often an alert has escalated since it was last opened."""

    since: datetime
    times: int


class Row(msgspec.Struct, array_like=True):
    """Values a tier beyond what stood, less than a minute after each other: from when to when."""

    since: datetime
    last: datetime


class Moment(msgspec.Struct, array_like=True):
    """What stood after one message: the newest number of each vital, and NEWS2. ``is_record``: a
    record said so.

    ``beyond``: by vital and side, which of these were beyond a limit. ``worst``: the worst number
    that came since, up to the next moment, by vital and side; ``worst_news2`` likewise.
    ``priority``: the alert's; None of an older release's, and where moments of several priorities
    were put together.
    """

    at: datetime
    is_record: bool
    numbers: dict[str, str]
    news2: int | None
    worst: dict[str, str] = {}
    worst_news2: int | None = None
    beyond: tuple[str, ...] = ()
    priority: Priority | None = None


class Decision(msgspec.Struct, omit_defaults=True):
    """What stood when a person acknowledged or snoozed; ``beyond``: by vital and side, what was
    beyond a limit.

    ``rows``: tiers that have begun; ``again``: members of which a value came again after an hour
    without one and waits to be told.
    """

    numbers: dict[str, str]
    news2: int | None
    beyond: tuple[str, ...] = ()
    rows: dict[str, Row] = {}
    again: list[str] = []


class Told(msgspec.Struct, array_like=True):
    """What the last record told that data caused: when, the worst number of each member, where each
    stands to its limits, and up to which measurement.
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
    # what rang first; None of an older release's, or when its readings were taken back
    first: Found | None = None
    seen: bool = False  # whether a person has seen it since it last became open
    moments: list[Moment] = []
    decided: Decision | None = None
    worse_at: datetime | None = None  # when a tier opened it last
    held: bool = False  # whether a tier was held back since then
    told: Told | None = None


Episodes: TypeAlias = dict[str, Episode]
