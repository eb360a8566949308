"""The effect of a new assignment on a device's intervals and on refused values."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime

import msgspec

from rpm_stream.normalise.placement import DEVICE_TIME_AFTER, DEVICE_TIME_BEFORE
from rpm_stream.records import Assignment, DeviceEntry, Reject, Time

IDENTITY = frozenset({"unknown_device", "unassigned", "identity_conflict"})


class _EntryTimes(msgspec.Struct, frozen=True):
    """The time of receipt in a refused entry (a notification, a measurement or a FHIR resource)."""

    at: Time | None = None
    effectiveDateTime: Time | None = None
    effectiveInstant: Time | None = None


_entry_times = msgspec.json.Decoder(_EntryTimes)


def assigned(device: DeviceEntry, new: Assignment) -> DeviceEntry:
    """Return the entry with ``new`` in it, which takes its time from other assignments.

    If ``new`` names a slot, it takes that time only from assignments of the slot. Nothing else
    changes: an assignment without a slot keeps all other slots. So a transfer is one assignment
    without an end, and a corrected mistake is one with both ends.
    """
    kept = [
        piece
        for each in device.assignments
        for piece in (_left_of(each, new) if new.user in (None, each.user) else [each])
    ]
    return msgspec.structs.replace(device, assignments=(*kept, new))


def taken_back(device: DeviceEntry, span: Assignment) -> DeviceEntry:
    """Return the entry in which nothing is assigned within ``span``, whichever patient it names.

    If ``span`` names a slot, only that slot is freed. An assignment without a slot loses the whole
    device for that time, because an assignment cannot express "all slots but one".
    """
    kept = [
        piece
        for each in device.assignments
        for piece in (
            _left_of(each, span) if span.user is None or each.user in (None, span.user) else [each]
        )
    ]
    return msgspec.structs.replace(device, assignments=tuple(kept))


def _left_of(each: Assignment, new: Assignment) -> list[Assignment]:
    """Return the pieces of ``each`` before and after ``new``."""
    pieces = []
    if new.from_ is not None and (each.from_ is None or each.from_ < new.from_):
        until = new.from_ if each.until is None else min(each.until, new.from_)
        pieces.append(msgspec.structs.replace(each, until=until))
    if new.until is not None and (each.until is None or new.until < each.until):
        start = new.until if each.from_ is None else max(each.from_, new.until)
        pieces.append(msgspec.structs.replace(each, from_=start))
    return pieces


def covers(device: str, new: Assignment, reject: Reject) -> bool:
    """Whether the assignment ``new`` of ``device`` may give a patient to ``reject``.

    The reject must have been refused because its patient was not clear. The time of measurement is
    known only within 30 days, because the device's own clock may count. An entry without a time of
    receipt is included. One too many is harmless: sent again, it is refused again and counted as a
    duplicate.
    """
    return (
        reject.device == device and reject.reason in IDENTITY and _may_cover(new, _time_of(reject))
    )


def _time_of(reject: Reject) -> datetime | None:
    try:
        times = _entry_times.decode(b64decode(reject.original))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return times.at or times.effectiveDateTime or times.effectiveInstant


def _may_cover(new: Assignment, at: datetime | None) -> bool:
    if at is None:
        return True
    try:
        earliest = at - DEVICE_TIME_BEFORE
        latest = at + DEVICE_TIME_AFTER
    except OverflowError:
        return True
    return (new.until is None or earliest < new.until) and (
        new.from_ is None or new.from_ <= latest
    )
