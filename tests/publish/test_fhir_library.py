"""Every template says exactly what the library says of the same facts (law 9: codes and displays
are pinned here).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.codeableconcept import CodeableConcept
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.identifier import Identifier
from fhir.resources.R4B.meta import Meta
from fhir.resources.R4B.observation import Observation, ObservationComponent
from fhir.resources.R4B.quantity import Quantity
from fhir.resources.R4B.reference import Reference
from hypothesis import given, settings
from hypothesis import strategies as st
from support.readings import START, reading

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.observation import blood_pressure, observation, summary
from rpm_stream.publish.fhir.summaries import add, close
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading, Window

# vital, unit as sensed -> LOINC codings, MDC coding, unit as published, profile, category. Written
# from the sources.
PINNED: dict[
    tuple[str, str], tuple[list[tuple[str, str]], tuple[str, str] | None, str, str | None, str]
] = {
    ("heart_rate", "/min"): (
        [("8867-4", "Heart rate")],
        ("147842", "MDC_ECG_HEART_RATE"),
        "/min",
        "heartrate",
        "vital-signs",
    ),
    ("heart_rate", "{beats}/min"): (
        [("8867-4", "Heart rate")],
        ("147842", "MDC_ECG_HEART_RATE"),
        "/min",
        "heartrate",
        "vital-signs",
    ),
    ("pulse_rate", "/min"): (
        [("8867-4", "Heart rate")],
        ("149514", "MDC_PULS_RATE"),
        "/min",
        "heartrate",
        "vital-signs",
    ),
    ("pulse_rate", "{beats}/min"): (
        [("8867-4", "Heart rate")],
        ("149514", "MDC_PULS_RATE"),
        "/min",
        "heartrate",
        "vital-signs",
    ),
    ("rr_interval", "ms"): (
        [("8637-1", "R-R interval by EKG")],
        ("147240", "MDC_ECG_TIME_PD_RR_GL"),
        "ms",
        None,
        "vital-signs",
    ),
    ("rr_interval", "s"): (
        [("8637-1", "R-R interval by EKG")],
        ("147240", "MDC_ECG_TIME_PD_RR_GL"),
        "s",
        None,
        "vital-signs",
    ),
    ("oxygen_saturation", "%"): (
        [
            ("2708-6", "Oxygen saturation in Arterial blood"),
            ("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
        ],
        ("150456", "MDC_PULS_OXIM_SAT_O2"),
        "%",
        "oxygensat",
        "vital-signs",
    ),
    ("perfusion_index", "%"): (
        [("61006-3", "Perfusion index Tissue by Pulse oximetry")],
        ("150448", "MDC_PULS_OXIM_PERF_REL"),
        "%",
        None,
        "vital-signs",
    ),
    ("oxygen_flow", "L/min"): (
        [("3151-8", "Inhaled oxygen flow rate")],
        None,
        "L/min",
        None,
        "vital-signs",
    ),
    ("inspired_oxygen", "%"): (
        [("3150-0", "Inhaled oxygen concentration")],
        None,
        "%",
        None,
        "vital-signs",
    ),
    ("respiratory_rate", "/min"): (
        [("9279-1", "Respiratory rate")],
        ("151562", "MDC_RESP_RATE"),
        "/min",
        "resprate",
        "vital-signs",
    ),
    ("respiratory_rate", "{breaths}/min"): (
        [("9279-1", "Respiratory rate")],
        ("151562", "MDC_RESP_RATE"),
        "/min",
        "resprate",
        "vital-signs",
    ),
    ("body_temperature", "Cel"): (
        [("8310-5", "Body temperature")],
        ("150364", "MDC_TEMP_BODY"),
        "Cel",
        "bodytemp",
        "vital-signs",
    ),
    ("body_temperature", "[degF]"): (
        [("8310-5", "Body temperature")],
        ("150364", "MDC_TEMP_BODY"),
        "[degF]",
        "bodytemp",
        "vital-signs",
    ),
    ("glucose", "mg/dL"): (
        [("2339-0", "Glucose [Mass/volume] in Blood")],
        ("160020", "MDC_CONC_GLU_GEN"),
        "mg/dL",
        None,
        "laboratory",
    ),
    ("glucose", "kg/L"): (
        [("2339-0", "Glucose [Mass/volume] in Blood")],
        ("160020", "MDC_CONC_GLU_GEN"),
        "mg/dL",
        None,
        "laboratory",
    ),
    ("glucose_interstitial", "kg/L"): (
        [("99504-3", "Glucose [Mass/volume] in Interstitial fluid")],
        ("160212", "MDC_CONC_GLU_ISF"),
        "mg/dL",
        None,
        "laboratory",
    ),
    ("glucose", "mmol/L"): (
        [("15074-8", "Glucose [Moles/volume] in Blood")],
        ("160020", "MDC_CONC_GLU_GEN"),
        "mmol/L",
        None,
        "laboratory",
    ),
    ("glucose_interstitial", "mg/dL"): (
        [("99504-3", "Glucose [Mass/volume] in Interstitial fluid")],
        ("160212", "MDC_CONC_GLU_ISF"),
        "mg/dL",
        None,
        "laboratory",
    ),
    ("glucose_interstitial", "mmol/L"): (
        [("105272-9", "Glucose [Moles/volume] in Interstitial fluid")],
        ("160212", "MDC_CONC_GLU_ISF"),
        "mmol/L",
        None,
        "laboratory",
    ),
    ("weight", "kg"): (
        [("29463-7", "Body weight")],
        ("188736", "MDC_MASS_BODY_ACTUAL"),
        "kg",
        "bodyweight",
        "vital-signs",
    ),
    ("weight", "[lb_av]"): (
        [("29463-7", "Body weight")],
        ("188736", "MDC_MASS_BODY_ACTUAL"),
        "[lb_av]",
        "bodyweight",
        "vital-signs",
    ),
    ("weight", "g"): (
        [("29463-7", "Body weight")],
        ("188736", "MDC_MASS_BODY_ACTUAL"),
        "g",
        "bodyweight",
        "vital-signs",
    ),
    ("height", "cm"): (
        [("8302-2", "Body height")],
        ("188740", "MDC_LEN_BODY_ACTUAL"),
        "cm",
        "bodyheight",
        "vital-signs",
    ),
    ("height", "m"): (
        [("8302-2", "Body height")],
        ("188740", "MDC_LEN_BODY_ACTUAL"),
        "cm",
        "bodyheight",
        "vital-signs",
    ),
    ("height", "[in_i]"): (
        [("8302-2", "Body height")],
        ("188740", "MDC_LEN_BODY_ACTUAL"),
        "[in_i]",
        "bodyheight",
        "vital-signs",
    ),
    ("height", "[ft_i]"): (
        [("8302-2", "Body height")],
        ("188740", "MDC_LEN_BODY_ACTUAL"),
        "cm",
        "bodyheight",
        "vital-signs",
    ),
    ("bmi", "kg/m2"): (
        [("39156-5", "Body mass index (BMI) [Ratio]")],
        ("188752", "MDC_RATIO_MASS_BODY_LEN_SQ"),
        "kg/m2",
        "bmi",
        "vital-signs",
    ),
    ("body_fat", "%"): (
        [("41982-0", "Percentage of body fat Measured")],
        ("188748", "MDC_BODY_FAT"),
        "%",
        None,
        "exam",
    ),
    ("steps", "{steps}"): (
        [("55423-8", "Number of steps in unspecified time Pedometer")],
        None,
        "{steps}",
        None,
        "activity",
    ),
    ("steps", "1"): (
        [("55423-8", "Number of steps in unspecified time Pedometer")],
        None,
        "1",
        None,
        "activity",
    ),
    ("peak_flow", "L/min"): (
        [("19935-6", "Maximum expiratory gas flow Respiratory system airway by Peak flow meter")],
        ("152584", "MDC_FLOW_AWAY_EXP_FORCED_PEAK"),
        "L/min",
        None,
        "exam",
    ),
    ("peak_flow", "L/s"): (
        [("19935-6", "Maximum expiratory gas flow Respiratory system airway by Peak flow meter")],
        ("152584", "MDC_FLOW_AWAY_EXP_FORCED_PEAK"),
        "L/s",
        None,
        "exam",
    ),
    ("peak_flow", "cL/s"): (
        [("19935-6", "Maximum expiratory gas flow Respiratory system airway by Peak flow meter")],
        ("152584", "MDC_FLOW_AWAY_EXP_FORCED_PEAK"),
        "cL/s",
        None,
        "exam",
    ),
    ("fev1", "L"): (
        [("20150-9", "FEV1")],
        ("152586", "MDC_VOL_AWAY_EXP_FORCED_1S"),
        "L",
        None,
        "exam",
    ),
    ("fev1", "mL"): (
        [("20150-9", "FEV1")],
        ("152586", "MDC_VOL_AWAY_EXP_FORCED_1S"),
        "mL",
        None,
        "exam",
    ),
}
# Vital -> LOINC, MDC of the three components of a blood pressure.
SIDES = {
    "systolic": (("8480-6", "Systolic blood pressure"), ("150021", "MDC_PRESS_BLD_NONINV_SYS")),
    "diastolic": (("8462-4", "Diastolic blood pressure"), ("150022", "MDC_PRESS_BLD_NONINV_DIA")),
    "mean_arterial": (("8478-0", "Mean blood pressure"), ("150023", "MDC_PRESS_BLD_NONINV_MEAN")),
}
DISPLAYS = {
    "not-a-number": "Not a Number (NaN)",
    "positive-infinity": "Positive Infinity (PINF)",
    "error": "Error",
    "negative-infinity": "Negative Infinity (NINF)",
    "not-performed": "Not Performed",
    "unknown": "Unknown",
}
CATEGORIES = {
    "vital-signs": "Vital Signs",
    "laboratory": "Laboratory",
    "exam": "Exam",
    "activity": "Activity",
}

VALUES = st.one_of(
    st.integers(0, 99999).map(str),
    st.tuples(st.integers(0, 9999), st.integers(1, 3), st.integers(0, 999)).map(
        lambda parts: f"{parts[0]}.{str(parts[2]).zfill(3)[: parts[1]]}"
    ),
)
OFFSETS = st.sampled_from([None, "Z", "+00:00", "+02:00", "-05:30", "+14:00"])
ABSENTS = st.sampled_from(sorted(DISPLAYS))


def concept(
    loinc: list[tuple[str, str]], mdc: tuple[str, str] | None, text: str
) -> CodeableConcept:
    codings = [
        Coding(system="http://loinc.org", code=code, display=display) for code, display in loinc
    ]
    if mdc:
        codings.append(Coding(system="urn:iso:std:iso:11073:10101", code=mdc[0], display=mdc[1]))
    return CodeableConcept(coding=codings, text=text)


def quantity(value: str, unit: str) -> Quantity:
    return Quantity(value=Decimal(value), unit=unit, system="http://unitsofmeasure.org", code=unit)


def reason(code: str) -> CodeableConcept:
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return CodeableConcept(coding=[Coding(system=system, code=code, display=DISPLAYS[code])])


def statistic(code: str, display: str, text: str) -> CodeableConcept:
    system = "http://terminology.hl7.org/CodeSystem/observation-statistics"
    return CodeableConcept(coding=[Coding(system=system, code=code, display=display)], text=text)


def when(at: datetime, offset: str | None) -> datetime:
    if offset in (None, "Z"):
        return at
    assert offset is not None
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return at.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))


def frame_of(category: str, profile: str | None, fact: Reading) -> dict[str, Any]:
    """The elements that every Observation of ``fact`` has."""
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    elements: dict[str, Any] = {
        "status": "final",
        "category": [
            CodeableConcept(
                coding=[Coding(system=system, code=category, display=CATEGORIES[category])]
            )
        ],
        "identifier": [Identifier(system="urn:ietf:rfc:3986", value=f"urn:uuid:{fact.id}")],
        "subject": Reference(reference=f"Patient/{fact.patient}"),
        "device": Reference(reference=f"Device/{fact.device}"),
        "effectiveDateTime": when(fact.measured_at, fact.utc_offset),
        "issued": fact.received_at,
    }
    if profile:
        elements["meta"] = Meta(profile=[f"http://hl7.org/fhir/StructureDefinition/{profile}"])
    return elements


# where the profile, or good sense, fixes the unit
FACTORS = {
    ("m", "cm"): Decimal(100),
    ("kg/L", "mg/dL"): Decimal(100_000),
    ("[ft_i]", "cm"): Decimal("30.48"),
}


def in_unit(value: str, factor: Decimal) -> str:
    """A converted number: one decimal place more than the sensor's, at most three, half up."""
    places = min(len(value.partition(".")[2]) + 1, 3)
    return f"{(Decimal(value) * factor).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def normal(body: str | bytes) -> dict[str, Any]:
    """Parsed, numbers as exact decimals, times as instants with their offset, without the id."""
    parsed: dict[str, Any] = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    UUID(parsed.pop("id"))
    for name in ("effectiveDateTime", "issued"):
        at = datetime.fromisoformat(parsed[name])
        parsed[name] = (at, at.utcoffset())
    return parsed


