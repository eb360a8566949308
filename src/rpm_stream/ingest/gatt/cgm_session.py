"""The context of CGM measurements: feature, status, session start and session run time.

The characteristics are Feature (2AA8), Status (2AA9), Session Start (2AAA) and Session Run Time
(2AAB). None of them holds a reading. All except the feature may end with an E2E-CRC, depending on
the device's feature. A decoder that sees one payload accepts two more octets as the CRC. Source:
GATT Specification Supplement and CGM Service.
"""

from __future__ import annotations

from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cgm import ANNUNCIATION
from rpm_stream.ingest.gatt.crc import checked_crc, trailing_crc
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.glucose import TYPES
from rpm_stream.ingest.gatt.notes import Bits, describe, names, numbered
from rpm_stream.records import Payload

_E2E_CRC = 1 << 12
_ZONE_UNKNOWN = -128
_QUARTER_MIN = 15

FEATURES: Bits = numbered(
    """
    0 calibration
    1 patient_high_low_alerts
    2 hypo_alerts
    3 hyper_alerts
    4 rate_alerts
    5 device_specific_alert
    6 sensor_malfunction_detection
    7 temp_detection
    8 result_detection
    9 low_battery_detection
    10 sensor_type_detection
    11 device_fault
    12 e2e_crc
    13 multiple_bond
    14 multiple_sessions
    15 trend
    16 quality
    """
)
LOCATIONS = numbered(
    """
    1 finger
    2 ast
    3 earlobe
    4 control_solution
    5 subcutaneous
    15 not_available
    """
)
SUMMER_TIMES: dict[int, int | None] = {0: 0, 2: 30, 4: 60, 8: 120, 255: None}


def decode_feature(data: bytes) -> Payload:
    """Decode 2AA8: ``features`` (number), ``feature_flags``, ``type``, ``location``, ``crc``.

    The CRC octets are always there. They are checked only if bit 12 shows that the device supports
    the CRC.
    """
    cursor = Cursor(data)
    features = cursor.u24()
    octet = cursor.u8()
    crc = cursor.u16()
    cursor.finish()
    if features & _E2E_CRC:
        checked_crc(data)
    attributes: dict[str, Any] = {"features": features, "feature_flags": names(FEATURES, features)}
    describe(attributes, "type", TYPES, octet & 0x0F)
    describe(attributes, "location", LOCATIONS, octet >> 4)
    return Payload(attributes={**attributes, "crc": crc})


def decode_status(data: bytes) -> Payload:
    """Decode 2AA9: ``time_offset_min``, ``status`` (24 bits), ``status_flags``, ``crc`` if sent.

    The offset counts from the session start.
    """
    cursor = Cursor(data)
    offset = cursor.u16()
    status = cursor.u24()
    attributes = {
        "time_offset_min": offset,
        "status": status,
        "status_flags": names(ANNUNCIATION, status),
    }
    return _with_crc(data, cursor, attributes)


def decode_session_start(data: bytes) -> Payload:
    """Decode 2AAA: ``start``, ``tz_min`` (standard offset), ``dst_min``, ``crc`` if sent.

    ``start`` has six elements in local time. The zone octet counts quarters of an hour (-48 to 56).
    An unknown zone (-128, or 255 for summer time) is null.
    """
    cursor = Cursor(data)
    start = read_fields(cursor)
    zone = cursor.s8()
    summer = cursor.u8()
    if zone != _ZONE_UNKNOWN and not -48 <= zone <= 56:
        raise DecodeError("reserved_value", "time zone out of range")
    if summer not in SUMMER_TIMES:
        raise DecodeError("reserved_value", "summer time: reserved value")
    zone_min = None if zone == _ZONE_UNKNOWN else zone * _QUARTER_MIN
    return _with_crc(
        data, cursor, {"start": start, "tz_min": zone_min, "dst_min": SUMMER_TIMES[summer]}
    )


def decode_run_time(data: bytes) -> Payload:
    """Decode 2AAB: ``run_time_h``, ``crc`` if sent.

    The run time is how many hours the session is expected to last.
    """
    cursor = Cursor(data)
    return _with_crc(data, cursor, {"run_time_h": cursor.u16()})


def _with_crc(data: bytes, cursor: Cursor, attributes: dict[str, Any]) -> Payload:
    crc = trailing_crc(data, cursor)
    if crc is not None:
        attributes["crc"] = crc
    return Payload(attributes=attributes)
