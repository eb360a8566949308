"""Decode the values of a FHIR Observation and its components, with digits and UCUM unit as written.

Nothing is guessed. A quantity without UCUM code is refused, whatever its text is. A component with
a quantity of an unknown code becomes a value of an unknown vital, which normalise refuses by that
name while the others are accepted. A component without a quantity (a body position, a count) is
context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir.codes import CONTROL, Codes, named
from rpm_stream.ingest.fhir.shapes import Concept, Observation, Quantity, Valued
from rpm_stream.ingest.measurements import BEYOND, DISPLAYS, HIGH, LOW
from rpm_stream.records import Absent, DecimalText, Decoded

UCUM = "http://unitsofmeasure.org"
STATISTICS = "http://terminology.hl7.org/CodeSystem/observation-statistics"
MEASUREMENT_STATUS = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"
LONGEST_UNIT = 32  # as records.Measurement
LONGEST_NUMBER = 64

ABSENT: dict[str, Absent] = {
    "not-a-number": "not-a-number",
    "positive-infinity": "positive-infinity",
    "negative-infinity": "negative-infinity",
    "error": "error",
    "not-performed": "not-performed",
}  # every other reason of FHIR becomes "unknown" here
# Signs, besides a meter's display, that a value is beyond the scale: comparators,
# v3-ObservationInterpretation.
COMPARATORS = {"<": LOW, "<=": LOW, ">": HIGH, ">=": HIGH}
OFF_SCALE = {"<": LOW, ">": HIGH}
LOW_OR_HIGH = {**OFF_SCALE, "L": LOW, "LL": LOW, "LU": LOW, "H": HIGH, "HH": HIGH, "HU": HIGH}

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?([0-9]+))?", re.ASCII)
# Measurement status -> flags of the service's own devices. Source: HL7 PHD guide.
FLAG_OF_MEASUREMENT = {
    "questionable": "questionable",
    "invalid": "invalid",
    "calibration-ongoing": "calibration",
    "test-data": "test",
    "demo-data": "demo",
}


def statuses(source: Valued) -> tuple[str, ...]:
    """Return the flags for a measurement status."""
    return tuple(
        FLAG_OF_MEASUREMENT[code]
        for system, code in source.marks()
        if system == MEASUREMENT_STATUS and code in FLAG_OF_MEASUREMENT
    )


def values_of(found: Observation, codes: Codes) -> Iterator[Decoded]:
    """Yield the value of the Observation, then those of its components, in order.

    Raises DecodeError with ``unknown_vital`` (naming the codes), ``unknown_unit`` or ``bad_schema``
    for what is no value.
    """
    components = [each for each in found.component or () if not _is_statistic(each.code)]
    states = (
        found.valueQuantity is not None
        or found.valueString is not None
        or found.dataAbsentReason is not None
    )
    known = codes.knows(found.code)
    if known and (states or not components):
        yield _value(found, codes)
    elif states or not any(codes.knows(each.code) for each in components):
        every = [key for each in (found, *components) for key in each.code.pairs()]
        raise DecodeError("unknown_vital", f"no vital for {named(every)}")
    for component in components:
        if codes.knows(component.code):
            yield _value(component, codes)
        elif component.valueQuantity is not None:
            text = _number(component.valueQuantity.value)
            yield Decoded(
                vital=named(component.code.pairs()),
                value=text,
                unit=component.valueQuantity.code or "",
            )


def _is_statistic(concept: Concept) -> bool:
    """Return whether a component only describes a summary (number, lowest, highest).

    Such a component is not a value of one moment.
    """
    return any(system == STATISTICS for system, _ in concept.pairs())


def _value(source: Valued, codes: Codes) -> Decoded:
    vitals = codes.find(source.code)
    if not vitals:
        raise DecodeError("bad_schema", f"{named(source.code.pairs())} are different vitals")
    vital = vitals[0]
    quantity = source.valueQuantity
    flags = statuses(source)
    if CONTROL in source.code.pairs():
        flags = (*flags, "control_solution")
    if quantity is None or not _is_number(quantity):
        if quantity is not None and source.dataAbsentReason is None:
            raise DecodeError("bad_schema", f"the valueQuantity of {vital} has no value")
        return _without_number(
            source,
            Decoded(vital=vital, value=None, unit=codes.unit(vital, source.code), flags=flags),
        )
    if source.dataAbsentReason is not None:
        raise DecodeError("bad_schema", f"{vital} has a value and a dataAbsentReason")
    unit, sent = _unit(quantity, vital, codes)
    if not codes.agree(vital, source.code, unit):
        raise DecodeError(
            "unknown_unit",
            f"{named(source.code.pairs())} is not measured in {unit!r}: moles or mass?",
        )
    decoded = Decoded(
        vital=vital, value=_number(quantity.value), unit=unit, unit_sent=sent, flags=flags
    )
    return _with_number(source, decoded, codes)


def _is_number(quantity: Quantity) -> bool:
    return bytes(quantity.value) not in (b"", b"null")


def _without_number(source: Valued, decoded: Decoded) -> Decoded:
    """Return an absent value.

    It is beyond the meter's scale if the display or the interpretation shows that. Otherwise it has
    the reason of the source.
    """
    display = DISPLAYS.get((source.valueString or "").strip().lower())
    if source.dataAbsentReason is None and display is None:
        raise DecodeError(
            "bad_schema", f"{decoded.vital} has neither a valueQuantity nor a dataAbsentReason"
        )
    if source.valueString is not None and display is None:
        raise DecodeError("bad_schema", f"the valueString of {decoded.vital} is neither LO nor HI")
    beyond = display or next(
        (LOW_OR_HIGH[code] for _, code in source.marks() if code in LOW_OR_HIGH), None
    )
    if beyond is not None:
        return msgspec.structs.replace(
            decoded, absent=BEYOND[beyond], flags=(*decoded.flags, beyond)
        )
    reasons = (
        [code for _, code in source.dataAbsentReason.pairs()]
        if source.dataAbsentReason is not None
        else []
    )
    absent: Absent = next((ABSENT[code] for code in reasons if code in ABSENT), "unknown")
    return msgspec.structs.replace(decoded, absent=absent)


def _with_number(source: Valued, decoded: Decoded, codes: Codes) -> Decoded:
    """Return a value with a number.

    With a comparator the number is the end of the meter's scale. For a meter that can show LO or HI
    the value becomes absent, as the meter shows it. For any other vital the number stays the value,
    with a flag. It is the nearest number that is known to be true, and is judged as it is.
    """
    comparator = source.valueQuantity.comparator if source.valueQuantity is not None else None
    if comparator is None:
        off = (OFF_SCALE[code] for _, code in source.marks() if code in OFF_SCALE)
        return msgspec.structs.replace(decoded, flags=(*decoded.flags, *off))
    if comparator not in COMPARATORS:
        raise DecodeError("bad_schema", f"the comparator of {decoded.vital} is none of FHIR's")
    beyond = COMPARATORS[comparator]
    attributes = {"comparator": comparator, "scale_end": decoded.value}
    decoded = msgspec.structs.replace(
        decoded, flags=(*decoded.flags, beyond), attributes=attributes
    )
    return (
        msgspec.structs.replace(decoded, value=None, absent=BEYOND[beyond])
        if decoded.vital in codes.meters
        else decoded
    )


def _unit(quantity: Quantity, vital: str, codes: Codes) -> tuple[str, str | None]:
    """Return the UCUM code, and the sent text if that is another spelling.

    The text in ``unit`` is only for people.
    """
    if quantity.code is None or quantity.system != UCUM:
        raise DecodeError(
            "unknown_unit", f"the valueQuantity of {vital} has no UCUM code (system {UCUM})"
        )
    if len(quantity.code) > LONGEST_UNIT:
        raise DecodeError("unknown_unit", f"the unit of {vital} has over {LONGEST_UNIT} characters")
    same = codes.spellings.get(quantity.code)
    return (quantity.code, None) if same is None else (same, quantity.code)


def _number(raw: msgspec.Raw) -> str:
    """Return a JSON number as plain decimal text with the same digits.

    "72.0" stays and "1.20e2" becomes "120".

    >>> _number(msgspec.Raw(b"72.0")), _number(msgspec.Raw(b"1.20e2"))
    ('72.0', '120')
    """
    text = bytes(raw).decode()
    match = _NUMBER.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None or (match[1] is not None and int(match[1]) > LONGEST_NUMBER):
        raise DecodeError("bad_schema", "the value is no JSON number of reasonable length")
    plain = text if match[1] is None else format(Decimal(text), "f")
    try:
        return msgspec.convert(plain, DecimalText)
    except msgspec.ValidationError:
        raise DecodeError("bad_schema", "the value has more digits than any sensor") from None
