"""Readings and summaries as FHIR R4 Observations, in bytes.

An Observation is a template dict of prepared parts, because a library object costs 250 times as
much. The tests build the same resource with the library and compare. Numbers are written as the
sensor's text, so that 72.0 stays 72.0 (for converted ones see numbers.py).

The R4 4.0.1 vital-signs profiles require:

- effectiveDateTime, never a period
- a value or a dataAbsentReason, never both
- 2708-6 beside 59408-5
- both components of a blood pressure, always
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Literal

import msgspec

from rpm_stream.ids import fhir_id
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.publish.fhir.codes import (
    ABSENT,
    ABSENT_DISPLAY,
    BLOOD_PRESSURE,
    MEASUREMENT_STATUS,
    PANEL_LOINC,
    PANEL_MDC,
    PANEL_TEXT,
    PROFILE,
    STATISTICS,
    UCUM,
    VALUE_REQUIRED,
    category,
    concept,
    kind_of,
    raw,
    shape,
)
from rpm_stream.publish.fhir.ids import observation_id, summary_id
from rpm_stream.publish.fhir.patients_and_devices import identifier
from rpm_stream.publish.numbers import converted
from rpm_stream.records import Absent, Reading, Window

Policy = Literal["single", "summary", "none"]

UUID_SYSTEM = "urn:ietf:rfc:3986"
PRELIMINARY = "early_estimate"  # HL7 PHD: an early estimate is a preliminary result
PRESSURE_UNIT = "mm[Hg]"  # fixed by the bp profile
# CONTRACT 10; records of an older release may be beyond it
WEST = timedelta(hours=-12)
EAST = timedelta(hours=14)
SPAN_MINUTES = 15

_encode = msgspec.json.Encoder().encode
_PANEL_CODE = raw(concept(PANEL_LOINC, PANEL_MDC, PANEL_TEXT))
_PANEL_META = raw({"profile": [PROFILE + "bp"]})
_PANEL_CATEGORY = raw(category("vital-signs"))


def _statistic(code: str, display: str, text: str) -> msgspec.Raw:
    return raw({"coding": [{"system": STATISTICS, "code": code, "display": display}], "text": text})


_COUNT = _statistic("count", "Count", "number of values")
_MINIMUM = _statistic("minimum", "Minimum", "lowest value")
_MAXIMUM = _statistic("maximum", "Maximum", "highest value")
_MEDIAN = _statistic(
    "median", "Median", f"median of the {SPAN_MINUTES} minutes before the effective time"
)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One message of ``rpm.observations``.

    ``body`` is the Observation as JSON and ``id`` its id. ``patient_id`` is the key: the patient as
    our records name them, not the FHIR id. ``readings`` has the ids of the readings inside. It is
    empty for a summary, whose number of values is in the body.
    """

    id: str
    patient_id: str
    body: bytes
    readings: tuple[str, ...]


def publishes(reading: Reading, knowledge: Knowledge) -> Policy:
    """Return how ``reading`` is published.

    Evidence of an alert gets a single Observation besides. The policy is "none" in these cases:

    - the vital has no LOINC code, or its table has this policy
    - the device reports that the value is no statement about the patient (demo, test, calibration,
      unavailable, invalid)
    - a continuous vital has no value at a moment
    - a value is absent that the profile requires (BMI)
    """
    row = knowledge.vitals[reading.vital]
    if row.publish == "none" or not _can_be_published(reading, knowledge):
        return "none"
    if row.publish == "single":
        characteristic = knowledge.characteristics.get(reading.attributes.get("characteristic", ""))
        if characteristic is None or not characteristic.continuous:
            return "single"
    return "summary" if reading.value is not None else "none"


def observation(reading: Reading, knowledge: Knowledge) -> Published | None:
    """Return the Observation of one reading, also if its policy is a summary.

    A blood pressure becomes a panel with one side. Returns ``None`` if the vital has no LOINC code,
    if the device reports that the value is no statement about the patient, or if a value is absent
    that the profile requires.
    """
    if not _can_be_published(reading, knowledge):
        return None
    if reading.vital in BLOOD_PRESSURE:
        return blood_pressure((reading,), knowledge)
    parts = shape(knowledge, reading.vital, reading.unit, kind_of(reading))
    body = _head(reading, parts.meta)
    body["status"] = "preliminary" if PRELIMINARY in reading.flags else "final"
    body["category"] = parts.category
    body["code"] = parts.code
    _context(body, reading)
    if reading.value is None:
        body["dataAbsentReason"] = _absent(reading.absent)
    else:
        body["valueQuantity"] = _quantity(
            converted(reading.value, reading.unit, parts.unit, knowledge), parts.unit
        )
    if not knowledge.signal.ask_repeat.isdisjoint(reading.flags):
        _questionable(body, reading.flags, knowledge)
    return Published(
        id=body["id"], patient_id=reading.patient, body=_encode(body), readings=(reading.id,)
    )


