"""CGM Measurement (2AA7): one or more records in a notification.

Each record: size u8 (counts itself and the CRC, at least 6), flags u8, glucose SFLOAT mg/dL, time
offset u16 min since the session start, status octet (bit 7), calibration/temperature octet (bit 6),
warning octet (bit 5), trend SFLOAT mg/dL/min (bit 0), quality SFLOAT % (bit 1), E2E-CRC u16. Bits
2-4 are RFU. The size shows whether there is a CRC. Source: GATT Specification Supplement, confirmed
on a captured Roche frame.

nRF5-SDK servers send the three octets in the reverse order, which is not visible in a payload. A
device model's row of devices.toml has the order.
"""

from __future__ import annotations

from typing import TypeAlias

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.crc import checked_crc
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.medfloat import sfloat, sfloat_text
from rpm_stream.ingest.gatt.notes import Bits, Notes, numbered, value
from rpm_stream.records import Decoded, Payload

_TREND = 0x01
_QUALITY = 0x02
_WARNING = 0x20
_CALIBRATION = 0x40
_STATUS = 0x80
_RFU = 0x1C
_SMALLEST = 6
# name: (flag, place in the 24 bits)
_OCTETS = {"status": (_STATUS, 0), "calibration": (_CALIBRATION, 8), "warning": (_WARNING, 16)}

Order: TypeAlias = tuple[str, str, str]
SPECIFIED: Order = ("status", "calibration", "warning")

ANNUNCIATION: Bits = numbered(
    """
    0 session_stopped
    1 battery_low
    2 sensor_type_incorrect
    3 sensor_malfunction
    4 device_alert
    5 device_fault
    8 time_sync_required
    9 calibration_not_allowed
    10 calibration_recommended
    11 calibration_required
    12 temp_too_high
    13 temp_too_low
    14 calibration_pending
    16 below_patient_low
    17 above_patient_high
    18 below_hypo
    19 above_hyper
    20 rate_decrease_exceeded
    21 rate_increase_exceeded
    22 result_too_low
    23 result_too_high
    """
)


def decode_cgm(data: bytes, order: Order = SPECIFIED) -> Payload:
    """Decode 2AA7: one glucose_interstitial (mg/dL) for each record.

    The key is the minutes since the session start. ``order`` has the annunciation octets in the
    order in which the model sends them.
    """
    readings: list[Decoded] = []
    at = 0
    while at < len(data) or not readings:
        record = _record(data[at:])
        readings.extend(_decode_record(record, len(readings), order))
        at += len(record)
    return Payload(readings=tuple(readings))


def _record(rest: bytes) -> bytes:
    """Return the first record of ``rest``, with the length in its size octet.

    The length is never 0, so the loop always advances.
    """
    size = Cursor(rest).u8()
    if size < _SMALLEST:
        raise DecodeError("bad_size", f"record size {size} is below {_SMALLEST}")
    return Cursor(rest).take(size)


def _decode_record(record: bytes, part: int, order: Order) -> tuple[Decoded, ...]:
    cursor = Cursor(record)
    size = cursor.u8()
    flags = cursor.u8()
    expected = _SMALLEST + 2 * (flags & 0x03).bit_count() + (flags >> 5).bit_count()
    if size not in (expected, expected + 2):
        raise DecodeError(
            "bad_size", f"record size {size}, but its flags ask for {expected} or {expected + 2}"
        )
    glucose = value("glucose_interstitial", "mg/dL", sfloat(cursor.u16()))
    offset = cursor.u16()
    notes = Notes()
    notes.key = f"offset/{offset}"
    notes.attributes["time_offset_min"] = offset
    _note_annunciation(notes, cursor, flags, order)
    if flags & _TREND:
        notes.attributes["trend_mg_dl_min"] = sfloat_text(cursor.u16())
    if flags & _QUALITY:
        notes.attributes["quality_pct"] = sfloat_text(cursor.u16())
    if size > expected:
        notes.attributes["crc"] = checked_crc(record)
    notes.rfu(flags & _RFU)
    return notes.readings([glucose], part)


def _note_annunciation(notes: Notes, cursor: Cursor, flags: int, order: Order) -> None:
    """Note the octets that were sent, each at its place in the 24 bits.

    An octet that was not sent is 0.
    """
    if not flags & (_STATUS | _CALIBRATION | _WARNING):
        return
    bits = 0
    for name in order:
        flag, place = _OCTETS[name]
        bits |= cursor.u8() << place if flags & flag else 0
    notes.bits("status", "status_flags", bits, ANNUNCIATION)
