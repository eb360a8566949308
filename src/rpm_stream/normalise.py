"""Decoded values -> Readings: whose it is, when it was, whether a body can have it. Or the reason why not.

Rules: device time counts within 30 days before and 5 minutes after the gateway's ``at`` (CONTRACT 3); a time beyond
what a wrong time zone can explain is refused as future; a value outside the reject bound is refused, outside the
query bound flagged. What must not stand here: a guess by the size of a value, a limit that alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Literal

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Decoded, Reason, Record
from rpm_stream.words import as_sent

DEVICE_TIME_BEFORE = timedelta(days=30)  # CONTRACT 3
DEVICE_TIME_AFTER = timedelta(minutes=5)  # CONTRACT 3
# A clock that has lost its date begins at one of its maker's, mostly years ago; a memory reaches back some months.
LOST_DATE = timedelta(days=366)  # design choice
CLOCK_FAULTS = frozenset({"clock_not_set", "time_fault"})
# A gateway an hour off must not cost readings: up to the largest offset from UTC (UTC+14) a clock is taken for wrongly
# set and the reading flagged; beyond that no time zone explains it.
FUTURE = timedelta(hours=14)
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)  # no device of these kinds is older; keeps all later arithmetic in range

Bound = Literal["fine", "query", "implausible", "unknown_vital", "unknown_unit"]


class Refusal(Record, frozen=True, kw_only=True):
    """Why a value did not become a reading."""

    reason: Reason
    detail: str


class Placed(Record, frozen=True, kw_only=True, gc=False):
    """When a value was measured, and how that was found out. ``by_device``: the device's own clock was used;
    ``behind``: seconds that it lies before the gateway's, where it told a valid time; ``shown``: that time, as shown.
    """

    measured_at: datetime
    utc_offset: str | None
    flags: tuple[str, ...] = ()
    by_device: bool = False
    behind: int | None = None
    shown: datetime | None = None


class Offsets(Record, frozen=True, kw_only=True, gc=False):
    """What is known of the device's offset from UTC, first one wins."""

    payload: str | None = None
    registry: str | None = None
    frame: str | None = None


def offset_minutes(offset: str) -> int:
    """Minutes east of UTC of ``+hh:mm``, ``-hh:mm`` or ``Z``."""
    if offset == "Z":
        return 0
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return -minutes if offset[0] == "-" else minutes


def offset_text(minutes: int) -> str:
    """``+hh:mm`` of minutes east of UTC."""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def place(at: datetime, decoded: Decoded, offsets: Offsets) -> Placed:
    """Choose between the device's clock and the gateway's ``at`` (CONTRACT 3, device time)."""
    known = offsets.payload or offsets.registry or offsets.frame
    if stamp := decoded.attributes.get("device_time_utc"):  # the device told its zone
        decoded = msgspec.structs.replace(decoded, device_time=datetime.fromisoformat(stamp).replace(tzinfo=None))
        known = "Z"
    shown = decoded.device_time
    if shown is None:
        return Placed(measured_at=at, utc_offset=known)
    if not CLOCK_FAULTS.isdisjoint(decoded.flags):
        return Placed(measured_at=at, utc_offset=known, flags=("device_time_ignored",))
    zone = timezone(timedelta(minutes=offset_minutes(known))) if known else UTC
    try:
        local = shown.replace(tzinfo=zone).astimezone(UTC)
        counts = at - DEVICE_TIME_BEFORE <= local <= at + DEVICE_TIME_AFTER
        behind = int((at - local).total_seconds())
    except OverflowError:
        return Placed(measured_at=at, utc_offset=known, flags=("device_time_ignored",), shown=shown)
    if not counts:
        return Placed(measured_at=at, utc_offset=known, flags=("device_time_ignored",), behind=behind, shown=shown)
    return Placed(
        measured_at=local,
        utc_offset=known or "Z",
        flags=() if known else ("offset_unknown",),
        by_device=True,
        behind=behind,
        shown=shown,
    )


def told_time(decoded: Decoded) -> str:
    """The valid time that the device itself gives a value, in its own words: it tells one value from another whether
    or not it counts. Empty where there is none.
    """
    if not CLOCK_FAULTS.isdisjoint(decoded.flags):
        return ""
    return str(decoded.attributes.get("device_time_utc") or decoded.device_time or "")