def blood_pressure(readings: Sequence[Reading], knowledge: Knowledge) -> Published:
    """Return the panel of what one cuff measured at one instant, in mm[Hg].

    It takes at most one each of systolic, diastolic and mean. Systolic and diastolic are always in
    the panel, and one that was not sent has the reason "unknown". The systolic reading leads (id,
    time, device), else the diastolic, else the mean. Raises ``ValueError`` for any other set of
    readings.
    """
    sides = {reading.vital: reading for reading in readings}
    ordered = [sides[vital] for vital in BLOOD_PRESSURE if vital in sides]
    if not ordered or len(ordered) != len(readings):
        raise ValueError(
            "a blood pressure panel takes at most one each of systolic, diastolic and mean"
        )
    flags = tuple({flag: None for reading in ordered for flag in reading.flags})
    body = _head(ordered[0], _PANEL_META)
    body["identifier"] = [_uuid_identifier(reading.id) for reading in ordered]
    body["status"] = "preliminary" if PRELIMINARY in flags else "final"
    body["category"] = _PANEL_CATEGORY
    body["code"] = _PANEL_CODE
    _context(body, ordered[0])
    if not knowledge.signal.ask_repeat.isdisjoint(flags):
        _questionable(body, flags, knowledge)
    wanted = BLOOD_PRESSURE if "mean_arterial" in sides else BLOOD_PRESSURE[:2]
    body["component"] = [_side(vital, sides.get(vital), knowledge) for vital in wanted]
    ids = tuple(reading.id for reading in ordered)
    return Published(id=body["id"], patient_id=ordered[0].patient, body=_encode(body), readings=ids)


def singles(readings: Iterable[Reading], knowledge: Knowledge) -> list[Published]:
    """Return the Observations of the readings of one message.

    Blood pressures of one device and instant are joined in panels.
    """
    published: list[Published] = []
    panels: dict[tuple[str, datetime, int], dict[str, Reading]] = {}
    for reading in readings:
        if reading.vital not in BLOOD_PRESSURE:
            if (single := observation(reading, knowledge)) is not None:
                published.append(single)
        elif knowledge.signal.never_judged.isdisjoint(reading.flags):
            ordinal = 0  # a second systolic of the same instant begins a second panel
            while reading.vital in panels.setdefault(
                (reading.device, reading.measured_at, ordinal), {}
            ):
                ordinal += 1
            panels[reading.device, reading.measured_at, ordinal][reading.vital] = reading
    published += [blood_pressure(tuple(sides.values()), knowledge) for sides in panels.values()]
    return published


def summary(window: Window, knowledge: Knowledge) -> Published:
    """Return the summary of one 15-minute window, dated at its end.

    The value is the median. Number, minimum and maximum are components.
    """
    parts = shape(knowledge, window.vital, window.unit)
    identity = summary_id(window.patient, window.vital, window.start)
    body: dict[str, Any] = {"resourceType": "Observation", "id": identity}
    if parts.meta is not None:
        body["meta"] = parts.meta
    body["identifier"] = [_uuid_identifier(identity)]
    body["status"] = "final"
    body["category"] = parts.category
    body["code"] = parts.code
    body["subject"] = _reference("Patient", window.patient)
    body["effectiveDateTime"] = local_time(window.end, window.utc_offset)
    body["issued"] = local_time(window.received_at, None)
    body["valueQuantity"] = _quantity(window.median, window.unit)
    body["method"] = _MEDIAN
    if window.device is not None:
        body["device"] = _reference("Device", window.device)
    body["component"] = [
        {"code": _COUNT, "valueInteger": window.count},
        {"code": _MINIMUM, "valueQuantity": _quantity(window.minimum, window.unit)},
        {"code": _MAXIMUM, "valueQuantity": _quantity(window.maximum, window.unit)},
    ]
    return Published(id=identity, patient_id=window.patient, body=_encode(body), readings=())


