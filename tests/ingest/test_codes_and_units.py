"""One row for each code of the reference and each unit of its section 11: from an Observation
and from an app.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from support.frames import START, frame, measurement, registry_of, stamp, worn

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.ingest import FrameMessage, Ingest, Ingested
from rpm_stream.records import Position, Reading

LOINC, MDC, UCUM = "http://loinc.org", "urn:iso:std:iso:11073:10101", "http://unitsofmeasure.org"

# codes.md: the table, row by row
CODES = {
    "heart_rate": ("/min", ("8867-4", "40443-4"), (147842,)),
    "pulse_rate": ("/min", (), (149514, 149546, 149530)),
    "rr_interval": ("ms", ("8637-1",), (147240,)),
    "oxygen_saturation": ("%", ("2708-6", "59408-5", "20564-1"), (150456,)),
    "perfusion_index": ("%", ("61006-3",), (150448,)),
    "systolic": ("mm[Hg]", ("8480-6",), (150021,)),
    "diastolic": ("mm[Hg]", ("8462-4",), (150022,)),
    "mean_arterial": ("mm[Hg]", ("8478-0",), (150023,)),
    "body_temperature": (
        "Cel",
        ("8310-5",),
        (150364, 188424, 150392, 188452, 188420, 188428, 188456, 150368),
    ),
    "weight": ("kg", ("29463-7",), (188736,)),
    "height": ("cm", ("8302-2",), (188740,)),
    "bmi": ("kg/m2", ("39156-5",), (188752,)),
    "body_fat": ("%", ("41982-0",), (188748,)),
    "respiratory_rate": ("/min", ("9279-1",), (151562, 151578, 151658)),
    "glucose": (
        "mg/dL",
        ("41653-7", "2339-0", "32016-8", "2345-7"),
        (160184, 160188, 160192, 160196, 160200, 160204, 160364, 160368, 160020),
    ),
    "glucose_interstitial": ("mg/dL", ("99504-3", "2344-0"), (160212,)),
    "peak_flow": ("L/min", ("19935-6",), (152584,)),
    "fev1": ("L", ("20150-9",), (152586,)),
    "steps": ("{steps}", ("55423-8",), ()),
    "battery": ("%", (), (67996,)),
}
# No vital of ours, or none that may pass for one: skin is no body temperature, a day's steps are no
# count of a moment.
REFUSED = [
    # the reference has it from memory for the perfusion index; its check digit is wrong
    (LOINC, "73794-3"),
    (LOINC, "80404-7"),
    (LOINC, "41950-7"),
    (LOINC, "93832-4"),
    (LOINC, "88330-6"),
    (LOINC, "85353-1"),
    (MDC, "188764"),
    (MDC, "150388"),
    (LOINC, "97507-8"),
]
# Codes that say moles: the unit must say so too.
MOLES = {
    "glucose": ("15074-8", "14743-9", "14749-6"),
    "glucose_interstitial": ("105272-9", "105273-7", "14745-4"),
}
ROWS = [
    (vital, unit, system, str(code))
    for vital, (unit, loinc, mdc) in CODES.items()
    for system, codes in ((LOINC, loinc), (MDC, mdc))
    for code in codes
] + [(vital, "mmol/L", LOINC, code) for vital, codes in MOLES.items() for code in codes]

# Unit as sent, value, the same in the vital's first unit, and how the reading names the unit
UNITS = [
    ("glucose", "2339-0", "mg/dL", "100", "100", "mg/dL"),
    ("glucose", "2339-0", "mg/dl", "100", "100", "mg/dL"),
    ("glucose", "15074-8", "mmol/L", "5.50", "99.0858", "mmol/L"),
    ("glucose", "15074-8", "mmol/l", "3.9", "70.26084", "mmol/L"),
    ("glucose", "2339-0", "kg/L", "0.001", "100", "kg/L"),
    ("body_temperature", "8310-5", "Cel", "36.90", "36.9", "Cel"),
    ("body_temperature", "8310-5", "[degF]", "98.60", "37", "[degF]"),
    ("systolic", "8480-6", "mm[Hg]", "120", "120", "mm[Hg]"),
    ("systolic", "8480-6", "kPa", "16.0", "120.00992", "kPa"),
    ("weight", "29463-7", "kg", "72.0", "72", "kg"),
    ("weight", "29463-7", "g", "72050", "72.05", "g"),
    ("weight", "29463-7", "[lb_av]", "150.0", "68.0388555", "[lb_av]"),
    ("height", "8302-2", "cm", "170.0", "170", "cm"),
    ("height", "8302-2", "m", "1.70", "170", "m"),
    ("height", "8302-2", "[in_i]", "66.5", "168.91", "[in_i]"),
    ("peak_flow", "19935-6", "L/min", "420", "420", "L/min"),
    ("peak_flow", "19935-6", "l/min", "420", "420", "L/min"),
    ("peak_flow", "19935-6", "cL/s", "700", "420.0", "cL/s"),
    ("peak_flow", "19935-6", "cl/s", "700", "420.0", "cL/s"),
    ("peak_flow", "19935-6", "L/s", "7.00", "420", "L/s"),
    ("fev1", "20150-9", "L", "2.50", "2.5", "L"),
    ("fev1", "20150-9", "mL", "2500", "2.5", "mL"),
    ("oxygen_saturation", "59408-5", "%", "97.0", "97", "%"),
    ("heart_rate", "8867-4", "/min", "72.00", "72", "/min"),
    ("heart_rate", "8867-4", "{beats}/min", "72", "72", "{beats}/min"),
    ("heart_rate", "8867-4", "1/min", "72", "72", "/min"),
    ("respiratory_rate", "9279-1", "{breaths}/min", "16", "16", "{breaths}/min"),
    ("rr_interval", "8637-1", "ms", "812.500", "812.5", "ms"),
    ("rr_interval", "8637-1", "s", "0.8125", "812.5", "s"),
    ("bmi", "39156-5", "kg/m2", "24.50", "24.5", "kg/m2"),
]
NO_UNITS = [
    "Bpm",
    "mmhg",
    "LB",
    "C",
    "F",
    "mmoles/L",
    "mg%",
    "MG/DL",
    "mmol",
    "stone",
    "beats",
    "",
    "Cel ",
    "mmHg ",
]


def taken(sent: dict[str, Any]) -> Ingested:
    ingest = Ingest(shipped(), registry_of([worn()]), recorded_time=True)
    position = Position(topic="rpm.frames", partition=0, offset=1)
    # a number with the digits as given
    body = json.dumps(sent).replace('"<', "").replace('>"', "").encode()
    return ingest.step(
        DeviceState(), FrameMessage(key="d", value=body, position=position, received_at=START)
    )


def only(done: Ingested) -> Reading:
    assert done.rejects == ()
    ((reading,),) = (message.readings for message in done.readings)
    return reading


def resource(system: str, code: str, value: str, unit: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "effectiveDateTime": "2026-03-01T09:30:00+01:30",
        "valueQuantity": {
            "value": f"<{value}>",
            "unit": "as people say",
            "system": UCUM,
            "code": unit,
        },
    }


def resources(*found: dict[str, Any]) -> dict[str, Any]:
    return {**frame([{}], 0), "measurements": None, "resources": list(found)}


@pytest.mark.parametrize(
    ("vital", "unit", "system", "code"), ROWS, ids=lambda each: str(each).rpartition(":")[2]
)
def test_every_code_of_the_reference(vital: str, unit: str, system: str, code: str) -> None:
    value = {"body_temperature": "40.0", "fev1": "4.0", "rr_interval": "500.0"}.get(vital, "50.0")
    reading = only(taken(resources(resource(system, code, value, unit))))
    assert (reading.vital, reading.value, reading.unit) == (vital, value, unit)


@pytest.mark.parametrize(("system", "code"), REFUSED)
def test_what_is_no_vital_of_ours_is_refused_by_its_code(system: str, code: str) -> None:
    (reject,) = taken(resources(resource(system, code, "50", "%"))).rejects
    assert reject.reason == "unknown_vital"
    assert code in reject.detail


@pytest.mark.parametrize(("vital", "code", "unit", "value", "same", "named"), UNITS)
def test_every_unit_of_the_reference_as_fhir(
    vital: str, code: str, unit: str, value: str, same: str, named: str
) -> None:
    """Digits and offset are kept; the conversion is exact."""
    reading = only(taken(resources(resource(LOINC, code, value, unit))))
    assert (reading.vital, reading.value, reading.unit, reading.utc_offset) == (
        vital,
        value,
        named,
        "+01:30",
    )
    assert reading.measured_at == START
    knowledge = shipped()
    converted = knowledge.convert(
        Decimal(reading.value or ""), reading.unit, knowledge.vitals[vital].unit
    )
    assert abs(converted - Decimal(same)) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("vital", "unit", "value"),
    [(vital, unit, value) for vital, _, unit, value, _, named in UNITS if unit == named],
)
def test_every_unit_of_the_reference_as_a_measurement(vital: str, unit: str, value: str) -> None:
    reading = only(taken(frame([measurement(0, vital, value, unit)], 0)))
    assert (reading.vital, reading.value, reading.unit) == (vital, value, unit)


@pytest.mark.parametrize("unit", NO_UNITS)
def test_what_is_no_ucum_unit_of_the_vital_is_refused_by_name(unit: str) -> None:
    """Law 10."""
    for vital, code in (
        ("glucose", "2339-0"),
        ("systolic", "8480-6"),
        ("weight", "29463-7"),
        ("heart_rate", "8867-4"),
    ):
        (reject,) = taken(resources(resource(LOINC, code, "100", unit))).rejects
        assert reject.reason == "unknown_unit"
        assert vital in reject.detail
        (reject,) = taken(frame([{**measurement(0, vital, "100"), "unit": unit}], 0)).rejects
        assert reject.reason == "unknown_unit"
        assert stamp(0) not in reject.detail
