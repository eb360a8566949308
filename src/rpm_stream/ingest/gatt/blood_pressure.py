"""Blood Pressure Measurement (2A35) and Intermediate Cuff Pressure (2A36), in one layout.

flags u8, three SFLOATs in mm[Hg] or kPa (bit 0), Date Time (bit 1), pulse SFLOAT (bit 2), user u8
(bit 3), status u16 (bit 4). Bits 5-7 are RFU. In 2A36 the first SFLOAT is the pressure in the cuff
while it moves, and never a blood pressure. The other two mean nothing (NaN by the specification, 0
from some servers). Source: GATT Specification Supplement and Blood Pressure Service.
"""

from __future__ import annotations

from collections.abc import Callable

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.medfloat import sfloat
from rpm_stream.ingest.gatt.notes import Bits, Notes, Value, names, value
from rpm_stream.knowledge.devices import BloodPressureField, Tail
from rpm_stream.records import Payload

_KILOPASCAL = 0x01
_DATE = 0x02
_PULSE = 0x04
_USER = 0x08
_STATUS = 0x10
_RFU = 0xE0
_PULSE_RANGE = 0x18
_TAIL: dict[BloodPressureField, tuple[int, int]] = {
    "pulse": (_PULSE, 2),
    "user": (_USER, 1),
    "status": (_STATUS, 2),
}

_SINGLE_BITS: Bits = {0: "body_movement", 1: "cuff_too_loose", 2: "irregular_pulse"}
_POSITION: Bits = {5: "improper_position"}
_PULSE_RANGES: dict[int, str] = {  # bits 4-3 are a number, and 0 (within range) has no name
    0x08: "pulse_range_above",
    0x10: "pulse_range_below",
    0x18: "pulse_range_reserved",
}


def pressure_unit(flags: int) -> str:
    """Return the UCUM unit of the pressures, by bit 0 of the flags."""
    return "kPa" if flags & _KILOPASCAL else "mm[Hg]"


def cuff_pressure(cursor: Cursor, unit: str) -> list[Value]:
    """Read the pressure in the cuff while it moves."""
    return [value("cuff_pressure", unit, sfloat(cursor.u16()))]


def three_pressures(cursor: Cursor, unit: str) -> list[Value]:
    """Read systolic, diastolic and mean arterial pressure."""
    return [
        value(vital, unit, sfloat(cursor.u16()))
        for vital in ("systolic", "diastolic", "mean_arterial")
    ]


def decode_blood_pressure(data: bytes) -> Payload:
    """Decode 2A35: systolic, diastolic, mean_arterial (mm[Hg] or kPa).

    Also pulse_rate (/min) if sent.
    """
    return _decode(data, three_pressures)


def decode_cuff_pressure(data: bytes) -> Payload:
    """Decode 2A36: cuff_pressure (mm[Hg] or kPa), pulse_rate (/min) if sent.

    The result never has a systolic pressure.
    """
    return _decode(data, _cuff_and_nothing)


def _cuff_and_nothing(cursor: Cursor, unit: str) -> list[Value]:
    values = cuff_pressure(cursor, unit)
    cursor.take(4)
    return values


def specified(data: bytes, tail: Tail) -> bytes:
    """Return the payload of a model with another ``tail`` in the specified form.

    Octets after the tail stay there, so that decoding refuses them. Raises DecodeError if the
    payload is cut.
    """
    cursor = Cursor(data)
    flags = cursor.u8()
    before = cursor.take(6 + (7 if flags & _DATE else 0))
    fields = []
    for name, (bit, size) in _TAIL.items():
        if name in tail.unflagged:
            flags |= bit
        if flags & bit:
            field = cursor.take(size)
            fields.append(field[::-1] if name in tail.big_endian else field)
    return bytes([flags]) + before + b"".join(fields) + cursor.take(cursor.left)


def read_tail(notes: Notes, cursor: Cursor, flags: int, values: list[Value]) -> None:
    """Read pulse, user and status if their flags are set.

    These three fields are common to all four layouts.
    """
    if flags & _PULSE:
        values.append(value("pulse_rate", "/min", sfloat(cursor.u16())))
    if flags & _USER:
        notes.user(cursor.u8())
    if flags & _STATUS:
        _note_status(notes, cursor.u16())


def _note_status(notes: Notes, status: int) -> None:
    """Note the measurement status u16 in ``status`` and, in bit order, ``status_flags``."""
    pulse_range = _PULSE_RANGES.get(status & _PULSE_RANGE)
    found = (
        names(_SINGLE_BITS, status)
        + ([pulse_range] if pulse_range else [])
        + names(_POSITION, status)
    )
    notes.attributes["status"] = status
    notes.attributes["status_flags"] = found
    notes.flags.extend(found)


def _decode(data: bytes, pressures: Callable[[Cursor, str], list[Value]]) -> Payload:
    cursor = Cursor(data)
    flags = cursor.u8()
    values = pressures(cursor, pressure_unit(flags))
    notes = Notes()
    if flags & _DATE:
        notes.stamp(read_fields(cursor))
    read_tail(notes, cursor, flags, values)
    cursor.finish()
    notes.rfu(flags & _RFU)
    return notes.payload(values)
