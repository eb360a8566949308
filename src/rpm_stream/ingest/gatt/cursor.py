"""A bounded reader over one payload, which checks every read before it happens.

All numbers of GATT are little-endian. A read past the end is ``truncated``: the flags promised a
field that is not there. Octets that were not read are ``trailing_bytes``.
"""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError


class Cursor:
    """Reads ``data`` from the front.

    It raises ``DecodeError`` and nothing else.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """The number of octets not yet read."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Return the next ``size`` octets."""
        start = self._at
        end = start + size
        if end > len(self._data):
            raise DecodeError(
                "truncated", f"{size} octets expected at octet {start}, {self.left} left"
            )
        self._at = end
        return self._data[start:end]

    def u8(self) -> int:
        """Read an unsigned octet."""
        start = self._at
        if start >= len(self._data):
            raise DecodeError("truncated", f"1 octet expected at octet {start}, 0 left")
        self._at = start + 1
        return self._data[start]

    def peek(self) -> int:
        """Return the next octet without reading it."""
        octet = self.u8()
        self._at -= 1
        return octet

    def s8(self) -> int:
        """Read a signed octet (two's complement)."""
        return int.from_bytes(self.take(1), "little", signed=True)

    def u16(self) -> int:
        """Read an unsigned 16-bit number."""
        return int.from_bytes(self.take(2), "little")

    def s16(self) -> int:
        """Read a signed 16-bit number (two's complement)."""
        return int.from_bytes(self.take(2), "little", signed=True)

    def u24(self) -> int:
        """Read an unsigned 24-bit number."""
        return int.from_bytes(self.take(3), "little")

    def u32(self) -> int:
        """Read an unsigned 32-bit number."""
        return int.from_bytes(self.take(4), "little")

    def u48(self) -> int:
        """Read an unsigned 48-bit number."""
        return int.from_bytes(self.take(6), "little")

    def finish(self) -> None:
        """Raise ``trailing_bytes`` unless everything was read."""
        if self.left:
            raise DecodeError(
                "trailing_bytes", f"{self.left} octets after the last field at octet {self._at}"
            )