def library(elements: dict[str, Any]) -> dict[str, Any]:
    made = Observation(id="1b671a64-40d5-491e-99b0-da01ff1f3341", **elements)
    return normal(made.model_dump_json())


def test_every_coded_vital_and_unit_is_pinned() -> None:
    """Law 9: a vital or unit that enters the table must enter this one, from the source and not
    by copy.
    """
    coded = {
        (name, unit) for name, row in shipped().vitals.items() if row.loinc for unit in row.units
    }
    assert coded == set(PINNED) | {(side, unit) for side in SIDES for unit in ("mm[Hg]", "kPa")}


@pytest.mark.parametrize(("vital", "unit"), sorted(PINNED))
@settings(max_examples=15, deadline=None)
@given(
    value=VALUES,
    absent=ABSENTS,
    offset=OFFSETS,
    has_value=st.booleans(),
    micros=st.integers(0, 999999),
)
def test_observation_equals_the_library(
    vital: str, unit: str, value: str, absent: str, offset: str | None, has_value: bool, micros: int
) -> None:
    loinc, mdc, to, profile, category = PINNED[vital, unit]
    has_value = has_value or vital == "bmi"  # its profile demands one
    fact = reading(
        vital, value if has_value else None, unit, seconds=micros / 1e6, utc_offset=offset
    )
    if not has_value:
        fact = reading(vital, None, unit, seconds=micros / 1e6, utc_offset=offset, absent=absent)
    elements = frame_of(category, profile, fact)
    elements["code"] = concept(loinc, mdc, shipped().vitals[vital].display)
    if has_value:
        shown = in_unit(value, FACTORS[unit, to]) if (unit, to) in FACTORS else value
        elements["valueQuantity"] = quantity(shown, to)
    else:
        elements["dataAbsentReason"] = reason(absent)
    made = observation(fact, shipped())
    assert made is not None
    assert normal(made.body) == library(elements)


