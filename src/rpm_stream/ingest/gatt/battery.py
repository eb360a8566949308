"""Battery Level (2A19).

One octet, 0 to 100 %. 101 to 255 are reserved. Source: GATT Specification Supplement.
"""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.records import Payload


def decode_battery(data: bytes) -> Payload:
    """Decode 2A19: battery (%)."""
    cursor = Cursor(data)
    level = cursor.u8()
    cursor.finish()
    if level > 100:
        raise DecodeError("reserved_value", "battery level above 100 %")
    return Notes().payload([Value("battery", "%", str(level))])
