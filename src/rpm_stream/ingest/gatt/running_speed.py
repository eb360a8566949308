"""RSC Measurement (2A53): running speed and cadence.

flags u8, speed u16 in 1/256 m/s, cadence u8 in /min, stride u16 cm (bit 0), distance u32 in 0.1 m
(bit 1). Bit 2 means running (else walking), and bits 3-7 are RFU. Source: GATT Specification
Supplement.
"""

from __future__ import annotations

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.medfloat import plain
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.records import Payload

_STRIDE = 0x01
_DISTANCE = 0x02
_RUNNING = 0x04
_RFU = 0xF8
_STEP_E8 = 390625  # 1/256 = 0.00390625 exactly: 390625 x 10^-8


def decode_running_speed(data: bytes) -> Payload:
    """Decode 2A53: speed (m/s, exact, without trailing zeros), cadence (/min)."""
    cursor = Cursor(data)
    flags = cursor.u8()
    speed = plain(cursor.u16() * _STEP_E8, -8).rstrip("0").rstrip(".")
    values = [Value("speed", "m/s", speed), Value("cadence", "/min", str(cursor.u8()))]
    notes = Notes()
    if flags & _STRIDE:
        notes.attributes["stride_cm"] = cursor.u16()
    if flags & _DISTANCE:
        notes.attributes["distance_m"] = plain(cursor.u32(), -1)
    cursor.finish()
    notes.attributes["running"] = bool(flags & _RUNNING)
    notes.rfu(flags & _RFU)
    return notes.payload(values)
