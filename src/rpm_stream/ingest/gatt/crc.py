"""The end-to-end CRC of the CGM service: CRC-16/MCRF4XX.

Polynomial 0x1021 reflected (0x8408), start 0xFFFF, no final exclusive-or, stored little-endian,
over every octet before it. Confirmed on a captured Roche frame and on Nordic's test data.
"""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor


def _row(octet: int) -> int:
    value = octet
    for _ in range(8):
        value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
    return value


_TABLE: tuple[int, ...] = tuple(_row(octet) for octet in range(256))


def crc16(data: bytes) -> int:
    """Return the CRC-16/MCRF4XX of ``data``.

    >>> hex(crc16(b"123456789"))
    '0x6f91'
    """
    value = 0xFFFF
    for octet in data:
        value = (value >> 8) ^ _TABLE[(value ^ octet) & 0xFF]
    return value


def checked_crc(data: bytes) -> int:
    """Return the CRC that ends ``data`` (at least 2 octets), checked over all before it.

    Raises ``crc_mismatch`` if it does not fit.
    """
    stored = int.from_bytes(data[-2:], "little")
    if crc16(data[:-2]) != stored:
        raise DecodeError("crc_mismatch", "the E2E-CRC does not fit the octets before it")
    return stored


def trailing_crc(data: bytes, cursor: Cursor) -> int | None:
    """Return the optional CRC at the end of a CGM payload, or ``None`` if not sent.

    ``cursor`` has read all other fields.
    """
    if cursor.left == 0:
        return None
    cursor.u16()
    cursor.finish()
    return checked_crc(data)
