"""Temperature Measurement (2A1C) and Intermediate Temperature (2A1E), in one layout.

flags u8, temperature FLOAT in Cel or [degF] (bit 0), Date Time (bit 1), type u8 (bit 2). Bits 3-7
are RFU. Source: GATT Specification Supplement and Health Thermometer Service.
"""

from __future__ import annotations

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.medfloat import float32
from rpm_stream.ingest.gatt.notes import Notes, numbered, value
from rpm_stream.records import Payload

_FAHRENHEIT = 0x01
_DATE = 0x02
_TYPE = 0x04
_RFU = 0xF8

TYPES = numbered(
    """
    1 armpit
    2 body
    3 ear
    4 finger
    5 gi_tract
    6 mouth
    7 rectum
    8 toe
    9 tympanum
    """
)


def decode_temperature(data: bytes) -> Payload:
    """Decode 2A1C: body_temperature (Cel or [degF])."""
    return _decode(data, Notes())


def decode_intermediate_temperature(data: bytes) -> Payload:
    """Decode 2A1E: body_temperature with the flag ``intermediate``.

    The probe is still warming up to the patient's temperature.
    """
    notes = Notes()
    notes.flags.append("intermediate")
    return _decode(data, notes)


def _decode(data: bytes, notes: Notes) -> Payload:
    cursor = Cursor(data)
    flags = cursor.u8()
    temperature = value(
        "body_temperature", "[degF]" if flags & _FAHRENHEIT else "Cel", float32(cursor.u32())
    )
    if flags & _DATE:
        notes.stamp(read_fields(cursor))
    if flags & _TYPE:
        notes.describe("type", TYPES, cursor.u8())
    cursor.finish()
    notes.rfu(flags & _RFU)
    return notes.payload([temperature])
