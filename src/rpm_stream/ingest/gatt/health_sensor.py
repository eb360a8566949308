"""Generic Health Sensor: Live (2B8B) and Stored (2BDD) Health Observations. PROVISIONAL.

One organisation's pre-release implementation is the only published one, so the layout may change.
Segment octet (bit 0 first, bit 1 last, bits 7-2 counter), for 2BDD the record id u32, then class
u8, length u16 (class and length included), flags u16, the fields that the flags promise, the value.
All numbers are FLOATs.

Vitals come from numeric observations and numeric components. The content of the other classes goes
into attributes. A bundle holds whole observations. An observation without its own type, time or
patient takes them from the bundle. A message in several segments cannot be joined from one
notification and is ``truncated``. segments.py joins them.
"""

from __future__ import annotations

from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.health_codes import CONTROL_SOLUTION, VITALS
from rpm_stream.ingest.gatt.health_time import note_timestamp
from rpm_stream.ingest.gatt.health_values import SAMPLES, VALUES, read_codes, read_tlvs, read_unit
from rpm_stream.ingest.gatt.medfloat import float32, float32_text
from rpm_stream.ingest.gatt.notes import Bits, Notes, Value, numbered, value
from rpm_stream.ingest.gatt.segments import counter_of_whole
from rpm_stream.records import Decoded, Payload

_TYPE, _STAMP, _DURATION, _STATUS, _OBJECT, _PATIENT, _SUPPLEMENTAL, _DERIVED, _MEMBERS, _TLVS = (
    1 << bit for bit in range(10)
)
_RFU = 0xFC00
_NUMERIC = 1
_COMPOUND = 7
_TLV = 8
_BUNDLE = 0xFF
_HEADER = 3  # class and length, which the length counts
_OF_BUNDLE = ("type", "timestamp", "device_time_utc", "patient", "record_id", "segment")

# The pulse oximeter's names, where the meaning is the same.
STATUS: Bits = numbered(
    """
    0 invalid
    1 questionable
    2 unavailable
    4 calibration
    5 test
    6 early_estimate
    14 threshold_error
    15 thresholding_disabled
    """
)


def decode_live_observation(data: bytes) -> Payload:
    """Decode 2B8B: the vitals of an observation or of a bundle.

    An observation without a vital gives attributes only.
    """
    cursor = Cursor(data)
    notes = Notes()
    notes.attributes["segment"] = counter_of_whole(cursor.u8())
    return _decode(notes, cursor)


def decode_stored_observation(data: bytes) -> Payload:
    """Decode 2BDD: as 2B8B, with attribute ``record_id``.

    With a time stamp both are the key, because the segment counter varies.
    """
    cursor = Cursor(data)
    notes = Notes()
    notes.attributes["segment"] = counter_of_whole(cursor.u8())
    notes.attributes["record_id"] = cursor.u32()
    return _decode(notes, cursor)


def _decode(notes: Notes, cursor: Cursor) -> Payload:
    readings = _observation(notes, cursor, 0)
    cursor.finish()
    return Payload(readings=tuple(readings)) if readings else Payload(attributes=notes.attributes)


def _observation(notes: Notes, cursor: Cursor, first_part: int) -> list[Decoded]:
    """Return the readings of one observation: class, length, and as many octets as the length."""
    kind = notes.attributes["class"] = cursor.u8()
    length = cursor.u16()
    if length < _HEADER or length - _HEADER > cursor.left:
        raise DecodeError(
            "bad_size", f"length {length}, but {cursor.left + _HEADER} octets are there"
        )
    tail = cursor.left + _HEADER - length
    body = Cursor(cursor.take(length - _HEADER))
    try:
        readings = _body(notes, kind, body, first_part)
        body.finish()
    except DecodeError as error:
        # The body does not fit its length, inside of a longer message, so the length is wrong.
        if tail and error.reason in ("truncated", "trailing_bytes"):
            raise DecodeError(
                "bad_size", f"length {length} does not fit the observation"
            ) from error
        raise
    return readings


def _body(notes: Notes, kind: int, body: Cursor, first_part: int) -> list[Decoded]:
    flags = body.u16()
    _read_fields(notes, body, flags)
    notes.rfu(flags & _RFU)
    if kind == _NUMERIC:
        return list(
            notes.readings([_numeric(notes, notes.attributes.get("type", 0), body)], first_part)
        )
    if kind == _COMPOUND:
        return _compound(notes, body, first_part)
    if kind == _BUNDLE:
        return _bundle(notes, body)
    if kind == SAMPLES:
        notes.attributes.update(VALUES[kind](body))
    elif kind == _TLV:
        notes.attributes["value"] = read_tlvs(body)
    elif kind in VALUES:
        notes.attributes["value"] = VALUES[kind](body)
    else:
        raise DecodeError("reserved_value", f"observation class {kind} is not supported")
    return []


