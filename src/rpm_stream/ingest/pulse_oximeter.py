"""PLX Spot-Check (2A5E) and PLX Continuous (2A5F) Measurement.

Spot-check: flags u8, SpO2 % and pulse rate /min as SFLOATs, Date Time (bit 0), measurement status u16 (bit 1),
device and sensor status u24 (bit 2), pulse amplitude index SFLOAT % (bit 3), bit 4 = clock not set, 5-7 RFU.
Continuous: flags u8, SpO2 and pulse rate (normal), the fast pair (bit 0), the slow pair (bit 1), measurement
status (bit 2), device status (bit 3), pulse amplitude index (bit 4), 5-7 RFU. Source: Pulse Oximeter Service.
Vendors' "no finger" values (127 %, 511 /min) are decoded as the numbers that they are; plausibility is not here.
"""

from __future__ import annotations

from rpm_stream.ingest.cursor import Cursor
from rpm_stream.ingest.date_time import read_fields
from rpm_stream.ingest.medfloat import sfloat, sfloat_text
from rpm_stream.ingest.notes import Bits, Notes, Value, value
from rpm_stream.records import Payload

_SPOT_DATE, _SPOT_STATUS, _SPOT_DEVICE, _SPOT_AMPLITUDE, _SPOT_CLOCK_NOT_SET = 0x01, 0x02, 0x04, 0x08, 0x10
_FAST, _SLOW, _STATUS, _DEVICE, _AMPLITUDE = 0x01, 0x02, 0x04, 0x08, 0x10
_RFU = 0xE0

MEASUREMENT_STATUS: Bits = (
    (1 << 5, "ongoing"),
    (1 << 6, "early_estimate"),
    (1 << 7, "validated"),
    (1 << 8, "fully_qualified"),
    (1 << 9, "from_storage"),
    (1 << 10, "demo"),
    (1 << 11, "test"),
    (1 << 12, "calibration"),
    (1 << 13, "unavailable"),
    (1 << 14, "questionable"),
    (1 << 15, "invalid"),
)
DEVICE_STATUS: Bits = (
    (1 << 0, "extended_display_update"),
    (1 << 1, "equipment_malfunction"),
    (1 << 2, "signal_processing_irregularity"),
    (1 << 3, "inadequate_signal"),
    (1 << 4, "poor_signal"),
    (1 << 5, "low_perfusion"),
    (1 << 6, "erratic"),
    (1 << 7, "non_pulsatile"),
    (1 << 8, "questionable_pulse"),
    (1 << 9, "analysis_ongoing"),
    (1 << 10, "interference"),
    (1 << 11, "sensor_unconnected"),
    (1 << 12, "unknown_sensor"),
    (1 << 13, "sensor_displaced"),
    (1 << 14, "sensor_malfunction"),
    (1 << 15, "sensor_disconnected"),
)


def decode_spot_check(data: bytes) -> Payload:
    """2A5E: oxygen_saturation (%), pulse_rate (/min), perfusion_index (%) if sent."""
    cursor = Cursor(data)
    flags = cursor.u8()
    values = _pair(cursor)
    notes = Notes()
    if flags & _SPOT_DATE:
        notes.stamp(read_fields(cursor))
    if flags & _SPOT_STATUS:
        notes.bits("measurement_status", "measurement_flags", cursor.u16(), MEASUREMENT_STATUS)
    if flags & _SPOT_DEVICE:
        notes.bits("device_status", "device_flags", cursor.u24(), DEVICE_STATUS)
    if flags & _SPOT_AMPLITUDE:
        values.append(value("perfusion_index", "%", sfloat(cursor.u16())))
    cursor.finish()
    notes.attributes["clock_not_set"] = bool(flags & _SPOT_CLOCK_NOT_SET)
    if flags & _SPOT_CLOCK_NOT_SET:
        notes.flags.append("clock_not_set")
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def decode_continuous(data: bytes) -> Payload:
    """2A5F: oxygen_saturation (%), pulse_rate (/min), perfusion_index (%) if sent.

    The fast and slow averages go to attributes ``spo2_fast``, ``pulse_fast``, ``spo2_slow``, ``pulse_slow``.
    """
    cursor = Cursor(data)
    flags = cursor.u8()
    values = _pair(cursor)
    notes = Notes()
    if flags & _FAST:
        notes.attributes["spo2_fast"] = sfloat_text(cursor.u16())
        notes.attributes["pulse_fast"] = sfloat_text(cursor.u16())
    if flags & _SLOW:
        notes.attributes["spo2_slow"] = sfloat_text(cursor.u16())
        notes.attributes["pulse_slow"] = sfloat_text(cursor.u16())
    if flags & _STATUS:
        notes.bits("measurement_status", "measurement_flags", cursor.u16(), MEASUREMENT_STATUS)
    if flags & _DEVICE:
        notes.bits("device_status", "device_flags", cursor.u24(), DEVICE_STATUS)
    if flags & _AMPLITUDE:
        values.append(value("perfusion_index", "%", sfloat(cursor.u16())))
    cursor.finish()
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def _pair(cursor: Cursor) -> list[Value]:
    return [
        value("oxygen_saturation", "%", sfloat(cursor.u16())),
        value("pulse_rate", "/min", sfloat(cursor.u16())),
    ]
