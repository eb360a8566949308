"""Enhanced Blood Pressure Measurement (2B34) and Enhanced Intermediate Cuff Pressure (2B35).

They are like 2A35 and 2A36 with three differences. Times are seconds since an epoch (bit 6: 1 =
2000-01-01, 0 = 1900-01-01). There is a second, user-facing time (bit 5). 2B35 carries one SFLOAT
only. Bit 7 is RFU. The time stamp is the sensor's base time, possibly UTC. The user-facing time
includes zone and summer time. Only the latter is local if both are sent. Single source: GATT
Specification Supplement.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from rpm_stream.ingest.gatt.blood_pressure import (
    cuff_pressure,
    pressure_unit,
    read_tail,
    three_pressures,
)
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.records import Payload

_STAMP = 0x02
_USER_FACING = 0x20
_EPOCH_2000 = 0x40
_RFU = 0x80


def decode_enhanced_blood_pressure(data: bytes) -> Payload:
    """Decode 2B34: systolic, diastolic, mean_arterial (mm[Hg] or kPa).

    Also pulse_rate (/min) if sent.
    """
    return _decode(data, three_pressures)


def decode_enhanced_cuff_pressure(data: bytes) -> Payload:
    """Decode 2B35: cuff_pressure (mm[Hg] or kPa), pulse_rate (/min) if sent."""
    return _decode(data, cuff_pressure)


def _decode(data: bytes, pressures: Callable[[Cursor, str], list[Value]]) -> Payload:
    cursor = Cursor(data)
    flags = cursor.u8()
    values = pressures(cursor, pressure_unit(flags))
    notes = Notes()
    epoch = datetime(2000 if flags & _EPOCH_2000 else 1900, 1, 1)
    if flags & _STAMP:
        notes.device_time = _noted(notes, "timestamp", epoch, cursor.u32())
    read_tail(notes, cursor, flags, values)
    if flags & _USER_FACING:
        notes.device_time = _noted(notes, "user_facing_time", epoch, cursor.u32())
    cursor.finish()
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def _noted(notes: Notes, name: str, epoch: datetime, seconds: int) -> datetime:
    """Return the time ``seconds`` after ``epoch``, and note it as six elements under ``name``.

    ``seconds`` has 32 bits, which is at most 136 years.
    """
    time = epoch + timedelta(seconds=seconds)
    notes.attributes[name] = [time.year, time.month, time.day, time.hour, time.minute, time.second]
    return time