def millimetres(kilopascal: str) -> Decimal:
    """With one place more than the sensor's, at most three; zeros at its end are not written."""
    places = min(len(kilopascal.partition(".")[2]) + 1, 3)
    number = Decimal(kilopascal) * Decimal("7.50062")
    found = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return Decimal(format(found.normalize(), "f")) if number else Decimal(kilopascal)


@settings(max_examples=60, deadline=None)
@given(
    sides=st.dictionaries(st.sampled_from(sorted(SIDES)), st.one_of(VALUES, ABSENTS), min_size=1),
    kilopascal=st.booleans(),
    offset=OFFSETS,
)
def test_blood_pressure_equals_the_library(
    sides: dict[str, str], kilopascal: bool, offset: str | None
) -> None:
    unit = "kPa" if kilopascal else "mm[Hg]"
    facts = [
        reading(vital, None, unit, utc_offset=offset, absent=said)
        if said in DISPLAYS
        else reading(vital, said, unit, utc_offset=offset)
        for vital, said in sides.items()
    ]
    order = list(SIDES)
    lead = min(facts, key=lambda fact: order.index(fact.vital))
    elements = frame_of("vital-signs", "bp", lead)
    ids = [fact.id for fact in sorted(facts, key=lambda fact: order.index(fact.vital))]
    elements["identifier"] = [
        Identifier(system="urn:ietf:rfc:3986", value=f"urn:uuid:{one}") for one in ids
    ]
    elements["code"] = concept(
        [("85354-9", "Blood pressure panel with all children optional")],
        ("150020", "MDC_PRESS_BLD_NONINV"),
        "Blood pressure",
    )
    components = []
    for vital in order if "mean_arterial" in sides else order[:2]:
        said = sides.get(vital, "unknown")
        content: dict[str, Any] = {
            "code": concept([SIDES[vital][0]], SIDES[vital][1], SIDES[vital][0][1])
        }
        if said in DISPLAYS:
            content["dataAbsentReason"] = reason(said)
        else:
            exact = millimetres(said) if kilopascal else Decimal(said)
            content["valueQuantity"] = quantity(str(exact), "mm[Hg]")
        components.append(ObservationComponent(**content))
    elements["component"] = components
    made = blood_pressure(facts, shipped())
    assert normal(made.body) == library(elements)
    assert made.readings == tuple(ids)


