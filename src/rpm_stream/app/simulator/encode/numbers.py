"""The number formats of GATT health characteristics: decimal text to bytes.

This module has IEEE 11073-20601 SFLOAT and FLOAT, and the E2E-CRC. A decimal is taken as text,
because its digits are the device's stated precision: ``"72.0"`` and ``"72"`` are different bytes.
Whole numbers and dates are in ``ble/fields.py``, because the radio writes them too. An optional
field that is None takes no bytes, and its bit in the flags is 0.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from rpm_stream.app.gateway.ble.fields import date_time, unsigned

PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# With exponent 0 these mantissas are special values. With any other exponent they are numbers.
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
    """Return the two bytes of an SFLOAT for ``text`` x 10^``shift``.

    An SFLOAT has a 4-bit exponent and a 12-bit mantissa, both in two's complement. ``text`` is a
    plain decimal or one of ``SFLOAT_SPECIAL``. Its digits are kept: ``"72.0"`` gives 0xF2D0. Raises
    ``ValueError`` if the mantissa (-2048 to 2047) or the exponent (-8 to 7) is exceeded, or if the
    result is a special code.
    """
    if text in SFLOAT_SPECIAL:
        return SFLOAT_SPECIAL[text].to_bytes(2, "little")
    mantissa, exponent = _fitted(text, bits=12)
    code = (((exponent + shift) & 0xF) << 12) | (mantissa & 0xFFF)
    if not -8 <= exponent + shift <= 7 or code in SFLOAT_SPECIAL.values():
        raise ValueError(f"{text} does not fit into an SFLOAT with its digits")
    return code.to_bytes(2, "little")


def float32(text: str) -> bytes:
    """Return the four bytes of a FLOAT.

    It has an 8-bit exponent and a 24-bit mantissa, both in two's complement. Otherwise it is like
    ``sfloat`` without a shift.
    """
    if text in FLOAT_SPECIAL:
        return FLOAT_SPECIAL[text].to_bytes(4, "little")
    mantissa, exponent = _fitted(text, bits=24)
    code = ((exponent & 0xFF) << 24) | (mantissa & 0xFFFFFF)
    if not -128 <= exponent <= 127 or code in FLOAT_SPECIAL.values():
        raise ValueError(f"{text} does not fit into a FLOAT with its digits")
    return code.to_bytes(4, "little")


def _fitted(text: str, bits: int) -> tuple[int, int]:
    """Return mantissa and exponent of ``text``.

    Final zeros of a whole number go into the exponent only if the mantissa needs it.
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
    """Return mantissa and exponent as written: ``"72.0"`` is (720, -1).

    Raises ``ValueError`` for a text that is not a plain decimal, and for digits that a medfloat
    cannot keep (a leading zero as in ``"072"``, a negative zero).
    """
    if not PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain decimal")
    places = len(text.partition(".")[2])
    mantissa = int(text.replace(".", ""))
    if format(Decimal(mantissa).scaleb(-places), "f") != text:
        raise ValueError(f"{text} has digits that a medfloat does not keep")
    return mantissa, -places


def crc16(data: bytes) -> bytes:
    """Return the E2E-CRC, which is CRC-16/MCRF4XX (polynomial 0x1021 reflected, start 0xFFFF).

    ASCII "123456789" gives 0x6F91.
    """
    crc = 0xFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def present_bits(options: tuple[bytes, ...]) -> int:
    """Return one bit for each optional field that is present, the first field lowest."""
    return sum(1 << place for place, octets in enumerate(options) if octets)


def optional_time(moment: datetime | None) -> bytes:
    """Return a Date Time, or no bytes for None."""
    return b"" if moment is None else date_time(moment)


def optional_unsigned(value: int | None, octets: int) -> bytes:
    """Return an unsigned integer in ``octets`` bytes, or no bytes for None."""
    return b"" if value is None else unsigned(value, octets)


def optional_sfloat(text: str | None) -> bytes:
    """Return an SFLOAT, or no bytes for None."""
    return b"" if text is None else sfloat(text)
