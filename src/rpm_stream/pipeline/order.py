"""Read messages of ``rpm.readings``, and make the message that forwards a decision.

A patient's readings and the decisions about them are in one partition, in the order in which ingest
wrote them. The judge uses that order alone, so a replay over ``rpm.readings`` gives the same
records, including the history of an alert (law 2a). A message that ingest writes a second time
after a crash has the same place of origin and is skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rpm_stream.pipeline.actions import check_patient, check_times, read_action
from rpm_stream.records import Forwarded, Position, Readings

_encode = msgspec.json.Encoder().encode
_readings = msgspec.json.Decoder(Readings)
_forwarded = msgspec.json.Decoder(Forwarded)
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_message(value: bytes) -> Readings | Forwarded:
    """Return a decoded message of ``rpm.readings``.

    Raises one of ``UNREADABLE`` for anything else.
    """
    try:
        return _readings.decode(value)
    except msgspec.ValidationError:  # readings are tried first: nearly every message is one
        if not is_forwarded(_keys.decode(value)):
            raise
    message = _forwarded.decode(value)
    check_times(message)
    return message


def is_forwarded(keys: dict[str, msgspec.Raw]) -> bool:
    """Return whether an object with these keys is a forwarded action.

    In ``rpm.actions`` the key ``action`` holds a text.
    """
    return bytes(keys.get("action", b"")).startswith(b"{")


def forward(value: bytes, patient: str, place: Position, received_at: datetime | None) -> bytes:
    """Return the message of ``rpm.readings`` for a message of ``rpm.actions``.

    It contains the action byte by byte. ``received_at`` is None where time is recorded, and the
    action's own ``at`` is used. Raises one of ``UNREADABLE`` for what is no action or no name of a
    patient.
    """
    check_patient(patient)
    action = read_action(value)
    value.decode()  # fields that this service does not read must be valid text too
    at = action.at.astimezone(UTC) if received_at is None else received_at
    return _encode(
        {
            "v": 1,
            "patient": patient,
            "topic": place.topic,
            "partition": place.partition,
            "offset": place.offset,
            "received_at": at,
            "action": msgspec.Raw(value),
        }
    )
