"""The number formats of GATT health characteristics: decimal text to octets.

What lives here: IEEE 11073-20601 SFLOAT and FLOAT, and the E2E-CRC. A decimal is taken as text,
because its digits are the device's stated precision: ``"72.0"`` and ``"72"`` are different octets.
Whole numbers and dates are in ``ble/fields.py``, which the radio writes too. An optional field that
is None takes no octets, and its bit in the flags is 0.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from rpm_stream.app.gateway.ble.fields import date_time, unsigned

PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# With exponent 0 these mantissas mean something else than a number; with any other exponent they
# are numbers.
SFLOAT_SPECIAL: dict[str, int] = {
    "NaN": 0x07FF,
    "NRes": 0x0800,
    "+INF": 0x07FE,
    "-INF": 0x0802,
    "Reserved": 0x0801,
}
FLOAT_SPECIAL: dict[str, int] = {
    "NaN": 0x007FFFFF,
    "NRes": 0x00800000,
    "+INF": 0x007FFFFE,
    "-INF": 0x00800002,
    "Reserved": 0x00800001,
}


def sfloat(text: str, shift: int = 0) -> bytes:
    """Two octets of an SFLOAT (4-bit exponent, 12-bit mantissa, both two's complement) for ``text``
    x 10^``shift``.

    ``text`` is a plain decimal or one of ``SFLOAT_SPECIAL``; its digits are kept: ``"72.0"`` gives
    0xF2D0. Raises ``ValueError`` where mantissa (-2048 to 2047) or exponent (-8 to 7) is exceeded
    or a special code is hit.
    """
    if text in SFLOAT_SPECIAL:
        return SFLOAT_SPECIAL[text].to_bytes(2, "little")
    mantissa, exponent = _fitted(text, bits=12)
    code = (((exponent + shift) & 0xF) << 12) | (mantissa & 0xFFF)
    if not -8 <= exponent + shift <= 7 or code in SFLOAT_SPECIAL.values():
        raise ValueError(f"{text} does not fit into an SFLOAT with its digits")
    return code.to_bytes(2, "little")


def float32(text: str) -> bytes:
    """Four octets of a FLOAT (8-bit exponent, 24-bit mantissa, both two's complement).

    As ``sfloat`` otherwise.
    """
    if text in FLOAT_SPECIAL:
        return FLOAT_SPECIAL[text].to_bytes(4, "little")
    mantissa, exponent = _fitted(text, bits=24)
    code = ((exponent & 0xFF) << 24) | (mantissa & 0xFFFFFF)
    if not -128 <= exponent <= 127 or code in FLOAT_SPECIAL.values():
        raise ValueError(f"{text} does not fit into a FLOAT with its digits")
    return code.to_bytes(4, "little")


def _fitted(text: str, bits: int) -> tuple[int, int]:
    """Mantissa and exponent of ``text``; final zeros of a whole number go to the exponent only
    where they must.
    """
    mantissa, exponent = decimal_parts(text)
    half = 1 << (bits - 1)
    while not -half <= mantissa < half and mantissa % 10 == 0 and exponent >= 0:
        mantissa = mantissa // 10
        exponent = exponent + 1
    if not -half <= mantissa < half:
        raise ValueError(f"{text} has more digits than {bits} bits keep")
    return mantissa, exponent


def decimal_parts(text: str) -> tuple[int, int]:
    """Mantissa and exponent as written: ``"72.0"`` is (720, -1).

    Raises ``ValueError`` for what is no plain decimal, and for digits that a medfloat cannot keep
    (a leading zero as in ``"072"``, a negative zero).
    """
    if not PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} is no plain decimal")
    places = len(text.partition(".")[2])
    mantissa = int(text.replace(".", ""))
    if format(Decimal(mantissa).scaleb(-places), "f") != text:
        raise ValueError(f"{text} has digits that a medfloat does not keep")
    return mantissa, -places


def crc16(octets: bytes) -> bytes:
    """E2E-CRC: CRC-16/MCRF4XX (polynomial 0x1021 reflected, start 0xFFFF); ASCII "123456789"
    gives 0x6F91.
    """
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def present_bits(options: tuple[bytes, ...]) -> int:
    """One bit for each optional field that is there, the first field lowest."""
    return sum(1 << place for place, octets in enumerate(options) if octets)


def optional_time(moment: datetime | None) -> bytes:
    """A Date Time, or nothing where the device has none."""
    return b"" if moment is None else date_time(moment)


def optional_unsigned(value: int | None, octets: int) -> bytes:
    """An unsigned integer of so many octets, or nothing where the device does not send it."""
    return b"" if value is None else unsigned(value, octets)


def optional_sfloat(text: str | None) -> bytes:
    """An SFLOAT, or nothing where the device does not send it."""
    return b"" if text is None else sfloat(text)
