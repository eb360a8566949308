"""One line of ``rpm-stream decode``: JSON in, JSON out, one answer for each line of any content."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.records import Decoded, Payload, Reason, Time

MAX_PAYLOAD_BYTES = 2048  # four times the longest GATT attribute value (512)

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")


class InputLine(msgspec.Struct, frozen=True):
    """An input line.

    ``at`` is the gateway's time of receipt, which decoding does not need. Other keys are ignored.
    """

    characteristic: str
    hex: str
    at: Time | None = None


_LINES = msgspec.json.Decoder(InputLine)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def decode_line(line: bytes) -> bytes:
    """Return the answer to a line, without a line end.

    ``{"characteristic":"2A37","hex":"..."[,"at":...]}`` becomes ``{"readings":[...]}`` or
    ``{"reject":{...}}``. Never raises, whatever bytes ``line`` has.
    """
    try:
        request = _parsed(line)
        answer = _answer(decode(request.characteristic, _payload_bytes(request.hex)))
    except DecodeError as error:
        answer = {"reject": {"reason": error.reason, "detail": error.detail}}
    return _ENCODER.encode(answer)


def _parsed(line: bytes) -> InputLine:
    try:
        return _LINES.decode(line)
    except msgspec.ValidationError as error:
        reason: Reason = "bad_schema" if _is_json(line) else "bad_json"
        raise DecodeError(reason, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("bad_json", "not a JSON text") from error


def _is_json(line: bytes) -> bool:
    """Return whether the whole line is JSON.

    The decoder may find a wrong shape before it reaches broken text.
    """
    try:
        _ANY.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _payload_bytes(text: str) -> bytes:
    if len(text) > 2 * MAX_PAYLOAD_BYTES:
        raise DecodeError("too_large", f"payload longer than {MAX_PAYLOAD_BYTES} octets")
    if not _HEX.fullmatch(text):
        raise DecodeError("bad_schema", "hex: pairs of hexadecimal digits expected")
    return bytes.fromhex(text)


def _answer(payload: Payload) -> dict[str, Any]:
    if payload.readings:
        return {"readings": [_reading(reading) for reading in payload.readings]}
    return {"readings": [], "attributes": payload.attributes}


def _reading(reading: Decoded) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "vital": reading.vital,
        "value": reading.value,
        "unit": reading.unit,
        "absent": reading.absent,
        "flags": reading.flags,
        "part": reading.part,
        "attributes": reading.attributes,
    }
    if reading.device_time is not None:
        answer["device_time"] = reading.device_time.isoformat()
    return answer
