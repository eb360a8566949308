"""The records that one stage hands to the next and no topic holds."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from rpm_stream.records.base import Record, Time
from rpm_stream.records.readings import Reading
from rpm_stream.records.terms import Absent, Direction, Priority


class Decoded(Record, frozen=True, kw_only=True):
    """One value of a payload as sent, before identity, time and plausibility are checked.

    ``part`` counts from 0.
    """

    vital: str
    value: str | None
    unit: str
    absent: Absent | None = None
    flags: tuple[str, ...] = ()
    part: int = 0
    attributes: dict[str, Any] = {}
    device_time: datetime | None = None  # local, no zone
    unit_sent: str | None = None  # where ``unit`` is another spelling of it
    # identifies the value on its device (sequence number, session offset), or "" if time and
    # payload do
    key: str = ""


class Payload(Record, frozen=True, kw_only=True):
    """The content of one payload.

    ``readings`` may be empty. ``attributes`` are those of a payload without a vital.
    """

    readings: tuple[Decoded, ...] = ()
    attributes: dict[str, Any] = {}


FindingKind: TypeAlias = Literal[
    "limit",
    "news2",
    "detector",
    "trend",
    "rate",
    "predicted",
    "quality",
    "device",
    "silence",
    "setting",
    "not_judged",
    "unknown",
]
"""The kind of rule that found something (score/rules/table.py, pipeline/patient_rules.py).

``unknown`` belongs to no rule of this release. Only a person ends what such a rule found.
"""


class Key(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a finding is about within its kind.

    One key of a kind is one member of an episode. A limit has ``vital`` and ``side``. A device has
    ``device``, its kind of fault in ``what`` and the place where it shows in ``of``. ``what`` is
    also the name of an individual limit, a detector, or a problem of a setting.
    """

    vital: str = ""
    side: Direction | None = None
    device: str = ""
    what: str = ""
    of: str = ""


class Finding(Record, frozen=True, kw_only=True):
    """A rule that holds at one moment. Score hands it to alert.

    - ``kind`` is the rule's kind and ``key`` what the finding is about. ``member`` is the text of
      both (score/memory/member_names.py), under which its episode keeps it.
    - ``vital`` is the one whose return makes the finding historical.
    - ``evidence`` has the readings, the deciding one first.
    - ``direction`` is the side of the limit that was crossed, if there is one.
    - ``opened_by`` is what the alert's id is made of besides patient and group where there is no
      reading (a device that was never heard, a setting).
    - ``number`` and ``bound`` are the value and the mildest limit that it crosses, in the vital's
      first unit (infinite for LO and HI).
    - ``points`` are those of NEWS2.
    - ``apart`` is the number of seconds since the nearest earlier reading of the vital.
    """

    kind: FindingKind
    key: Key
    member: str
    rule: str
    group: str
    priority: Priority
    title: str
    why: str
    evidence: tuple[Reading, ...]
    vital: str
    measured_at: Time
    late: bool = False
    direction: Direction | None = None
    opened_by: tuple[str, ...] = ()
    number: Decimal | None = None
    bound: Decimal | None = None
    beyond_query: bool = False
    points: int = 0
    apart: float | None = None


class Total(Record, frozen=True, kw_only=True):
    """The current NEWS2 score: its known range, its text, and the readings that give points.

    ``priority`` is that of an alert that the score opens by itself, or None below its limit.
    """

    at: Time
    minimum: int
    maximum: int
    priority: Priority | None
    title: str
    why: str
    evidence: tuple[str, ...]
    vitals: tuple[str, ...]
