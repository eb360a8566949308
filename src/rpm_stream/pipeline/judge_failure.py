"""The results of a failed step: a Reject for each reading, and a finding that opens an alert.

CONTRACT 2 requires both.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.held import GROUP
from rpm_stream.pipeline.patient_rule import PatientRule
from rpm_stream.records import Finding, Key, Position, Reading, Readings, Reject
from rpm_stream.score.memory.member_names import member_name

_encode = msgspec.json.Encoder().encode


class NotJudged(PatientRule):
    """The rule that readings are not judged, found where a step failed.

    A person ends its alert. No reading does.
    """

    kind = "not_judged"
    source = ("priorities.toml",)
    words = "A fault of the service itself"
    keeps = "that they were not judged stays true of wrong readings too"
    when = "failure"

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        """Accept the arguments of every patient rule and use none of them."""


def finding_of(readings: Sequence[Reading]) -> Finding:
    """Return the medium finding that new readings are not judged.

    A person ends its alert. No reading does.
    """
    first = min(readings, key=lambda reading: (reading.measured_at, reading.vital, reading.id))
    return Finding(
        kind=NotJudged.kind,
        key=Key(),
        member=member_name(NotJudged.kind, Key()),
        rule="device.not_judged@1",
        group=GROUP,
        priority="medium",
        title="Readings could not be judged",
        why=(
            "a fault of this service kept new readings from being judged: look at this patient's"
            " values yourself"
        ),
        evidence=(first, *(reading for reading in readings if reading.id != first.id)),
        vital=first.vital,
        measured_at=first.measured_at,
    )


def reject_of(message: Readings, reading: Reading, now: datetime, error: Exception) -> Reject:
    """Return the Reject of one reading.

    The detail names the type of the error and never its text, which may hold values.
    """
    original = _encode(reading)
    digest = sha256(original).hexdigest()
    return Reject(
        id=deterministic_id("reject", digest, str(reading.origin.index), str(reading.origin.part)),
        device=reading.device,
        at=now,
        origin=reading.origin,
        reason="internal_error",
        stage="judge",
        detail=type(error).__name__,
        original=b64encode(original[: 64 * 1024]).decode(),
        sha256=digest,
        position=Position(topic="rpm.readings", partition=message.partition, offset=message.offset),
    )
