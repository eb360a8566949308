"""The lines of a report, which JSON Lines on stdout hold with their ``type``.

No line names a patient.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

from rpm_stream.app.operate.reconcile.balance import Imbalance


class Missing(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="missing"
):
    """A thing that does not balance, and where to look: device, frame and a place in a topic."""

    kind: Imbalance
    parts: int
    why: str
    device: str | None = None
    frame: str | None = None
    topic: str
    partition: int
    offset: int
    entry: int | None = None
    part: int | None = None
    patient_ref: str | None = None
    vital: str | None = None
    window: datetime | None = None


class Gap(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    """Frames that a gateway counted and that never came.

    ``frames`` of the numbers ``first`` to ``last`` are missing. ``unreadable`` further frames came
    between their neighbours, and were refused as a whole without a readable number. A hole that
    such frames fill is no gap.
    """

    gateway: str
    device: str
    boot: str
    first: int
    last: int
    frames: int
    unreadable: int


class InFlight(msgspec.Struct, kw_only=True):
    """What an agent has not processed yet: frames before ingest, readings before the judge."""

    frames: int = 0
    readings: int = 0


class Hour(msgspec.Struct, kw_only=True, tag_field="type", tag="hour"):
    """The result of one device's frames of one hour (of receipt by the broker).

    - ``lost``: frames that the gateway counted and that never came.
    - ``besides``: readings of a summary that were also published singly.
    - ``also_seen``: those of ``not_published`` that repeat an earlier measurement. They include
      readings whose earlier measurement may lie before the start of these books.
    - ``in_flight``: what an agent has not processed yet.
    """

    device: str
    hour: datetime
    frames: int = 0
    lost: int = 0
    entries: int = 0
    context: int = 0
    parts: int = 0
    readings: int = 0
    duplicates: int = 0
    rejects: dict[str, int] = {}
    single: int = 0
    summary: int = 0
    besides: int = 0
    not_published: int = 0
    also_seen: int = 0
    taken_back: int = 0
    in_flight: InFlight = msgspec.field(default_factory=InFlight)
    missing: int = 0


class ReconcileTotal(msgspec.Struct, kw_only=True, tag_field="type", tag="total"):
    """The sum of all lines.

    ``open_windows`` are not due yet. ``balanced`` is whether nothing is missing, too many or lost
    on the way.
    """

    balanced: bool = True
    frames: int = 0
    lost: int = 0
    parts: int = 0
    readings: int = 0
    duplicates: int = 0
    rejects: int = 0
    in_flight: InFlight = msgspec.field(default_factory=InFlight)
    open_windows: int = 0
    missing: int = 0
    gaps: int = 0


ReconcileLine: TypeAlias = Missing | Gap | Hour | ReconcileTotal