def local_time(at: datetime, utc_offset: str | None) -> str:
    """Return ``at`` as FHIR dateTime in the wearer's offset.

    It is in UTC with Z if the offset is unknown or beyond FHIR's 14:00.

    >>> local_time(datetime(2026, 3, 1, 23, 30, tzinfo=UTC), "+02:00")
    '2026-03-02T01:30:00+02:00'
    """
    zone = _zone(utc_offset)
    if zone is not None:
        try:
            return at.astimezone(zone).isoformat()
        except OverflowError:  # year 1 or 9999: local time lies outside the calendar
            pass
    return at.astimezone(UTC).isoformat()[:-6] + "Z"


def number(text: str) -> msgspec.Raw:
    """Return decimal text as a JSON number with the same digits.

    "72.0" stays 72.0 and "007" becomes 7.
    """
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text)
    if digits[0] == "0" and len(digits) > 1 and digits[1] != ".":
        digits = digits.lstrip("0")
        text = sign + (digits if digits[:1].isdigit() else "0" + digits)
    return msgspec.Raw(text)


@lru_cache(maxsize=64)
def _instant(at: datetime) -> str:
    """Return ``issued``, one text for the readings of a message, which share it."""
    return local_time(at, None)


@lru_cache(maxsize=256)
def _zone(utc_offset: str | None) -> timezone | None:
    if utc_offset is None or utc_offset == "Z":
        return None
    hours = int(utc_offset[1:3])
    minutes = int(utc_offset[4:6])
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if utc_offset[0] == "-" else 1)
    return timezone(offset) if WEST <= offset <= EAST else None


@lru_cache(maxsize=4096)
def _reference(kind: str, text: str) -> msgspec.Raw:
    reference: dict[str, Any] = {"reference": f"{kind}/{fhir_id(text)}"}
    if fhir_id(text) != text:
        reference["identifier"] = identifier(kind, text)
    return raw(reference)


@lru_cache(maxsize=16)
def _absent(reason: Absent | None) -> msgspec.Raw:
    code = reason or "unknown"
    return raw({"coding": [{"system": ABSENT, "code": code, "display": ABSENT_DISPLAY[code]}]})


def _can_be_published(reading: Reading, knowledge: Knowledge) -> bool:
    """Return whether a reading can be an Observation.

    It must be coded and about the patient, and have a value if its profile requires one.
    """
    row = knowledge.vitals[reading.vital]
    if not row.loinc or not knowledge.signal.never_judged.isdisjoint(reading.flags):
        return False
    return reading.value is not None or row.profile not in VALUE_REQUIRED


def _uuid_identifier(identity: str) -> dict[str, str]:
    return {"system": UUID_SYSTEM, "value": f"urn:uuid:{identity}"}


def _head(reading: Reading, meta: msgspec.Raw | None) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": "Observation", "id": observation_id(reading.id)}
    if meta is not None:
        body["meta"] = meta
    body["identifier"] = [_uuid_identifier(reading.id)]
    return body


def _context(body: dict[str, Any], reading: Reading) -> None:
    """Add the patient, the times and the device."""
    body["subject"] = _reference("Patient", reading.patient)
    body["effectiveDateTime"] = local_time(reading.measured_at, reading.utc_offset)
    body["issued"] = _instant(reading.received_at)
    body["device"] = _reference("Device", reading.device)


def _quantity(value: str, unit: str) -> dict[str, Any]:
    return {"value": number(value), "unit": unit, "system": UCUM, "code": unit}


def _questionable(body: dict[str, Any], flags: Sequence[str], knowledge: Knowledge) -> None:
    """Mark a value that the device itself doubts as questionable (HL7 PHD).

    The text names the device's reasons.
    """
    doubts = ", ".join(
        flag.replace("_", " ") for flag in flags if flag in knowledge.signal.ask_repeat
    )
    coding = [{"system": MEASUREMENT_STATUS, "code": "questionable"}]
    body["interpretation"] = [{"coding": coding, "text": doubts}]


def _side(vital: str, reading: Reading | None, knowledge: Knowledge) -> dict[str, Any]:
    component: dict[str, Any] = {"code": shape(knowledge, vital, PRESSURE_UNIT).code}
    if reading is None or reading.value is None:
        component["dataAbsentReason"] = _absent(None if reading is None else reading.absent)
    else:
        value = converted(reading.value, reading.unit, PRESSURE_UNIT, knowledge)
        component["valueQuantity"] = _quantity(value, PRESSURE_UNIT)
    return component
