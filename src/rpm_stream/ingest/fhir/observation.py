"""Decode a FHIR R4 Observation: its time, its subject and its values (values.py).

The registry decides whose the values are. The subject is only passed on for comparison. An
Observation that states nothing about a person at a time is refused: wrong status, no time with a
zone, an extension that changes the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir.codes import Codes
from rpm_stream.ingest.fhir.shapes import Identifier, Observation, ResourceHeader, Subject
from rpm_stream.ingest.fhir.values import statuses, values_of
from rpm_stream.records import Decoded, Offset, Payload, Record, Time
from rpm_stream.sameness import plain_number
from rpm_stream.text import is_clean

STATUSES = frozenset({"preliminary", "final", "amended", "corrected", "unknown"})
NO_STATEMENT = {
    "entered-in-error": "it was entered in error",
    "cancelled": "it was cancelled",
    "registered": "it has no result yet",
}
# Flags for a status or a label, the same as for the service's own devices. Source: HL7 PHD guide.
FLAG_OF_STATUS = {"preliminary": ("early_estimate",)}
TEST_LABEL = "HTEST"
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_REFERENCE = re.compile(
    r"(?:.*/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]*)?", re.DOTALL
)


class Observed(Record, frozen=True, kw_only=True):
    """One Observation.

    ``at`` is its effective time in UTC, and ``utc_offset`` the offset as written there. ``subject``
    has every id of its patient and may be empty. ``content`` has its values in a uniform text,
    which identifies the Observation beside its time.
    """

    at: datetime
    utc_offset: str
    subject: tuple[str, ...]
    content: str
    payload: Payload


_kinds = msgspec.json.Decoder(ResourceHeader)
_observations = msgspec.json.Decoder(Observation)


def decode_observation(resource: bytes, codes: Codes) -> Observed:
    """Return the Observation in the JSON text ``resource``.

    Raises DecodeError with ``bad_schema`` (no Observation that states something at a time),
    ``unknown_vital`` (naming the codes) or ``unknown_unit``. Raises msgspec's ValidationError if a
    field has the wrong shape.
    """
    if _kinds.decode(resource).resourceType != "Observation":
        raise DecodeError(
            "bad_schema",
            "resourceType is not Observation; send each Observation as an entry of its own",
        )
    found = _observations.decode(resource)
    _check(found)
    at, utc_offset = _time(found)
    shared = _shared_flags(found)
    flags = tuple(dict.fromkeys((*FLAG_OF_STATUS.get(found.status, ()), *shared)))
    attributes = {} if found.status == "final" else {"fhir_status": found.status}
    values = list(values_of(found, codes))
    identity = _identity(found)
    readings = []
    for part, value in enumerate(values):
        decoded = msgspec.structs.replace(
            value,
            part=part,
            flags=tuple(dict.fromkeys(flags + value.flags)),
            attributes={**attributes, **value.attributes},
            key=f"{identity}\x1f{at.isoformat()}\x1f{_text(value)}" if identity else "",
        )
        readings.append(decoded)
    return Observed(
        at=at,
        utc_offset=utc_offset,
        subject=_subject(found.subject),
        content="\x1e".join(map(_text, values)),
        payload=Payload(readings=tuple(readings)),
    )


def _text(value: Decoded) -> str:
    number = value.absent if value.value is None else plain_number(value.value)  # 72.0 is 72
    return f"{value.vital}\x1f{number}\x1f{value.unit}"


def _check(found: Observation) -> None:
    """Raise DecodeError for an Observation that must not be used.

    It may state nothing about a person, or have an unknown extension that changes its meaning. Its
    names may hold a control character. Such a subject would match no patient, and such an id would
    make two values of one.
    """
    if not all(is_clean(text) for text in _names(found) if text is not None):
        raise DecodeError(
            "bad_schema", "an id, an identifier or the subject holds a control character"
        )
    if found.status in NO_STATEMENT:
        raise DecodeError("bad_schema", f"status {found.status}: {NO_STATEMENT[found.status]}")
    if found.status not in STATUSES:
        raise DecodeError("bad_schema", "status is none of FHIR's")
    if found.modifierExtension or any(each.modifierExtension for each in found.component or ()):
        raise DecodeError(
            "bad_schema", "a modifierExtension changes the meaning in a way that is not known here"
        )


def _names(found: Observation) -> Iterator[str | None]:
    """Yield the texts that name the Observation and its subject."""
    subject = found.subject or Subject()
    yield from (found.id, subject.reference)
    for each in (*(found.identifier or ()), subject.identifier or Identifier()):
        yield from (each.system, each.value)


def _time(found: Observation) -> tuple[datetime, str]:
    """Return the effective time in UTC and its offset as written, for a period its end."""
    period = found.effectivePeriod
    given = {
        "effectiveDateTime": found.effectiveDateTime,
        "effectiveInstant": found.effectiveInstant,
    }
    if period is not None:
        given["effectivePeriod.end"] = period.end
    times = {name: text for name, text in given.items() if text is not None}
    if len(times) != 1:
        what = (
            "several effective times"
            if times
            else "effectivePeriod has no end"
            if period
            else "no effective time"
        )
        raise DecodeError("bad_schema", what)
    ((name, text),) = times.items()
    match = _INSTANT.fullmatch(text)
    try:
        if match is None:
            raise msgspec.ValidationError
        return msgspec.convert(text, Time).astimezone(UTC), msgspec.convert(match[1], Offset)
    except msgspec.ValidationError:
        raise DecodeError("bad_schema", f"{name} has no time with a zone") from None


def _identity(found: Observation) -> str:
    """Return the record system's name of the Observation.

    The key also has its content, because a corrected value must not count as a copy.
    """
    for one in found.identifier or ():
        if one.value:
            return f"identifier/{one.system or ''}\x1f{one.value}"
    return f"id/{found.id}" if found.id else ""


def _subject(subject: Subject | None) -> tuple[str, ...]:
    """Return the ids that name the subject.

    A contained or temporary reference, or a display text alone, gives none.
    """
    if subject is None:
        return ()
    names = []
    if subject.reference and (match := _REFERENCE.fullmatch(subject.reference)):
        if match[1] != "Patient":
            raise DecodeError("bad_schema", "the subject is no Patient")
        names.append(match[2])
    if subject.identifier is not None and subject.identifier.value:
        names.append(subject.identifier.value)
    return tuple(names)


def _shared_flags(found: Observation) -> tuple[str, ...]:
    """Return the flags of the whole Observation.

    They come from its measurement status and from HL7's label of test data.
    """
    flags = list(statuses(found))
    labels = (found.meta.security if found.meta is not None else None) or ()
    if any(label.get("code") == TEST_LABEL for label in labels):
        flags.append("test")
    return tuple(flags)
