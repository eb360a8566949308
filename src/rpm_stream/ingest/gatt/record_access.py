"""Record Access Control Point (2A52): a request to a device's memory, or its answer.

It never holds a reading. op code u8, operator u8, operand. A count (op 5 or 8) carries a u16. A
response (op 6) carries the op code that it answers and a result code. The operand of a request (its
filter) stays hexadecimal. Source: GATT Specification Supplement.
"""

from __future__ import annotations

from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.notes import chosen, numbered
from rpm_stream.records import Payload

OPERATIONS = numbered(
    """
    1 report
    2 delete
    3 abort
    4 count
    5 count_response
    6 response
    7 combined_report
    8 combined_report_response
    """
)
OPERATORS = numbered(
    """
    0 null
    1 all
    2 less_or_equal
    3 greater_or_equal
    4 within
    5 first
    6 last
    """
)
RESULTS = numbered(
    """
    1 success
    2 op_not_supported
    3 invalid_operator
    4 operator_not_supported
    5 invalid_operand
    6 no_records
    7 abort_unsuccessful
    8 not_completed
    9 operand_not_supported
    10 busy
    """
)
_NULL = 0
_COUNTS = (5, 8)
_RESPONSE = 6
# operators that need an operand; the others have none
_FILTERED = ("less_or_equal", "greater_or_equal", "within")


def decode_record_access(data: bytes) -> Payload:
    """Decode 2A52: attributes ``operation``, ``operator`` and the fields of the operation.

    These are ``count``, or ``request`` and ``result``, or ``operand``.
    """
    cursor = Cursor(data)
    operation = cursor.u8()
    attributes: dict[str, Any] = {"operation": chosen(OPERATIONS, operation, "op code")}
    operator = cursor.u8()
    attributes["operator"] = chosen(OPERATORS, operator, "operator")
    if operation in (*_COUNTS, _RESPONSE) and operator != _NULL:
        raise DecodeError("reserved_value", "a response has no operator")
    if operation in _COUNTS:
        attributes["count"] = cursor.u16()
    elif operation == _RESPONSE:
        attributes["request"] = chosen(OPERATIONS, cursor.u8(), "op code that is answered")
        attributes["result"] = chosen(RESULTS, cursor.u8(), "result code")
    elif attributes["operator"] in _FILTERED:
        if not cursor.left:
            raise DecodeError("truncated", "this operator needs an operand")
        attributes["operand"] = cursor.take(cursor.left).hex()
    cursor.finish()
    return Payload(attributes=attributes)
