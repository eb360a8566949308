"""The nouns: every record that the service reads or writes, frozen and without behaviour.

What lives here: the public records of the topics (each with ``v``), and the in-house nouns that one stage
hands to the next (``Decoded``, ``Payload``, ``Finding``). What must not: a rule, a unit conversion, a default
that means something clinical, a clock. The JSON Schemas in ``topics/`` are generated from these types.

Times are timezone-aware UTC ``datetime``; values are plain decimal strings with the sensor's digits, never an
exponent; units are UCUM; ``absent`` says why there is no value (FHIR data-absent-reason codes). A value, unit, offset,
code or name holds no control character: it stands in lines of output, in keys and in what people read.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

Time: TypeAlias = Annotated[datetime, Meta(tz=True, description="RFC 3339 with a zone; written in UTC with Z")]
DecimalText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,24}(\.[0-9]{1,24})?(?!\n)$", description="plain decimal, the sensor's digits, no exponent"
    ),
]
# Without control characters and without the separators of lines and paragraphs, which cut a line in two as well. As
# ``$`` lets one line end pass in Python, the pattern refuses that too.
CLEAN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"
# Texts of what enters (Frame): refused where they are decoded.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=CLEAN)]
Short: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=CLEAN)]
Unit: TypeAlias = Annotated[str, Meta(max_length=32, pattern=CLEAN, description="UCUM")]
# What every sender may give as the value of a measurement; the schema has it.
APP_VALUE = r"^(-?[0-9]{1,24}(\.[0-9]{1,24})?|[Ll][Oo]([Ww])?|[Hh][Ii]([Gg][Hh])?)(?!\n)$"
# Wider than its schema: a clinic may name texts of its apps that stand for "no value" (knowledge/placeholders.toml).
# ingest/values.py refuses every other text.
AppValue: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=CLEAN,
        description="plain decimal, the sensor's digits, no exponent; or LO or HI of a glucose meter",
    ),
]
# Texts of what the topics and the states keep. Their schema says the same, but decoding takes what is there: an older
# release did not look, and a reader that refuses its records loses them. Who lets something in (ingest/frames.py,
# pipeline/actions.py, registry.py) looks.
Code: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": CLEAN})]
KeptName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": CLEAN})]
ExactText: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^-?[0-9]{1,64}(\.[0-9]{1,64})?$", description="plain decimal, converted or a mean: no digit lost"),
]
SensedText: TypeAlias = Annotated[
    str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="plain decimal as sensed, however long a device makes it")
]
KeptOffset: TypeAlias = Annotated[
    str, Meta(pattern=r"^(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$", description="offset from UTC, such as +02:00")
]
LimitValue: TypeAlias = DecimalText | int | float
Version: TypeAlias = Literal[1]
Offset: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(Z|\+(0[0-9]|1[0-3]):[0-5][0-9]|\+14:00|-(0[0-9]|1[01]):[0-5][0-9]|-12:00)(?!\n)$",
        description="offset from UTC, such as +02:00; -12:00 to +14:00",
    ),
]

# All that decoding octets of a stranger may raise: no JSON or another form, text that is no UTF-8, nesting without end.
UNREADABLE: tuple[type[Exception], ...] = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Priority: TypeAlias = Literal["high", "medium", "low"]
RANK: dict[Priority, int] = {"low": 1, "medium": 2, "high": 3}
State: TypeAlias = Literal["open", "acknowledged", "snoozed", "resolved"]
Stage: TypeAlias = Literal["ingest", "normalise", "judge"]
Reason: TypeAlias = Literal[
    "truncated",
    "trailing_bytes",
    "reserved_value",
    "bad_size",
    "crc_mismatch",
    "unknown_characteristic",
    "bad_json",
    "bad_schema",
    "too_large",
    "unknown_unit",
    "unknown_vital",
    "implausible",
    "unknown_device",
    "unassigned",
    "identity_conflict",
    "future_time",
    "too_old",
    "internal_error",
]
Direction: TypeAlias = Literal["low", "high"]
Trend: TypeAlias = Literal["rising", "falling", "steady"]
Event: TypeAlias = Literal[
    # the service
    "opened",  # the first finding
    "raised",  # a finding of higher priority than the alert had
    "joined",  # a further finding that changes neither state nor priority
    "reopened",  # a further rule at the alert's priority, or a side that a snooze does not cover
    "worse",  # a tier of danger beyond what a person decided about
    "returned",  # a further finding after all values had been back
    "over",  # all values are back and no person has seen the alert
    "escalated",
    "snooze_ended",
    "recovered",  # resolved by readings
    "ended",  # resolved without readings: the device is unassigned, the setting was mended
    "corrected",  # readings were taken back, or given to whom they belong
    # a person
    "acknowledged",
    "snoozed",
    "resolved",
    "withdrawn",
    "new_normal",
    "assigned",
    "commented",
    "seen",
    "refused",  # what a person asked for was not done; the reason says why
]
Absent: TypeAlias = Literal[
    "not-a-number", "positive-infinity", "negative-infinity", "error", "not-performed", "unknown"
]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nouns: immutable, keyword-only."""


