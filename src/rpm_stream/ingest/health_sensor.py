"""Generic Health Sensor: Live (2B8B) and Stored (2BDD) Health Observations. PROVISIONAL.

One organisation's pre-release implementation is the only published one; expect the layout to move. Segment octet
(bit 0 first, bit 1 last, bits 7-2 counter), for 2BDD the record id u32, then class u8, length u16 (class and length
included), flags u16, the fields that the flags promise, the value. All numbers are FLOATs.
Decoded: numeric, discrete, string, sample array, compound of numeric components. Refused as ``reserved_value``, since
no source shows their octets: the other classes, bundles, and the TLVs of flag bit 9. A message in several segments
cannot be put together from one notification: ``truncated``.
"""

from __future__ import annotations

from rpm_stream.ingest.cursor import Cursor
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.health_codes import CONTROL_SOLUTION, UNIT_PARTITION, UNITS, VITALS
from rpm_stream.ingest.health_time import note_timestamp
from rpm_stream.ingest.medfloat import float32, float32_text
from rpm_stream.ingest.notes import Bits, Notes, Value, value
from rpm_stream.records import Decoded, Payload

_TYPE, _STAMP, _DURATION, _STATUS, _OBJECT, _PATIENT, _SUPPLEMENTAL, _DERIVED, _MEMBERS, _TLVS = (
    1 << bit for bit in range(10)
)
_RFU = 0xFC00
_WHOLE = 0x03  # first and last segment in one
_NUMERIC, _DISCRETE, _STRING, _SAMPLES, _COMPOUND = 1, 2, 3, 4, 7
_HEADER = 3  # class and length, which the length counts

# The names of the pulse oximeter where the meaning is the same.
STATUS: Bits = (
    (1 << 0, "invalid"),
    (1 << 1, "questionable"),
    (1 << 2, "unavailable"),
    (1 << 4, "calibration"),
    (1 << 5, "test"),
    (1 << 6, "early_estimate"),
    (1 << 14, "threshold_error"),
    (1 << 15, "thresholding_disabled"),
)


def decode_live_observation(data: bytes) -> Payload:
    """2B8B: the vitals of a numeric or compound observation; other classes give attributes only."""
    cursor = Cursor(data)
    notes = Notes()
    _read_segment(notes, cursor)
    return _decode(notes, cursor)


def decode_stored_observation(data: bytes) -> Payload:
    """2BDD: as 2B8B with attribute ``record_id``; with a time stamp both are the key (the segment counter varies)."""
    cursor = Cursor(data)
    notes = Notes()
    _read_segment(notes, cursor)
    notes.attributes["record_id"] = cursor.u32()
    return _decode(notes, cursor)


def _read_segment(notes: Notes, cursor: Cursor) -> None:
    segment = cursor.u8()
    if segment & _WHOLE != _WHOLE:
        raise DecodeError("truncated", "one segment of a message that has several")
    notes.attributes["segment"] = segment >> 2


def _decode(notes: Notes, cursor: Cursor) -> Payload:
    kind = notes.attributes["class"] = cursor.u8()
    length = cursor.u16()
    if length < _HEADER or length - _HEADER > cursor.left:
        raise DecodeError("bad_size", f"length {length}, but {cursor.left + _HEADER} octets are there")
    tail = cursor.left + _HEADER - length
    body = Cursor(cursor.take(length - _HEADER))
    try:
        payload = _decode_body(notes, kind, body)
        body.finish()
    except DecodeError as error:
        # A body that does not fit its own length inside of a longer message: it is the length that is wrong.
        if tail and error.reason in ("truncated", "trailing_bytes"):
            raise DecodeError("bad_size", f"length {length} does not fit the observation") from error
        raise
    cursor.finish()
    return payload


def _decode_body(notes: Notes, kind: int, body: Cursor) -> Payload:
    flags = body.u16()
    _read_fields(notes, body, flags)
    notes.rfu(flags & _RFU)
    if kind == _NUMERIC:
        return notes.payload([_numeric(notes, notes.attributes.get("type", 0), body)])
    if kind == _COMPOUND:
        return _compound(notes, body)
    if kind == _DISCRETE:
        notes.attributes["value"] = body.u32()
    elif kind == _STRING:
        notes.attributes["value"] = _text(body)
    elif kind == _SAMPLES:
        _read_samples(notes, body)
    else:
        raise DecodeError("reserved_value", f"observation class {kind} is not supported")
    return notes.payload([])


def _read_fields(notes: Notes, body: Cursor, flags: int) -> None:
    attributes = notes.attributes
    if flags & _TYPE:
        attributes["type"] = body.u32()
    if flags & _STAMP:
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
    for mask, name in ((_SUPPLEMENTAL, "supplemental"), (_DERIVED, "derived_from"), (_MEMBERS, "has_member")):
        if flags & mask:
            attributes[name] = [body.u32() for _ in range(body.u8())]
    if flags & _TLVS:
        raise DecodeError("reserved_value", "type-length-value attributes are not supported")


def _unit(body: Cursor) -> str:
    unit = UNITS.get(UNIT_PARTITION + body.u16())
    if unit is None:
        raise DecodeError("unknown_unit", "no UCUM unit for this MDC unit")
    return unit


def _numeric(notes: Notes, code: int, body: Cursor) -> Value:
    vital = VITALS.get(code)
    unit_and_value = Cursor(body.take(6))
    if vital is None:
        raise DecodeError("unknown_vital", "no vital for this MDC type")
    if code == CONTROL_SOLUTION:
        notes.flags.append("control_solution")
    unit = _unit(unit_and_value)
    return value(vital, unit, float32(unit_and_value.u32()))


def _compound(notes: Notes, body: Cursor) -> Payload:
    """Numeric components, each with its MDC type in attribute ``component_type``."""
    readings: list[Decoded] = []
    for part in range(body.u8()):
        component = Notes()
        code = body.u32()
        kind = body.u8()
        if kind != _NUMERIC:
            raise DecodeError("reserved_value", f"component kind {kind} is not supported")
        component.flags = list(notes.flags)
        reading = _numeric(component, code, body)
        component.attributes = {**notes.attributes, "component_type": code}
        component.device_time = notes.device_time
        component.key = notes.key
        readings.extend(component.readings([reading], part))
    return Payload(readings=tuple(readings)) if readings else notes.payload([])


def _text(body: Cursor) -> str:
    try:
        return body.take(body.u16()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError("reserved_value", "the string is not UTF-8") from error


def _read_samples(notes: Notes, body: Cursor) -> None:
    attributes = notes.attributes
    attributes["unit"] = _unit(body)
    for name in ("scale", "offset", "period_s"):
        attributes[name] = float32_text(body.u32())
    attributes["samples_per_period"] = body.u8()
    octets = attributes["octets_per_sample"] = body.u8()
    count = attributes["samples"] = body.u32()
    attributes["data"] = body.take(count * octets).hex()
