"""An alert with its history and its newest values."""

from __future__ import annotations

from rpm_stream.records.base import Code, Record, SensedText, Time, Version
from rpm_stream.records.terms import (
    Absent,
    ActionName,
    AlertState,
    Cause,
    Direction,
    Event,
    Priority,
    Trend,
)


class Transition(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One step in the life of an alert.

    - ``reason`` has a person's own words, or the rule's text for what it found.
    - ``event`` names what happened.
    - ``until`` and ``direction`` are what a snooze covers.
    - ``assignee`` is who has the alert now.
    - ``asked`` of a ``refused`` step is the action that was not carried out, and ``cause`` the
      reason.

    Records that were written before these fields existed have none of them except ``reason``.
    """

    at: Time
    state: AlertState
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
    """One value at its time.

    ``value`` is null if the device shows none, and ``absent`` then gives the reason.
    """

    value: SensedText | None
    unit: Code
    measured_at: Time
    absent: Absent | None = None


class Now(Record, frozen=True, kw_only=True):
    """The current situation of one vital of an alert.

    It has the newest value, the worst value since the alert opened, and the trend. ``trend``
    compares the newest value with the last one that is at least 10 minutes older. The vital rises
    or falls if the difference is more than its resolution.
    """

    vital: Code
    newest: Sample
    worst: Sample
    trend: Trend | None = None


class Alert(Record, frozen=True, kw_only=True):
    """One episode of one patient and group, complete in every record.

    - ``why`` is plain text.
    - ``evidence`` has the ids of the readings that ``why`` names, in its order.
    - ``over`` means that all values are back inside and the alert waits until a person sees it.
    - ``now`` has one entry for each vital of the alert, the most important first.
    """

    v: Version = 1
    id: Code
    patient: Code
    group: Code
    priority: Priority
    state: AlertState
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
