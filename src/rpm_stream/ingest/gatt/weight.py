"""Weight Measurement (2A9D).

flags u8, weight u16 in 0.005 kg or 0.01 lb (bit 0), Date Time (bit 1), user u8 (bit 2), BMI u16 0.1
kg/m2 with height u16 in 0.001 m or 0.1 in (bit 3). Bits 4-7 are RFU. A weight of 0xFFFF is
"measurement unsuccessful". Source: GATT Specification Supplement and Weight Scale Service.
"""

from __future__ import annotations

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.medfloat import plain
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.records import Payload

_IMPERIAL = 0x01
_DATE = 0x02
_USER = 0x04
_BODY = 0x08
_RFU = 0xF0

UNSUCCESSFUL = 0xFFFF


def mass_text(raw: int, imperial: bool) -> str:
    """Return a mass of ``raw`` steps of 0.01 lb or 0.005 kg (3 decimals: a step of 5 g)."""
    return plain(raw, -2) if imperial else plain(raw * 5, -3)


def weight_value(raw: int, imperial: bool) -> Value:
    """Return the weight in kg or [lb_av], absent for 0xFFFF."""
    unit = "[lb_av]" if imperial else "kg"
    if raw == UNSUCCESSFUL:
        return Value("weight", unit, None, "error")
    return Value("weight", unit, mass_text(raw, imperial))


def height_value(raw: int, imperial: bool) -> Value:
    """Return the height of ``raw`` steps of 0.1 in or 0.001 m."""
    return (
        Value("height", "[in_i]", plain(raw, -1))
        if imperial
        else Value("height", "m", plain(raw, -3))
    )


def decode_weight(data: bytes, below_zero: int = 0) -> Payload:
    """Decode 2A9D: weight (kg or [lb_av]), then bmi (kg/m2) and height (m or [in_i]) if sent.

    ``below_zero`` is the flag, reserved in the specification, with which some models mark a
    negative weight.
    """
    cursor = Cursor(data)
    flags = cursor.u8()
    imperial = bool(flags & _IMPERIAL)
    values = [weight_value(cursor.u16(), imperial)]
    if flags & below_zero:
        values = [_negative(values[0])]
    notes = Notes()
    if flags & _DATE:
        notes.stamp(read_fields(cursor))
    if flags & _USER:
        notes.user(cursor.u8())
    if flags & _BODY:
        values.append(Value("bmi", "kg/m2", plain(cursor.u16(), -1)))
        values.append(height_value(cursor.u16(), imperial))
    cursor.finish()
    notes.rfu(flags & _RFU & ~below_zero)
    return notes.payload(values)


def _negative(weight: Value) -> Value:
    if weight.text is None or not weight.text.strip("0."):  # no value, or a zero, which has no sign
        return weight
    return weight._replace(text=f"-{weight.text}")