def is_stored(placed: Placed) -> bool:
    """Whether a value says that it lay over 30 days in its device. Further back than any memory reaches lies a clock
    that has lost its date.
    """
    if placed.behind is None or placed.by_device:
        return False
    return DEVICE_TIME_BEFORE < timedelta(seconds=placed.behind) <= LOST_DATE


def without_device_time(placed: Placed, at: datetime) -> Placed:
    """The same value by the gateway's clock."""
    flags = (*placed.flags, "device_time_ignored")
    return msgspec.structs.replace(placed, measured_at=at, by_device=False, flags=flags)


def time_fault(measured_at: datetime, received_at: datetime) -> Refusal | None:
    """Why no body can have been measured then: later than any time zone explains, or before there were devices."""
    if measured_at - received_at > FUTURE:
        return Refusal(reason="future_time", detail="measured after it was received, beyond any time zone")
    if measured_at < OLDEST:
        return Refusal(reason="too_old", detail="measured before there were such devices")
    return None


class Bounds:
    """What a body can have, with a memory of answers (values repeat)."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._known: dict[tuple[str, str | None, str], Bound] = {}

    def judge(self, vital: str, value: str | None, unit: str) -> Bound:
        """Where ``value`` lies; an absent value only needs its vital and unit to be known."""
        key = (vital, value, unit)
        if (bound := self._known.get(key)) is None:
            if len(self._known) > 50_000:
                self._known.clear()
            bound = self._known[key] = self._judge(vital, value, unit)
        return bound

    def _judge(self, vital: str, value: str | None, unit: str) -> Bound:
        row = self._knowledge.vitals.get(vital)
        if row is None:
            return "unknown_vital"
        if unit not in row.units:
            return "unknown_unit"
        if value is None:
            return "fine"
        number = self._knowledge.convert(Decimal(value), unit, row.unit)
        if row.reject.excludes(number) or not row.is_coded(value):
            return "implausible"
        return "query" if row.query.excludes(number) else "fine"

    def number(self, decoded: Decoded | None) -> Decimal | None:
        """The value in its vital's first unit; None where there is none, or where its vital or unit is unknown."""
        if decoded is None or decoded.value is None:
            return None
        if self.judge(decoded.vital, None, decoded.unit) != "fine":
            return None
        return self._knowledge.convert(Decimal(decoded.value), decoded.unit, self._knowledge.vitals[decoded.vital].unit)


def pressures_conflict(cuff: Mapping[str, Decoded], bounds: Bounds) -> bool:
    """Whether the pressures of one cuff contradict each other: diastolic must be below systolic (clinical table 10)."""
    high, low = bounds.number(cuff.get("systolic")), bounds.number(cuff.get("diastolic"))
    return high is not None and low is not None and low >= high


def meter_limit(decoded: Decoded) -> Decoded:
    """A meter that says "result too low" or "too high" beside a number that no body can have shows LO or HI."""
    if "result_too_low" in decoded.flags:
        return msgspec.structs.replace(decoded, value=None, absent="negative-infinity")
    if "result_too_high" in decoded.flags:
        return msgspec.structs.replace(decoded, value=None, absent="positive-infinity")
    return decoded


def refusal(bound: Bound, decoded: Decoded, knowledge: Knowledge) -> Refusal | None:
    """The refusal that a bound means, if any; says what the sender could mend."""
    vital, unit = decoded.vital, decoded.unit
    if "control_solution" in decoded.flags:
        return Refusal(reason="implausible", detail="control solution, not a patient's value")
    if bound == "unknown_vital":
        return Refusal(reason="unknown_vital", detail=f"no vital {as_sent(vital)} in the knowledge table")
    if bound == "unknown_unit":
        units = ", ".join(knowledge.vitals[vital].units)
        sent = as_sent(decoded.unit_sent or unit)
        return Refusal(reason="unknown_unit", detail=f"{vital} is not measured in {sent}; it may be {units}")
    if bound == "implausible" and decoded.value is not None and not knowledge.vitals[vital].is_coded(decoded.value):
        known = ", ".join(f"{code} {word}" for code, word in knowledge.vitals[vital].words.items())
        return Refusal(reason="implausible", detail=f"{vital} {decoded.value} is none of its codes: {known}")
    if bound == "implausible" and decoded.value is not None:
        return Refusal(reason="implausible", detail=f"{vital} {decoded.value} {unit} is outside what a body can have")
    return None