# --- what a gateway sends -------------------------------------------------------------------------------------


class Notification(Record, frozen=True, kw_only=True):
    """One GATT notification or indication as the device sent it; ``payload`` is hexadecimal."""

    at: Time
    characteristic: Annotated[
        str, Meta(min_length=4, max_length=36, pattern=CLEAN, description="4 hex digits or the 128-bit form")
    ]
    payload: Annotated[str, Meta(max_length=4096, description="the payload's bytes in hexadecimal")]


class Measurement(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One value that an app measured or a person typed; ``vital`` and ``unit`` from the knowledge table.

    Either ``value`` or ``absent``. LO and HI are what a glucose meter shows instead of a number.
    """

    at: Time
    vital: Short
    value: AppValue | None = None
    unit: Unit
    absent: Literal["negative-infinity", "positive-infinity"] | None = None


class Frame(Record, frozen=True, kw_only=True):
    """One uplink of one gateway for one device, with exactly one of the three kinds of entries (1 to 1,000).

    ``seq`` counts per gateway and device from ``boot``, so that a gap can be named.
    """

    v: Version
    frame: Name
    gateway: Name
    device: Name
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    boot: Short | Annotated[int, Meta(ge=0, le=2**53)]
    sent_at: Time
    utc_offset: Offset | None = None
    received_at: Time | None = None
    notifications: Annotated[list[Notification], Meta(min_length=1, max_length=1000)] | None = None
    measurements: Annotated[list[Measurement], Meta(min_length=1, max_length=1000)] | None = None
    resources: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=1000)] | None = None


# --- in-house: what ingest hands to normalise -----------------------------------------------------------------


class Decoded(Record, frozen=True, kw_only=True):
    """One value inside a payload, as sent: before identity, time and plausibility. ``part`` counts from 0."""

    vital: str
    value: str | None
    unit: str
    absent: Absent | None = None
    flags: tuple[str, ...] = ()
    part: int = 0
    attributes: dict[str, Any] = {}
    device_time: datetime | None = None  # local, no zone
    unit_sent: str | None = None  # where ``unit`` is another spelling of it
    key: str = ""  # what identifies the value on its device (sequence number, session offset); "" = time and payload


class Payload(Record, frozen=True, kw_only=True):
    """All that one payload says: readings (may be none) and, for a payload without a vital, its attributes."""

    readings: tuple[Decoded, ...] = ()
    attributes: dict[str, Any] = {}


# --- what the service publishes -------------------------------------------------------------------------------


class Origin(Record, frozen=True, kw_only=True):
    """Where a reading stood: frame id, index of the entry in it, part of the entry."""

    frame: Code
    index: int
    part: int


class Reading(Record, frozen=True, kw_only=True):
    """One value of one patient at one time, value and unit as sensed."""

    v: Version = 1
    id: Code
    patient: Code
    device: Code
    vital: Code
    value: SensedText | None
    unit: Code
    measured_at: Time
    received_at: Time
    utc_offset: KeptOffset | None
    absent: Absent | None
    flags: tuple[Code, ...]
    attributes: dict[str, Any]
    origin: Origin


class Readings(Record, frozen=True, kw_only=True):
    """A message of ``rpm.readings``: the readings of one frame and patient (at most 500 and half a MiB, then chunks).

    ``partition``, ``offset`` and ``chunk`` name the frame's place in ``rpm.frames``, so that the judge applies
    each message once. ``refused``: values that no body can have, each under the id of its reject and with the flag
    ``refused``: they are rejects and no readings, told so that a person learns that a device measures nothing.
    ``line``: the frame was kept while its device's state could not be read, and its place counts in a line of its own:
    frames of others, from behind it, have been judged before.
    """

    v: Version = 1
    patient: Code
    frame: Code
    partition: int
    offset: int
    chunk: int
    received_at: Time
    readings: tuple[Reading, ...]
    refused: tuple[Reading, ...] = ()
    line: int | None = None


class Forwarded(Record, frozen=True, kw_only=True):
    """A message of ``rpm.readings`` that holds what a person decided, in its place among the patient's readings.

    ``topic``, ``partition`` and ``offset`` name the place that it came from, so that the judge applies each once.
    ``received_at``: when the broker got it there. ``action``: as it was sent, with what this release does not know.
    """

    v: Version = 1
    patient: Code
    topic: Code
    partition: int
    offset: int
    received_at: Time
    action: Action


class Score(Record, frozen=True, kw_only=True):
    """What one detector or score said of one moment. ``score_min`` to ``score_max`` spans what is ``missing``."""

    v: Version = 1
    id: Code
    patient: Code
    readings: tuple[Code, ...]
    vital: Code | None
    value: Code | None
    detector: Code
    version: Code
    score: float
    score_min: float
    score_max: float
    missing: tuple[Code, ...] = ()
    threshold: float | None = None
    contributions: dict[str, float] = {}
    limits: dict[str, Any] = {}
    measured_at: Time


Kind: TypeAlias = Literal[
    "limit",
    "news2",
    "detector",
    "trend",
    "rate",
    "quality",
    "device",
    "silence",
    "setting",
    "not_judged",
    "unknown",
]
"""Which rule found something: one kind a rule (score/rule_table.py, pipeline/patient_rules.py). ``unknown``: no rule of
this release; only a person ends what it holds."""


class Key(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a finding is about within its kind: one key of a kind is one member of an episode.

    ``vital`` and ``side`` of a limit; ``device`` and, in ``what`` and ``of``, its kind of fault and where that shows;
    ``what`` besides: the own name of a limit that somebody set, a detector, a problem of a setting.
    """

    vital: str = ""
    side: Direction | None = None
    device: str = ""
    what: str = ""
    of: str = ""


class Finding(Record, frozen=True, kw_only=True):
    """In-house, what score hands to alert: a rule that holds at one moment. ``kind`` is that rule's, ``key`` what it is
    about; ``member`` is the text of both (score/member_names.py), under which its episode keeps it.
    ``vital`` the one whose return makes it historical; ``evidence`` the readings, the deciding one first;
    ``direction`` the side of a limit that it is beyond, where it has one. ``opened_by``: what the alert's id is made of
    besides patient and group, where there is no reading (a device that was never heard, a setting). ``number`` and
    ``bound``: the value and the mildest limit that it is beyond, in the vital's first unit (infinite for LO and HI);
    ``points`` of NEWS2; ``apart``: seconds to the nearest reading of the vital before.
    """

    kind: Kind
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
    """In-house, what NEWS2 is now: the range that is known, in words, and the readings that give points.

    ``priority``: of an alert that it opens by itself; None below its limit.
    """

    at: Time
    minimum: int
    maximum: int
    priority: Priority | None
    title: str
    why: str
    evidence: tuple[str, ...]
    vitals: tuple[str, ...]


class Transition(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One step in the life of an alert. ``reason``: a person's own words, or the rule's of what was found.

    ``event`` says what happened, ``until`` and ``direction`` what a snooze covers, ``assignee`` who has it now. Records
    that were written before these fields existed have none of them.
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


class Sample(Record, frozen=True, kw_only=True):
    """One value at its time; ``value`` is null where the device shows none, then ``absent`` says why."""

    value: SensedText | None
    unit: Code
    measured_at: Time
    absent: Absent | None = None


class Now(Record, frozen=True, kw_only=True):
    """What is so now of one vital of an alert: its newest value, the worst since the alert opened, and the trend.

    ``trend`` compares the newest value with the last one at least 10 minutes older: by more than the vital's
    resolution it rises or falls.
    """

    vital: Code
    newest: Sample
    worst: Sample
    trend: Trend | None = None


class Alert(Record, frozen=True, kw_only=True):
    """One episode of one patient and group, whole in every record. ``why`` is plain words; ``evidence`` the ids of the
    readings that ``why`` names, in its order.

    ``over``: all values are back inside, and the alert waits for a person who sees it. ``now``: one entry a vital of
    the alert, the one that matters most first.
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


class Window(Record, frozen=True, kw_only=True):
    """What the 15-minute summary of one patient and vital says: ``start`` and ``end`` UTC, values in ``unit``.

    ``received_at`` is the latest of its readings; ``device`` is ``None`` when several took part.
    """

    patient: Code
    vital: Code
    start: Time
    end: Time
    unit: Code
    count: Annotated[int, Meta(ge=1)]
    minimum: ExactText
    maximum: ExactText
    median: ExactText
    device: Code | None
    utc_offset: KeptOffset | None
    received_at: Time


class Action(Record, frozen=True, kw_only=True):
    """What a person decided about an alert, or found wrong with readings; key of the message is the patient.

    ``snooze`` needs ``until`` and may name the ``direction`` that it covers; ``assign`` needs ``to``; ``comment`` and
    ``withdraw`` need a ``reason``. What cannot be done is told in the alert's history. ``seen``: the alert's priority
    as the person saw it; on one that has become higher since, nothing but ``comment`` and ``assign`` is carried out.
    ``record``: the ``updated_at`` of the alert record that the person saw; a decision about one that a tier of danger
    has passed since is not carried out. ``see`` says that a person has looked at the alert, and changes nothing else.
    ``void`` takes ``readings`` back that are wrong or another person's; ``adopt`` gives a patient the readings of a
    device that was taken for somebody else's. These two name no alert. ``shown`` are the ids of those ``readings``
    that were published singly although their vital is summed; ``windows`` what else, and right, is in their 15-minute
    windows: the judge needs it of those that it does not keep any more. ``listed``: the alert's newest record, sent to
    end one that the judge has been found to keep no more (its patient's state was lost since).
    """

    v: Version = 1
    patient: KeptName
    alert: KeptName | None = None
    action: Literal[
        "acknowledge", "snooze", "resolve", "assign", "comment", "new_normal", "withdraw", "see", "void", "adopt"
    ]
    who: KeptName
    at: Time
    reason: Annotated[str, Meta(max_length=1000)] = ""
    until: Annotated[Time | None, Meta(description="when a snooze ends")] = None
    direction: Annotated[Direction | None, Meta(description="the side of the limits that a snooze covers")] = None
    to: KeptName | None = None
    seen: Priority | None = None
    record: Annotated[Time | None, Meta(description="updated_at of the alert record that the person saw")] = None
    readings: Annotated[tuple[Reading, ...], Meta(max_length=500)] = ()
    shown: Annotated[tuple[Code, ...], Meta(max_length=500)] = ()
    windows: Annotated[tuple[Window, ...], Meta(max_length=500)] = ()
    listed: Alert | None = None


class Account(Record, frozen=True, kw_only=True):
    """The balance of one frame, counted in parts: ``parts`` = readings + duplicates + sum of rejects.

    An entry that gave no part at all (a session start, a glucose context) counts as ``context``; a frame that was
    refused whole counts as one part. What was refused before counts as a duplicate, and its reject is not written
    again: ``known_rejects`` has the ids under which it was told (each once, at most 1,000).
    """

    v: Version = 1
    frame: str | None
    gateway: str | None
    device: str
    seq: int | None
    boot: str | int | None
    partition: int
    offset: int
    received_at: Time
    entries: int
    context: int
    parts: int
    readings: int
    duplicates: int
    rejects: dict[str, int]
    known_rejects: tuple[Code, ...] = ()


class Position(Record, frozen=True, kw_only=True):
    """A place in a Kafka topic (or, in a replay, a line)."""

    topic: str
    partition: int
    offset: int


class Reject(Record, frozen=True, kw_only=True):
    """What could not become a reading: never lost, kept with its reason. ``original`` is base64, at most 64 KiB.

    ``parts``: all parts of its entry that were refused for this one cause; empty where it is the one part that
    ``origin`` names, or the whole frame.
    """

    v: Version = 1
    id: str
    device: str
    at: Time
    origin: Origin | None
    reason: Reason
    stage: Stage
    detail: str
    original: str
    sha256: str
    position: Position
    line: int | None = None
    parts: tuple[int, ...] = ()


# --- registry: who wears what, and whose limits ---------------------------------------------------------------


class Assignment(Record, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A device belongs to a patient in [from, until); ``None`` means without end.

    ``user`` is the patient's slot on a device that several use (GATT user index); without it all slots are meant.
    """

    patient: KeptName
    from_: Time | None = None
    until: Time | None = None
    user: Annotated[int, Meta(ge=0, le=254, description="GATT user index")] | None = None


class DeviceEntry(Record, frozen=True, kw_only=True):
    """``device/<id>`` of the registry, with all intervals."""

    v: Version = 1
    device: KeptName
    model: Code | None = None
    assignments: tuple[Assignment, ...] = ()
    utc_offset: Offset | None = None


class Recovery(Record, frozen=True, kw_only=True):
    """The values inside which a limit counts as recovered, in the limit's unit."""

    low: LimitValue | None = None
    high: LimitValue | None = None


class Of(Record, frozen=True, kw_only=True):
    """``count`` of the ``last`` readings, all ``within`` so many minutes: sustained, where readings are rare."""

    count: Annotated[int, Meta(ge=1, le=12)]
    last: Annotated[int, Meta(ge=1, le=12)]
    within: Annotated[int, Meta(ge=1, le=10080, description="minutes")]


class Limit(Record, frozen=True, kw_only=True, rename={"for_": "for"}):
    """An individual limit. A value below ``low`` or above ``high`` breaks it: at once, or when it has lasted ``for``
    minutes of device time, or ``of`` the last readings; with both, ``of`` holds for spot readings, ``for`` for others.

    ``recover`` is a value where the limit has one side, an object with both where it has two; default: the limit.
    It holds in [valid_from, until): what ended stays listed, so that a late reading is judged by what held then.
    """

    vital: KeptName
    low: LimitValue | None = None
    high: LimitValue | None = None
    recover: LimitValue | Recovery | None = None
    for_: Annotated[int, Meta(ge=0, le=10080, description="minutes")] = 0
    of: Of | None = None
    priority: Priority = "medium"
    unit: Code
    owner: KeptName
    valid_from: Time | None = None
    until: Time | None = None


class TargetWeight(Record, frozen=True, kw_only=True):
    """What a patient weighed at ``at`` (at discharge), or is to weigh: compared with before days are known."""

    value: LimitValue
    unit: Code
    at: Time


class PatientEntry(Record, frozen=True, kw_only=True):
    """``patient/<id>`` of the registry. ``oxygen_scale`` 2 only on prescription (NEWS2).

    ``panel`` and ``programme`` name entries whose limits hold where the patient has none (CONTRACT 7). ``team``: who
    looks after the patient.
    """

    v: Version = 1
    patient: KeptName
    display: Code | None = None
    born: Code | None = None
    pregnant: bool | None = None
    oxygen_scale: Literal[1, 2] = 1
    on_oxygen: bool | None = None
    expected_every: dict[Code, Annotated[int, Meta(ge=1, description="minutes")]] = {}
    limits: tuple[Limit, ...] = ()
    panel: KeptName | None = None
    programme: KeptName | None = None
    team: KeptName | None = None
    target_weight: TargetWeight | None = None


class PanelEntry(Record, frozen=True, kw_only=True):
    """``panel/<id>`` of the registry: limits for all patients that name the panel."""

    v: Version = 1
    panel: KeptName
    display: Code | None = None
    limits: tuple[Limit, ...] = ()


class ProgrammeEntry(Record, frozen=True, kw_only=True):
    """``programme/<id>`` of the registry: limits for all patients that name the programme."""

    v: Version = 1
    programme: KeptName
    display: Code | None = None
    limits: tuple[Limit, ...] = ()


RegistryEntry: TypeAlias = DeviceEntry | PatientEntry | PanelEntry | ProgrammeEntry
