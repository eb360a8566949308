"""What a person decides, and the message that carries it to the judge."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from rpm_stream.records.alerts import Alert
from rpm_stream.records.base import Code, KeptName, Record, Time, Version
from rpm_stream.records.readings import Reading, Window
from rpm_stream.records.terms import ActionName, Direction, Priority


class Action(Record, frozen=True, kw_only=True):
    """What a person decided about an alert, or found wrong with readings; key of the message is the
    patient.

    ``snooze`` needs ``until`` and may name the ``direction`` that it covers; ``assign`` needs
    ``to``; ``comment`` and ``withdraw`` need a ``reason``. What cannot be done is told in the
    alert's history. ``seen``: the alert's priority as the person saw it; on one that has become
    higher since, nothing but ``comment`` and ``assign`` is carried out. ``record``: the
    ``updated_at`` of the alert record that the person saw; a decision about one that a tier of
    danger has passed since is not carried out. ``see`` says that a person has looked at the alert,
    and changes nothing else. ``void`` takes ``readings`` back that are wrong or another person's;
    ``adopt`` gives a patient the readings of a device that was taken for somebody else's. These two
    name no alert. ``shown`` are the ids of those ``readings`` that were published singly although
    their vital is summed; ``windows`` what else, and right, is in their 15-minute windows: the
    judge needs it of those that it does not keep any more. ``listed``: the alert's newest record,
    sent to end one that the judge has been found to keep no more (its patient's state was lost
    since).
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
    """A message of ``rpm.readings`` that holds what a person decided, in its place among the
    patient's readings.

    ``topic``, ``partition`` and ``offset`` name the place that it came from, so that the judge
    applies each once. ``received_at``: when the broker got it there. ``action``: as it was sent,
    with what this release does not know.
    """

    v: Version = 1
    patient: Code
    topic: Code
    partition: int
    offset: int
    received_at: Time
    action: Action
