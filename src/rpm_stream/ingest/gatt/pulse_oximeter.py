"""PLX Spot-Check (2A5E) and PLX Continuous (2A5F) Measurement.

Spot-check: flags u8, SpO2 % and pulse rate /min as SFLOATs, Date Time (bit 0), measurement status
u16 (bit 1), device and sensor status u24 (bit 2), pulse amplitude index SFLOAT % (bit 3). Bit 4
means that the clock is not set, and bits 5-7 are RFU.

Continuous: flags u8, SpO2 and pulse rate (normal), the fast pair (bit 0), the slow pair (bit 1),
measurement status (bit 2), device status (bit 3), pulse amplitude index (bit 4). Bits 5-7 are RFU.

Source: Pulse Oximeter Service. Vendors' "no finger" values (127 %, 511 /min) are decoded as the
numbers that they are, because plausibility is checked later.
"""

from __future__ import annotations

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.medfloat import sfloat, sfloat_text
from rpm_stream.ingest.gatt.notes import Bits, Notes, Value, numbered, value
from rpm_stream.records import Payload

_SPOT_DATE = 0x01
_SPOT_CLOCK_NOT_SET = 0x10
_FAST = 0x01
_SLOW = 0x02
# the bit number of the first of the three flags for the fields at the end of both payloads
_SPOT_TAIL = 1
_TAIL = 2
_RFU = 0xE0

MEASUREMENT_STATUS: Bits = numbered(
    """
    5 ongoing
    6 early_estimate
    7 validated
    8 fully_qualified
    9 from_storage
    10 demo
    11 test
    12 calibration
    13 unavailable
    14 questionable
    15 invalid
    """
)
DEVICE_STATUS: Bits = numbered(
    """
    0 extended_display_update
    1 equipment_malfunction
    2 signal_processing_irregularity
    3 inadequate_signal
    4 poor_signal
    5 low_perfusion
    6 erratic
    7 non_pulsatile
    8 questionable_pulse
    9 analysis_ongoing
    10 interference
    11 sensor_unconnected
    12 unknown_sensor
    13 sensor_displaced
    14 sensor_malfunction
    15 sensor_disconnected
    """
)


def decode_spot_check(data: bytes) -> Payload:
    """Decode 2A5E: oxygen_saturation (%), pulse_rate (/min), perfusion_index (%) if sent."""
    cursor = Cursor(data)
    flags = cursor.u8()
    values = _pair(cursor)
    notes = Notes()
    if flags & _SPOT_DATE:
        notes.stamp(read_fields(cursor))
    _read_tail(notes, cursor, flags >> _SPOT_TAIL, values)
    notes.attributes["clock_not_set"] = bool(flags & _SPOT_CLOCK_NOT_SET)
    if flags & _SPOT_CLOCK_NOT_SET:
        notes.flags.append("clock_not_set")
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def decode_continuous(data: bytes) -> Payload:
    """Decode 2A5F: oxygen_saturation (%), pulse_rate (/min), perfusion_index (%) if sent.

    The fast and slow averages go into attributes ``spo2_fast``, ``pulse_fast``, ``spo2_slow``,
    ``pulse_slow``.
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
    _read_tail(notes, cursor, flags >> _TAIL, values)
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def _pair(cursor: Cursor) -> list[Value]:
    return [
        value("oxygen_saturation", "%", sfloat(cursor.u16())),
        value("pulse_rate", "/min", sfloat(cursor.u16())),
    ]


def _read_tail(notes: Notes, cursor: Cursor, flags: int, values: list[Value]) -> None:
    """Read to the end: measurement status (bit 0), device status (1), pulse amplitude index (2)."""
    if flags & 0x01:
        notes.bits("measurement_status", "measurement_flags", cursor.u16(), MEASUREMENT_STATUS)
    if flags & 0x02:
        notes.bits("device_status", "device_flags", cursor.u24(), DEVICE_STATUS)
    if flags & 0x04:
        values.append(value("perfusion_index", "%", sfloat(cursor.u16())))
    cursor.finish()
