"""Heart Rate Measurement (2A37).

flags u8, heart rate u8 or u16 in /min (bit 0), energy u16 in kJ since reset (bit 3), RR intervals
u16 in 1/1024 s, oldest first (bit 4). Bit 1 (contact) is only valid with bit 2 (contact supported).
Bits 5-7 are RFU. Source: GATT Specification Supplement and Heart Rate Service.
"""

from __future__ import annotations

import struct
from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.records import Payload

_WIDE = 0x01
_CONTACT = 0x02
_CONTACT_SUPPORTED = 0x04
_ENERGY = 0x08
_INTERVALS = 0x10
_RFU = 0xE0
_ENERGY_SATURATED = 0xFFFF
_MS_PER_TICK = 1000 / 1024  # exact in binary, so that the three decimals are rounded once

_CONTACT_STATES: dict[int, tuple[bool, bool | None]] = {
    0: (False, None),
    _CONTACT: (False, None),
    _CONTACT_SUPPORTED: (True, False),
    _CONTACT_SUPPORTED | _CONTACT: (True, True),
}


def decode_heart_rate(data: bytes, intervals_in_ms: bool = False) -> Payload:
    """Decode 2A37: heart_rate (/min), energy_expended (kJ) if sent, then each rr_interval (ms).

    Intervals have 3 decimals. With ``intervals_in_ms`` the model sends its intervals in
    milliseconds, which then stay as they are.
    """
    size = len(data)
    flags = data[0] if size else 0
    body = (3 if flags & _WIDE else 2) + (2 if flags & _ENERGY else 0)
    if size < body or (flags & _INTERVALS and (size == body or (size - body) % 2)):
        raise DecodeError("truncated", f"{size} octets are too few, or cut an RR interval")
    if size > body and not flags & _INTERVALS:
        raise DecodeError("trailing_bytes", f"{size - body} octets after the last field")
    values = [_rate(int.from_bytes(data[1:3], "little") if flags & _WIDE else data[1])]
    if flags & _ENERGY:
        values.append(_energy(int.from_bytes(data[body - 2 : body], "little")))
    if flags & _INTERVALS:
        ticks: tuple[int, ...] = struct.unpack_from(f"<{(size - body) // 2}H", data, body)
        if intervals_in_ms:
            values.extend([Value("rr_interval", "ms", str(tick)) for tick in ticks])
        else:
            values.extend(
                [Value("rr_interval", "ms", f"{tick * _MS_PER_TICK:.3f}") for tick in ticks]
            )
    return _notes(flags).payload(values)


def _rate(rate: int) -> Value:
    # Sensors send 0 when they lose the skin. This is no reading, and not an asystole.
    return (
        Value("heart_rate", "/min", str(rate))
        if rate
        else Value("heart_rate", "/min", None, "error")
    )


def _energy(energy: int) -> Value:
    if energy == _ENERGY_SATURATED:
        return Value("energy_expended", "kJ", None, "error")
    return Value("energy_expended", "kJ", str(energy))


def _notes(flags: int) -> Notes:
    notes = Notes()
    supported, detected = _CONTACT_STATES[flags & (_CONTACT | _CONTACT_SUPPORTED)]
    attributes: dict[str, Any] = {"contact_supported": supported, "contact_detected": detected}
    notes.attributes = attributes
    if detected is False:
        notes.flags.append("no_contact")
    notes.rfu(flags & _RFU)
    return notes
