"""A person's decision, and the message that carries it to the judge."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from rpm_stream.records.alerts import Alert
from rpm_stream.records.base import Code, KeptName, Record, Time, Version
from rpm_stream.records.readings import Reading, Window
from rpm_stream.records.terms import ActionName, Direction, Priority


class Action(Record, frozen=True, kw_only=True):
    """What a person decided about an alert, or found wrong with readings.

    The key of the message is the patient. If an action cannot be done, the alert's history has a
    step that gives the cause.

    - ``snooze`` needs ``until`` and may name the ``direction`` that it covers.
    - ``assign`` needs ``to``. ``comment`` and ``withdraw`` need a ``reason``.
    - ``see`` records that a person has looked at the alert, and changes nothing else.
    - ``void`` takes back ``readings`` that are wrong or another person's. It names no alert.
    - ``adopt`` gives a patient the readings of a device that was assigned to somebody else by
      mistake. It names no alert.
    - ``seen`` is the alert's priority as the person saw it. If the priority has risen since, only
      ``comment`` and ``assign`` are carried out.
    - ``record`` is the ``updated_at`` of the alert record that the person saw. If the alert has got
      worse by a tier of danger since, the decision is not carried out.
    - ``shown`` has the ids of those ``readings`` that were published singly although their vital is
      summed.
    - ``windows`` has the remaining, correct content of the 15-minute windows of ``readings``, which
      the judge needs for windows that it has dropped.
    - ``listed`` is the alert's newest record. It is sent to end an alert that the judge has lost
      with its patient's state.
    """

    v: Version = 1
    patient: KeptName
    alert: KeptName | None = None
    action: ActionName
    who: KeptName
    at: Time
    reason: Annotated[str, Meta(max_length=1000)] = ""
    until: Annotated[Time | None, Meta(description="when a snooze ends")] = None
    direction: Annotated[
        Direction | None, Meta(description="the side of the limits that a snooze covers")
    ] = None
    to: KeptName | None = None
    seen: Priority | None = None
    record: Annotated[
        Time | None, Meta(description="updated_at of the alert record that the person saw")
    ] = None
    readings: Annotated[tuple[Reading, ...], Meta(max_length=500)] = ()
    shown: Annotated[tuple[Code, ...], Meta(max_length=500)] = ()
    windows: Annotated[tuple[Window, ...], Meta(max_length=500)] = ()
    listed: Alert | None = None


class Forwarded(Record, frozen=True, kw_only=True):
    """A message of ``rpm.readings`` that holds a person's decision.

    It has its place among the patient's readings. ``topic``, ``partition`` and ``offset`` name
    where the decision came from, so that the judge applies each once. ``received_at`` is when the
    broker received it there. ``action`` is as it was sent, including fields that this release does
    not know.
    """

    v: Version = 1
    patient: Code
    topic: Code
    partition: int
    offset: int
    received_at: Time
    action: Action
