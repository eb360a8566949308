"""How a vital is coded in FHIR: systems, profiles with their units, and prepared template parts.

This module has the facts of the R4 4.0.1 vital-signs profiles that a template needs. ``shape``
prepares from a row of ``vitals.toml`` all parts that are the same for each reading. Facts of a
single reading do not belong here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.tables import Vital
from rpm_stream.records import Reading

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
UCUM = "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
STATISTICS = "http://terminology.hl7.org/CodeSystem/observation-statistics"
MEASUREMENT_STATUS = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"
PROFILE = "http://hl7.org/fhir/StructureDefinition/"

# Units that a profile accepts as sensed. Any other is converted to the vital's first unit. Source:
# the R4 4.0.1 profiles (fixed unit, or required binding to ucum-bodytemp, ucum-bodyweight,
# ucum-bodylength).
PROFILE_UNITS: dict[str, frozenset[str]] = {
    "heartrate": frozenset({"/min"}),
    "resprate": frozenset({"/min"}),
    "oxygensat": frozenset({"%"}),
    "bp": frozenset({"mm[Hg]"}),
    "bodytemp": frozenset({"Cel", "[degF]"}),
    "bodyweight": frozenset({"kg", "g", "[lb_av]"}),
    "bodyheight": frozenset({"cm", "[in_i]"}),
    "bmi": frozenset({"kg/m2"}),
}

# Profiles whose valueQuantity is 1..1. Without a value there is no conforming Observation,
# according to HAPI's validator.
VALUE_REQUIRED = frozenset({"bmi"})

CATEGORY_DISPLAY = {
    "vital-signs": "Vital Signs",
    "laboratory": "Laboratory",
    "exam": "Exam",
    "activity": "Activity",
    "survey": "Survey",
    "imaging": "Imaging",
    "procedure": "Procedure",
    "social-history": "Social History",
    "therapy": "Therapy",
}

# The panel of a blood pressure is not a vital. Source: R4 bp profile; HL7 PHD.
BLOOD_PRESSURE = ("systolic", "diastolic", "mean_arterial")
PANEL_LOINC = (("85354-9", "Blood pressure panel with all children optional"),)
PANEL_MDC = ("150020", "MDC_PRESS_BLD_NONINV")
PANEL_TEXT = "Blood pressure"

ABSENT_DISPLAY = {
    "not-a-number": "Not a Number (NaN)",
    "positive-infinity": "Positive Infinity (PINF)",
    "negative-infinity": "Negative Infinity (NINF)",
    "error": "Error",
    "not-performed": "Not Performed",
    "unknown": "Unknown",
}

# A device may report more than the vital's name, and the MDC code then includes it. The table has
# the attribute to read and the codes. Source: ISO/IEEE 11073-10101 as listed by the HL7 PHD guide;
# glucose of GATT 2A18, temperature of GATT 2A1C.
KIND_ATTRIBUTE = {"glucose": "type", "body_temperature": "type", "pulse_rate": "characteristic"}
MDC_OF_KIND: dict[tuple[str, object], tuple[str, str]] = {
    ("glucose", "capillary_whole"): ("160184", "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD"),
    ("glucose", "capillary_plasma"): ("160188", "MDC_CONC_GLU_CAPILLARY_PLASMA"),
    ("glucose", "venous_whole"): ("160192", "MDC_CONC_GLU_VENOUS_WHOLEBLOOD"),
    ("glucose", "venous_plasma"): ("160196", "MDC_CONC_GLU_VENOUS_PLASMA"),
    ("glucose", "arterial_whole"): ("160200", "MDC_CONC_GLU_ARTERIAL_WHOLEBLOOD"),
    ("glucose", "arterial_plasma"): ("160204", "MDC_CONC_GLU_ARTERIAL_PLASMA"),
    ("glucose", "undetermined_whole"): ("160364", "MDC_CONC_GLU_UNDETERMINED_WHOLEBLOOD"),
    ("glucose", "undetermined_plasma"): ("160368", "MDC_CONC_GLU_UNDETERMINED_PLASMA"),
    ("body_temperature", "armpit"): ("188452", "MDC_TEMP_AXILLA"),
    ("body_temperature", "ear"): ("188428", "MDC_TEMP_EAR"),
    ("body_temperature", "finger"): ("188432", "MDC_TEMP_FINGER"),
    ("body_temperature", "gi_tract"): ("188456", "MDC_TEMP_GIT"),
    ("body_temperature", "mouth"): ("188424", "MDC_TEMP_ORAL"),
    ("body_temperature", "rectum"): ("188420", "MDC_TEMP_RECT"),
    ("body_temperature", "toe"): ("188448", "MDC_TEMP_TOE"),
    ("body_temperature", "tympanum"): ("150392", "MDC_TEMP_TYMP"),
    ("pulse_rate", "2A35"): ("149546", "MDC_PULS_RATE_NON_INV"),
    ("pulse_rate", "2A5E"): ("149530", "MDC_PULS_OXIM_PULS_RATE"),
    ("pulse_rate", "2A5F"): ("149530", "MDC_PULS_OXIM_PULS_RATE"),
}
# A meter's interstitial sample (2A18 type 9) must not be coded as blood.
CODED_AS: dict[tuple[str, object], str] = {("glucose", "isf"): "glucose_interstitial"}


MOST_SHAPES = 1024  # kinds come from devices, and a stream of new ones must not fill the memory


class Shape(msgspec.Struct, frozen=True):
    """All parts of an Observation that depend only on vital, unit and kind, as JSON.

    ``unit`` is the unit that the value is written in.
    """

    unit: str
    code: msgspec.Raw
    category: msgspec.Raw
    meta: msgspec.Raw | None


class _Memo:
    """The shapes for one set of tables.

    Both values are replaced together when other tables come.
    """

    made: tuple[Knowledge | None, dict[tuple[str, str, object], Shape]] = (None, {})


def raw(value: Any) -> msgspec.Raw:
    """Return ``value`` as JSON that later encodings copy."""
    return msgspec.Raw(msgspec.json.encode(value))


def concept(
    loinc: tuple[tuple[str, str], ...], mdc: tuple[str, str] | None, text: str
) -> dict[str, Any]:
    """Return a CodeableConcept of LOINC and MDC codings."""
    coding = [{"system": LOINC, "code": code, "display": display} for code, display in loinc]
    if mdc is not None:
        coding.append({"system": MDC, "code": mdc[0], "display": mdc[1]})
    return {"coding": coding, "text": text}


def category(code: str) -> list[dict[str, Any]]:
    """Return the one category of an Observation."""
    return [{"coding": [{"system": CATEGORY, "code": code, "display": CATEGORY_DISPLAY[code]}]}]


# glucose as GATT sends it: no LOINC code and no chart uses this unit
WIRE_UNITS = frozenset({"kg/L"})


def published_unit(row: Vital, unit: str) -> str:
    """Return the unit in which a value sensed in ``unit`` is published.

    It is ``unit`` itself if the profile allows it, else the vital's first unit.
    """
    if unit in WIRE_UNITS:
        return row.unit
    if row.profile is None or unit in PROFILE_UNITS.get(row.profile, frozenset({row.unit})):
        return unit
    return row.unit


def kind_of(reading: Reading) -> object:
    """Return the sample or site that the device reports ("capillary_whole", "ear"), or ``None``."""
    attribute = KIND_ATTRIBUTE.get(reading.vital)
    kind = None if attribute is None else reading.attributes.get(attribute)
    return kind if isinstance(kind, str) else None


def shape(knowledge: Knowledge, vital: str, unit: str, kind: object = None) -> Shape:
    """Return the template parts of ``vital`` sensed in ``unit``, prepared once.

    Raises ``KeyError`` for an unknown vital.
    """
    tables, shapes = _Memo.made
    if tables is not knowledge:
        shapes = {}
        _Memo.made = (knowledge, shapes)
    key = (vital, unit, kind)
    found = shapes.get(key)
    if found is None:
        found = _make(knowledge, vital, unit, kind)
        if len(shapes) < MOST_SHAPES:
            shapes[key] = found
    return found


def _make(knowledge: Knowledge, vital: str, unit: str, kind: object) -> Shape:
    row = knowledge.vitals[CODED_AS.get((vital, kind), vital)]
    to = published_unit(row, unit)
    loinc = row.loinc_by_unit.get(to, row.loinc)
    mdc = MDC_OF_KIND.get((vital, kind), row.mdc)
    return Shape(
        unit=to,
        code=raw(concept(loinc, mdc, row.display)),
        category=raw(category(row.category)),
        meta=raw({"profile": [PROFILE + row.profile]}) if row.profile else None,
    )
