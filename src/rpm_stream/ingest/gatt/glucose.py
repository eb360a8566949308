"""Glucose Measurement (2A18).

flags u8, sequence u16, base time Date Time, time offset s16 min (bit 0), concentration SFLOAT with
type and location u8 (bit 1), status u16 (bit 3). Bit 4 means that a context follows, and bits 5-7
are RFU. Bit 2: concentration in kg/L (0) or mol/L (1). The wire is SI although descriptions have
"mg/dL | mmol/L". The conversions only shift the decimal point, so no digit is lost: kg/L x 100 000
= mg/dL, mol/L x 1000 = mmol/L. Source: GATT Specification Supplement and Glucose Service.
"""

from __future__ import annotations

from datetime import timedelta

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import Fields, local_time, read_fields
from rpm_stream.ingest.gatt.medfloat import sfloat
from rpm_stream.ingest.gatt.notes import Bits, Notes, Value, numbered, value
from rpm_stream.records import Payload

_OFFSET = 0x01
_CONCENTRATION = 0x02
_MOLAR = 0x04
_STATUS = 0x08
_CONTEXT = 0x10
_RFU = 0xE0
_KG_PER_L_TO_MG_PER_DL = 5  # powers of ten
_MOL_PER_L_TO_MMOL_PER_L = 3

TYPES = numbered(
    """
    1 capillary_whole
    2 capillary_plasma
    3 venous_whole
    4 venous_plasma
    5 arterial_whole
    6 arterial_plasma
    7 undetermined_whole
    8 undetermined_plasma
    9 isf
    10 control_solution
    """
)
LOCATIONS = numbered(
    """
    1 finger
    2 ast
    3 earlobe
    4 control_solution
    15 not_available
    """
)

STATUS: Bits = numbered(
    """
    0 battery_low
    1 sensor_malfunction
    2 sample_insufficient
    3 strip_insertion_error
    4 strip_type_incorrect
    5 result_too_high
    6 result_too_low
    7 temp_too_high
    8 temp_too_low
    9 read_interrupted
    10 device_fault
    11 time_fault
    """
)


def decode_glucose(data: bytes) -> Payload:
    """Decode 2A18: glucose (mg/dL or mmol/L) if sent.

    Device time is base time plus offset. The key is made of sequence and base time.
    """
    cursor = Cursor(data)
    flags = cursor.u8()
    notes = Notes()
    values: list[Value] = []
    sequence = notes.attributes["sequence"] = cursor.u16()
    base_time = notes.attributes["base_time"] = read_fields(cursor)
    notes.key = f"{sequence}/{_key_time(base_time)}"
    offset = 0
    if flags & _OFFSET:
        offset = notes.attributes["time_offset_min"] = cursor.s16()
    if flags & _CONCENTRATION:
        values.append(_concentration(cursor, bool(flags & _MOLAR), notes))
    if flags & _STATUS:
        notes.bits("status", "status_flags", cursor.u16(), STATUS)
        if not values and not {"result_too_high", "result_too_low"}.isdisjoint(notes.flags):
            values.append(Value("glucose", "mg/dL", None, "error"))  # HI or LO, no number
    cursor.finish()
    _set_device_time(notes, base_time, offset)
    notes.attributes["context_follows"] = bool(flags & _CONTEXT)
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def _concentration(cursor: Cursor, molar: bool, notes: Notes) -> Value:
    raw = cursor.u16()
    octet = cursor.u8()
    notes.describe("type", TYPES, octet & 0x0F)
    notes.describe("location", LOCATIONS, octet >> 4)
    if "control_solution" in (notes.attributes["type"], notes.attributes["location"]):
        notes.flags.append("control_solution")
    if molar:
        return value("glucose", "mmol/L", sfloat(raw, _MOL_PER_L_TO_MMOL_PER_L))
    return value("glucose", "mg/dL", sfloat(raw, _KG_PER_L_TO_MG_PER_DL))


def _set_device_time(notes: Notes, base_time: Fields, offset_min: int) -> None:
    base = local_time(base_time)
    if base is None:
        return
    try:
        notes.device_time = base + timedelta(minutes=offset_min)
    except OverflowError as error:
        raise DecodeError(
            "reserved_value", "base time with offset is outside of the calendar"
        ) from error


def _key_time(fields: Fields) -> str:
    year, month, day, hour, minute, second = (field or 0 for field in fields)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
