"""Requests to a device's memory and its answers: the Record Access Control Point (2A52).

This module writes the collector's requests and reads the responses. It has no deletion: a stored
record stays in the device until the device itself overwrites it. So no function here can write op
code 2.

Sources: GATT Specification Supplement, Record Access Control Point (op codes, operators, response
codes). Glucose Service 1.0.1 (filter type 1 = sequence number u16, 2 = user facing time in seven
bytes, counts are u16). CGM Service 1.0.2 (filter type 1 = time offset u16 in minutes since the
session start). Pulse Oximeter Service 1.0.1, 3.4.2 (all records, no filter). Bluetopia's GLSTypes.h
and CGMSTypes.h have the same numbers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rpm_stream.app.gateway.ble.fields import date_time, unsigned
from rpm_stream.errors import RpmStreamError
from rpm_stream.records import Record

REPORT: Final = 1
ABORT: Final = 3
COUNT: Final = 4
COUNT_RESPONSE: Final = 5
RESPONSE: Final = 6

# operators
_NULL = 0
_ALL = 1
_AT_LEAST = 3
# filter types of the Glucose Service
_SEQUENCE_NUMBER = 1
_USER_FACING_TIME = 2
_TIME_OFFSET = 1  # the only filter type of the CGM Service

SUCCESS: Final = 1
NO_RECORDS: Final = 6
BUSY: Final = 10
RESULTS: dict[int, str] = {
    SUCCESS: "success",
    2: "the device does not support this request",
    3: "the operator is not valid here",
    4: "the device does not support this operator",
    5: "the operand is not valid here",
    NO_RECORDS: "no records found",
    7: "the abort did not succeed",
    8: "the procedure was not completed",
    9: "the device does not support this operand",
    BUSY: "the device is busy",
}
# the device refused the form of the request, so it may accept a simpler one
_CANNOT_FILTER = frozenset({2, 3, 4, 5, 9})


class NoResponse(RpmStreamError, ValueError):
    """The bytes are not a response of 2A52. The text names the fault, not the bytes."""


class Response(Record, frozen=True, kw_only=True):
    """The device's answer: a count (``op`` 5) or a result (``op`` 6).

    ``count`` is the number of stored records, and None for a result. ``request`` is the op code
    that a result answers, and ``code`` is its result code. Both are None for a count.
    """

    op: int
    request: int | None = None
    code: int | None = None
    count: int | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the device carried out the request."""
        return self.op == COUNT_RESPONSE or self.code == SUCCESS

    @property
    def is_empty(self) -> bool:
        """Whether the device holds no record that matches the request."""
        return self.code == NO_RECORDS or self.count == 0

    @property
    def cannot_filter(self) -> bool:
        """Whether it refused the operator or operand. It may still accept ``report_all``."""
        return self.code in _CANNOT_FILTER

    @property
    def words(self) -> str:
        """The answer as one line for a person.

        >>> parse_response(bytes.fromhex("06000106")).words
        'no records found'
        """
        if self.count is not None:
            return "1 stored record" if self.count == 1 else f"{self.count} stored records"
        return RESULTS.get(self.code or 0, f"result code {self.code}, which is reserved")


def report_all() -> bytes:
    """Return the request to report all stored records (two bytes)."""
    return bytes([REPORT, _ALL])


def report_since(last_sequence: int) -> bytes:
    """Return the request to report records from ``last_sequence`` (0 to 65535) on (Glucose).

    The record ``last_sequence`` is included on purpose. If the answer is "no records found", the
    device no longer has it: its memory was cleared, or its counter started again. ``report_all``
    must then follow. The service recognises the repeated record as a duplicate.

    >>> report_since(257).hex()
    '0103010101'
    """
    return bytes([REPORT, _AT_LEAST, _SEQUENCE_NUMBER]) + unsigned(last_sequence, 2)


def report_from_time(at: datetime) -> bytes:
    """Return the request to report records whose user facing time is at or after ``at`` (Glucose).

    ``at`` is the time on the device's own clock, so it has no zone. Raises ``ValueError`` for a
    time with a zone.
    """
    if at.tzinfo is not None:
        raise ValueError("a device's own time has no zone")
    return bytes([REPORT, _AT_LEAST, _USER_FACING_TIME]) + date_time(at)


def report_from_offset(minutes: int) -> bytes:
    """Return the request to report records from ``minutes`` (0 to 65535) on (CGM).

    They are minutes since the start of the session. That minute is included.
    """
    return bytes([REPORT, _AT_LEAST, _TIME_OFFSET]) + unsigned(minutes, 2)


def count_all() -> bytes:
    """Return the request for the number of stored records. The answer is a count."""
    return bytes([COUNT, _ALL])


def abort() -> bytes:
    """Return the request to stop the current transfer."""
    return bytes([ABORT, _NULL])


def parse_response(data: bytes) -> Response:
    """Return the response in an indication of 2A52.

    A reserved result code is kept as its number. Raises ``NoResponse`` for anything but a count or
    a result.
    """
    if len(data) < 4:
        raise NoResponse(f"a response of 2A52 has 4 bytes, this has {len(data)}")
    if len(data) > 4:
        raise NoResponse(f"{len(data) - 4} bytes follow the response of 2A52")
    op, operator, *operand = data
    if operator != _NULL:
        raise NoResponse("a response of 2A52 has no operator")
    if op == COUNT_RESPONSE:
        return Response(op=op, count=int.from_bytes(data[2:], "little"))
    if op == RESPONSE:
        return Response(op=op, request=operand[0], code=operand[1])
    raise NoResponse(f"op code {op} of 2A52 is not a response")