def _read_fields(notes: Notes, body: Cursor, flags: int) -> None:
    attributes = notes.attributes
    if flags & _TYPE:
        attributes["type"] = body.u32()
    if flags & _STAMP:
        _forget_time(notes)
        note_timestamp(notes, body)
        if "record_id" in attributes:
            notes.key = f"record/{attributes['record_id']}/{attributes['timestamp']['counter']}"
    if flags & _DURATION:
        attributes["duration_s"] = float32_text(body.u32())
    if flags & _STATUS:
        notes.bits("measurement_status", "measurement_flags", body.u16(), STATUS)
    if flags & _OBJECT:
        attributes["object_id"] = body.u32()
    if flags & _PATIENT:
        attributes["patient"] = body.u8()
    for mask, name in (
        (_SUPPLEMENTAL, "supplemental"),
        (_DERIVED, "derived_from"),
        (_MEMBERS, "has_member"),
    ):
        if flags & mask:
            attributes[name] = read_codes(body)
    if flags & _TLVS:
        attributes["tlvs"] = read_tlvs(body)


def _forget_time(notes: Notes) -> None:
    """Remove all time facts of the bundle, because the observation has its own time stamp."""
    notes.device_time = None
    notes.attributes.pop("device_time_utc", None)
    if "not_current_timeline" in notes.flags:
        notes.flags.remove("not_current_timeline")


def _numeric(notes: Notes, code: int, body: Cursor) -> Value:
    vital = VITALS.get(code)
    unit_and_value = Cursor(body.take(6))
    if vital is None:
        raise DecodeError("unknown_vital", "no vital for this MDC type")
    if code == CONTROL_SOLUTION:
        notes.flags.append("control_solution")
    unit = read_unit(unit_and_value)
    return value(vital, unit, float32(unit_and_value.u32()))


def _compound(notes: Notes, body: Cursor, first_part: int) -> list[Decoded]:
    """Read the components, each with its MDC type.

    A number becomes a reading. The rest goes into attribute ``components``.
    """
    numbers: list[tuple[int, Notes, Value]] = []
    others: list[dict[str, Any]] = []
    for _ in range(body.u8()):
        code = body.u32()
        kind = body.u8()
        if kind == _NUMERIC:
            component = _heir(notes)
            numbers.append((code, component, _numeric(component, code, body)))
        elif kind in VALUES:
            others.append({"component_type": code, "value": VALUES[kind](body)})
        else:
            raise DecodeError("reserved_value", f"component kind {kind} is not supported")
    if others:
        notes.attributes["components"] = others
    readings: list[Decoded] = []
    for part, (code, component, number) in enumerate(numbers, first_part):
        component.attributes = {**notes.attributes, "component_type": code}
        readings.extend(component.readings([number], part))
    return readings


def _bundle(notes: Notes, body: Cursor) -> list[Decoded]:
    """Read whole observations after a count u8.

    Those without a vital go into ``members`` of the first reading only.
    """
    readings: list[Decoded] = []
    others: list[dict[str, Any]] = []
    common = {name: notes.attributes[name] for name in _OF_BUNDLE if name in notes.attributes}
    if supplemental := notes.attributes.get("supplemental"):
        common["supplemental"] = supplemental
    for _ in range(body.u8()):
        member = _heir(notes)
        member.attributes = dict(common)
        if body.left and body.peek() == _BUNDLE:
            raise DecodeError("reserved_value", "a bundle inside of a bundle")
        found = _observation(member, body, len(readings))
        readings.extend(found)
        if not found:
            others.append(
                {name: each for name, each in member.attributes.items() if common.get(name) != each}
            )
    if others and readings:
        readings[0].attributes["members"] = others
    elif others:
        notes.attributes["members"] = others
    return readings


def _heir(notes: Notes) -> Notes:
    """Return notes for something inside of ``notes``.

    They start with its flags, time and key, which the inner one may replace.
    """
    heir = Notes()
    heir.flags = list(notes.flags)
    heir.device_time = notes.device_time
    heir.key = notes.key
    return heir