@pytest.mark.parametrize(("vital", "unit"), sorted(PINNED))
def test_summary_equals_the_library(vital: str, unit: str) -> None:
    loinc, mdc, to, profile, category = PINNED[vital, unit]
    factor = FACTORS.get((unit, to), 1)
    state = Summaries("p-1")
    facts = [
        reading(vital, value, unit, seconds=10 * place)
        for place, value in enumerate(["72.0", "75.5", "71.5", "72.5"])
    ]
    for fact in facts:
        assert add(state, fact, shipped()) == (True, [])
    (window,) = close(state)
    assert isinstance(window, Window)
    end = reading(vital, "0", unit, seconds=900, received_at=facts[-1].received_at)
    elements = frame_of(category, profile, end)
    elements["code"] = concept(loinc, mdc, shipped().vitals[vital].display)
    elements["valueQuantity"] = quantity(str(Decimal("72.25") * factor), to)
    elements["method"] = statistic(
        "median", "Median", "median of the 15 minutes before the effective time"
    )
    elements["component"] = [
        ObservationComponent(code=statistic("count", "Count", "number of values"), valueInteger=4),
        ObservationComponent(
            code=statistic("minimum", "Minimum", "lowest value"),
            valueQuantity=quantity(str(Decimal("71.5") * factor), to),
        ),
        ObservationComponent(
            code=statistic("maximum", "Maximum", "highest value"),
            valueQuantity=quantity(str(Decimal("75.5") * factor), to),
        ),
    ]
    made = normal(summary(window, shipped()).body)
    wanted = library(elements)
    for one in (made, wanted):  # the summary's own id is its identifier; test_summaries pins it
        assert one.pop("identifier")[0]["value"].startswith("urn:uuid:")
    assert made == wanted
    assert window.start == START
