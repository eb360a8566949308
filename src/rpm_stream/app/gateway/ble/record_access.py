"""Requests to a device's memory and its answers: the Record Access Control Point (2A52), as the
collector writes it.

What lives here: the octets of a request and the meaning of a response. What must not: deletion. A
stored record stays in the device until the device itself overwrites it, so no function here can
write op code 2.

Sources: GATT Specification Supplement, Record Access Control Point (op codes, operators, response
codes); Glucose Service 1.0.1 (filter type 1 = sequence number u16, 2 = user facing time in seven
octets; counts are u16); CGM Service 1.0.2 (filter type 1 = time offset u16 in minutes since the
session start); Pulse Oximeter Service 1.0.1, 3.4.2 (all records, no filter). Bluetopia's GLSTypes.h
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
# the request itself was refused, so a plainer one may be taken
_CANNOT_FILTER = frozenset({2, 3, 4, 5, 9})


class NoResponse(RpmStreamError, ValueError):
    """The octets are no response of 2A52. The text names the fault, not the octets."""


class Response(Record, frozen=True, kw_only=True):
    """What the device answered: a count (``op`` 5) or a result (``op`` 6).

    ``count`` is the number of stored records and None for a result. ``request`` is the op code that
    a result answers and ``code`` its result code; both are None for a count.
    """

    op: int
    request: int | None = None
    code: int | None = None
    count: int | None = None

    @property
    def succeeded(self) -> bool:
        """The request was carried out."""
        return self.op == COUNT_RESPONSE or self.code == SUCCESS

    @property
    def is_empty(self) -> bool:
        """The device holds no record that the request asks for."""
        return self.code == NO_RECORDS or self.count == 0

    @property
    def cannot_filter(self) -> bool:
        """The device refused the request's operator or operand: ``report_all`` may still be
        taken.
        """
        return self.code in _CANNOT_FILTER

    @property
    def words(self) -> str:
        """One line for a person.

        >>> parse_response(bytes.fromhex("06000106")).words
        'no records found'
        """
        if self.count is not None:
            return "1 stored record" if self.count == 1 else f"{self.count} stored records"
        return RESULTS.get(self.code or 0, f"result code {self.code}, which is reserved")


def report_all() -> bytes:
    """Report all stored records (two octets)."""
    return bytes([REPORT, _ALL])


def report_since(last_sequence: int) -> bytes:
    """Report the records from sequence number ``last_sequence`` (0 to 65535) on, that record
    included (Glucose).

    It is included on purpose: where the answer is "no records found", the device no longer has it.
    Its memory was cleared or its counter began again, and ``report_all`` must follow. The repeated
    record is known as a duplicate.

    >>> report_since(257).hex()
    '0103010101'
    """
    return bytes([REPORT, _AT_LEAST, _SEQUENCE_NUMBER]) + unsigned(last_sequence, 2)


def report_from_time(at: datetime) -> bytes:
    """Report the records whose user facing time is ``at`` or later (Glucose).

    ``at`` is what the device's own clock shows, so it has no zone. Raises ``ValueError`` for a time
    with a zone.
    """
    if at.tzinfo is not None:
        raise ValueError("a device's own time has no zone")
    return bytes([REPORT, _AT_LEAST, _USER_FACING_TIME]) + date_time(at)


def report_from_offset(minutes: int) -> bytes:
    """Report the records from ``minutes`` (0 to 65535) after the session start on, that minute
    included (CGM).
    """
    return bytes([REPORT, _AT_LEAST, _TIME_OFFSET]) + unsigned(minutes, 2)


def count_all() -> bytes:
    """Ask how many records are stored; the answer is a count."""
    return bytes([COUNT, _ALL])


def abort() -> bytes:
    """Stop the transfer that is under way."""
    return bytes([ABORT, _NULL])


def parse_response(data: bytes) -> Response:
    """The response in an indication of 2A52.

    A reserved result code is kept as its number. Raises ``NoResponse`` for anything but a count or
    a result.
    """
    if len(data) < 4:
        raise NoResponse(f"a response of 2A52 has 4 octets, this has {len(data)}")
    if len(data) > 4:
        raise NoResponse(f"{len(data) - 4} octets follow the response of 2A52")
    op, operator, *operand = data
    if operator != _NULL:
        raise NoResponse("a response of 2A52 has no operator")
    if op == COUNT_RESPONSE:
        return Response(op=op, count=int.from_bytes(data[2:], "little"))
    if op == RESPONSE:
        return Response(op=op, request=operand[0], code=operand[1])
    raise NoResponse(f"op code {op} of 2A52 is no response")
