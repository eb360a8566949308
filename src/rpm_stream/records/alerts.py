"""An alert with its history and its newest values."""

from __future__ import annotations

from rpm_stream.records.base import Code, Record, SensedText, Time, Version
from rpm_stream.records.terms import (
    Absent,
    ActionName,
    Cause,
    Direction,
    Event,
    Priority,
    State,
    Trend,
)


class Transition(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One step in the life of an alert. ``reason``: a person's own words, or the rule's of what was
    found.

    ``event`` says what happened, ``until`` and ``direction`` what a snooze covers, ``assignee`` who
    has it now. Records that were written before these fields existed have none of them. Of a
    ``refused`` step ``asked`` is the action that was not carried out and ``cause`` why.
    """

    at: Time
    state: State
    priority: Priority
    who: Code
    reason: str
    event: Event | None = None
    until: Time | None = None
    direction: Direction | None = None
    assignee: Code | None = None
    asked: ActionName | None = None
    cause: Cause | None = None


class Sample(Record, frozen=True, kw_only=True):
    """One value at its time; ``value`` is null where the device shows none, then ``absent`` says
    why.
    """

    value: SensedText | None
    unit: Code
    measured_at: Time
    absent: Absent | None = None


class Now(Record, frozen=True, kw_only=True):
    """What is so now of one vital of an alert: its newest value, the worst since the alert opened,
    and the trend.

    ``trend`` compares the newest value with the last one at least 10 minutes older: by more than
    the vital's resolution it rises or falls.
    """

    vital: Code
    newest: Sample
    worst: Sample
    trend: Trend | None = None


class Alert(Record, frozen=True, kw_only=True):
    """One episode of one patient and group, whole in every record. ``why`` is plain words;
    ``evidence`` the ids of the readings that ``why`` names, in its order.

    ``over``: all values are back inside, and the alert waits for a person who sees it. ``now``: one
    entry a vital of the alert, the one that matters most first.
    """

    v: Version = 1
    id: Code
    patient: Code
    group: Code
    priority: Priority
    state: State
    title: str
    why: tuple[str, ...]
    rule: Code
    evidence: tuple[Code, ...]
    history: tuple[Transition, ...]
    opened_at: Time
    measured_at: Time
    updated_at: Time
    historical: bool = False
    stale: bool = False
    late: bool = False
    escalation: int = 0
    over: bool = False
    now: tuple[Now, ...] = ()
