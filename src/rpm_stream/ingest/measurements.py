"""Measurements of apps: one value each, with the names of the knowledge table."""

from __future__ import annotations

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir.codes import PLAIN, Codes
from rpm_stream.records import Absent, Decoded, Measurement, Payload

# Signs that a value is beyond the meter's scale: its display, and the flag for it.
LOW = "result_too_low"
HIGH = "result_too_high"
BEYOND: dict[str, Absent] = {LOW: "negative-infinity", HIGH: "positive-infinity"}
DISPLAYS = {"lo": LOW, "low": LOW, "hi": HIGH, "high": HIGH}
PLACEHOLDER = "placeholder"


def decode_measurement(entry: Measurement, codes: Codes) -> Payload:
    """Return the one reading of a measurement, whose vital and unit normalise checks.

    Raises DecodeError (bad_schema) for a value that is no plain decimal, no display of a meter of
    that vital and none of the clinic's placeholders. The error does not repeat the text, which may
    hold anything.
    """
    unit = codes.spellings.get(entry.unit, entry.unit)
    if (entry.value is None) == (entry.absent is None):
        raise DecodeError("bad_schema", "a measurement has either a value or absent")
    absent: Absent | None
    flags: tuple[str, ...]
    if entry.value is None:
        absent = entry.absent
        flags = tuple(flag for flag, reason in BEYOND.items() if reason == absent)
    elif placeholder := codes.placeholder(entry.vital, entry.value):
        absent = placeholder
        flags = (PLACEHOLDER,)
    elif PLAIN.fullmatch(entry.value):
        return Payload(readings=(Decoded(vital=entry.vital, value=entry.value, unit=unit),))
    elif entry.vital in codes.meters and (display := DISPLAYS.get(entry.value.lower())):
        absent = BEYOND[display]
        flags = (display,)
    else:
        shown = ", and neither LO nor HI" if entry.vital in codes.meters else ""
        raise DecodeError(
            "bad_schema", f"the value is no plain decimal of at most 24 and 24 digits{shown}"
        )
    return Payload(
        readings=(Decoded(vital=entry.vital, value=None, unit=unit, absent=absent, flags=flags),)
    )
