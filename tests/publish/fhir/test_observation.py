"""What a reader of an Observation relies on: the traps of the R4 profiles, digits, ids, and who
is published how.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.readings import START, reading

from rpm_stream.ids import fhir_id
from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.ids import observation_id
from rpm_stream.publish.fhir.observation import (
    Published,
    blood_pressure,
    local_time,
    observation,
    publishes,
    singles,
)
from rpm_stream.publish.fhir.patients_and_devices import device_resource, patient_resource
from rpm_stream.records import DeviceEntry, PatientEntry, Reading


def parsed(published: Published | None) -> dict[str, Any]:
    assert published is not None
    body: dict[str, Any] = json.loads(published.body)
    return body


@given(st.from_regex(r"\A-?[0-9]{1,24}(\.[0-9]{1,24})?\Z"))
def test_any_value_of_the_contract_is_a_json_number_with_its_digits(value: str) -> None:
    published = observation(reading("glucose", value, "mg/dL"), shipped())
    assert published is not None
    written: list[str] = []
    json.loads(published.body, parse_float=written.append, parse_int=written.append)
    sign, digits = ("-", value[1:]) if value.startswith("-") else ("", value)
    whole, point, fraction = digits.partition(".")
    assert written == [sign + (whole.lstrip("0") or "0") + point + fraction]


def test_digits_of_the_sensor_are_kept() -> None:
    published = observation(reading("heart_rate", "72.0", "{beats}/min"), shipped())
    assert published is not None
    assert b'"value":72.0,"unit":"/min"' in published.body


def test_effective_is_a_date_time_never_a_period() -> None:
    """vs-1 of the validator fails on a Period."""
    body = parsed(observation(reading("heart_rate", "72", "/min"), shipped()))
    assert body["effectiveDateTime"] == "2026-03-01T09:00:00+02:00"
    assert not {"effectivePeriod", "effectiveInstant"} & set(body)


def test_pulse_oximetry_carries_both_codes() -> None:
    """59408-5 alone fails the profile, which demands 2708-6."""
    body = parsed(observation(reading("oxygen_saturation", "96", "%"), shipped()))
    assert [coding["code"] for coding in body["code"]["coding"]] == ["2708-6", "59408-5", "150456"]


@pytest.mark.parametrize(("present", "missing"), [("systolic", 1), ("diastolic", 0)])
def test_one_sided_blood_pressure_keeps_both_components(present: str, missing: int) -> None:
    body = parsed(observation(reading(present, "120", "mm[Hg]"), shipped()))
    assert [one["code"]["coding"][0]["code"] for one in body["component"]] == ["8480-6", "8462-4"]
    assert body["component"][missing]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    assert "valueQuantity" not in body["component"][missing]
    assert not {"valueQuantity", "dataAbsentReason"} & set(body)


@pytest.mark.parametrize("vital", ["heart_rate", "systolic", "glucose"])
def test_never_value_and_absent_reason_together(vital: str) -> None:
    """obs-6, and a Quantity without a value is an error: it must be left out whole."""
    unit = shipped().vitals[vital].unit
    body = parsed(observation(reading(vital, None, unit, absent="not-a-number"), shipped()))
    holder = body["component"][0] if vital == "systolic" else body
    assert holder["dataAbsentReason"]["coding"][0]["code"] == "not-a-number"
    assert "valueQuantity" not in holder


@pytest.mark.parametrize("vital", ["systolic", "diastolic", "mean_arterial"])
def test_a_blood_pressure_side_is_never_an_observation_of_its_own(vital: str) -> None:
    """8480-6 as its own Observation is treated as bp and fails."""
    body = parsed(observation(reading(vital, "90", "mm[Hg]"), shipped()))
    assert body["code"]["coding"][0]["code"] == "85354-9"
    assert "valueQuantity" not in body


def test_kilopascal_becomes_millimetres_of_mercury() -> None:
    published = observation(reading("systolic", "16.0", "kPa"), shipped())
    assert published is not None
    assert b'"value":120.01,"unit":"mm[Hg]"' in published.body


@pytest.mark.parametrize(("unit", "published_in"), [("[degF]", "[degF]"), ("Cel", "Cel")])
def test_temperature_stays_in_the_unit_of_the_device(unit: str, published_in: str) -> None:
    body = parsed(observation(reading("body_temperature", "98.6", unit), shipped()))
    assert (body["valueQuantity"]["code"], body["valueQuantity"]["value"]) == (published_in, 98.6)


def test_height_in_metres_is_published_in_centimetres() -> None:
    """The bodyheight profile binds cm and [in_i] only."""
    body = parsed(observation(reading("height", "1.75", "m"), shipped()))
    assert (body["valueQuantity"]["code"], body["valueQuantity"]["value"]) == ("cm", 175)


@dataclass(frozen=True)
class Kind:
    vital: str
    unit: str
    attributes: dict[str, Any]
    codes: list[str]


@pytest.mark.parametrize(
    "kind",
    [
        Kind("glucose", "mg/dL", {"type": "capillary_plasma"}, ["2339-0", "160188"]),
        Kind("glucose", "mmol/L", {"type": "isf"}, ["105272-9", "160212"]),
        Kind("body_temperature", "Cel", {"type": "ear"}, ["8310-5", "188428"]),
        Kind("body_temperature", "Cel", {"type": None}, ["8310-5", "150364"]),
        Kind("pulse_rate", "/min", {"characteristic": "2A5E"}, ["8867-4", "149530"]),
        Kind("pulse_rate", "/min", {"characteristic": ["2A5E"]}, ["8867-4", "149514"]),
    ],
    ids=lambda kind: f"{kind.vital}-{kind.codes[-1]}",
)
def test_sample_and_site_choose_the_code(kind: Kind) -> None:
    """A meter's interstitial sample must not be coded as blood; an odd attribute changes
    nothing.
    """
    fact = reading(kind.vital, "37", kind.unit, attributes=kind.attributes)
    body = parsed(observation(fact, shipped()))
    assert [coding["code"] for coding in body["code"]["coding"]] == kind.codes


@pytest.mark.parametrize(
    ("offset", "wanted"),
    [
        (None, "2026-03-01T07:00:00Z"),
        ("Z", "2026-03-01T07:00:00Z"),
        ("+00:00", "2026-03-01T07:00:00+00:00"),
        ("-05:30", "2026-03-01T01:30:00-05:30"),
        ("+14:00", "2026-03-01T21:00:00+14:00"),
        ("+14:30", "2026-03-01T07:00:00Z"),
    ],
)
def test_local_time_with_its_offset(offset: str | None, wanted: str) -> None:
    """FHIR has no offset beyond 14:00 and no time without one."""
    assert local_time(START, offset) == wanted


def test_local_time_at_the_end_of_the_calendar() -> None:
    assert local_time(datetime(9999, 12, 31, 23, tzinfo=UTC), "+02:00") == "9999-12-31T23:00:00Z"
    assert local_time(datetime(1, 1, 1, 1, tzinfo=UTC), "-02:00") == "0001-01-01T01:00:00Z"


def test_early_estimate_is_preliminary_and_doubt_is_marked() -> None:
    early = parsed(
        observation(reading("oxygen_saturation", "91", "%", flags=("early_estimate",)), shipped())
    )
    moved = parsed(
        blood_pressure([reading("systolic", "150", "mm[Hg]", flags=("body_movement",))], shipped())
    )
    plain = parsed(observation(reading("heart_rate", "72", "/min", flags=("query",)), shipped()))
    assert (early["status"], moved["status"], plain["status"]) == ("preliminary", "final", "final")
    assert moved["interpretation"][0]["coding"][0]["code"] == "questionable"
    assert moved["interpretation"][0]["text"] == "body movement"
    assert "interpretation" not in plain


def test_a_foreign_id_becomes_a_fhir_id_and_stays_in_identifier() -> None:
    fact = reading("heart_rate", "72", "/min", patient="ward 3/bed_2", device="AA:BB")
    body = parsed(observation(fact, shipped()))
    patient = patient_resource(
        PatientEntry(patient="ward 3/bed_2", display="Ada", born="1950-02-29")
    )
    device = device_resource(DeviceEntry(device="AA:BB", model="HRM 2"))
    assert body["subject"]["reference"] == f"Patient/{patient['id']}"
    assert body["device"]["reference"] == f"Device/{device['id']}"
    assert body["subject"]["identifier"] == patient["identifier"][0]
    assert patient["identifier"][0]["value"] == "ward 3/bed_2"
    assert device["identifier"][0]["value"] == "AA:BB"
    assert str(UUID(patient["id"])) == patient["id"]
    assert "birthDate" not in patient, "29 February 1950 is no date"


@pytest.mark.parametrize(
    ("born", "kept"),
    [
        ("1950", True),
        ("1950-02", True),
        ("1950-02-28", True),
        ("1950-13", False),
        ("0000", False),
        ("about 1950", False),
    ],
)
def test_only_a_date_is_a_birth_date(born: str, kept: bool) -> None:
    assert ("birthDate" in patient_resource(PatientEntry(patient="p", born=born))) is kept


@given(st.text(min_size=1))
def test_fhir_ids_are_legal_and_stable(text: str) -> None:
    made = fhir_id(text)
    assert 1 <= len(made) <= 64
    assert all(
        character.isascii() and (character.isalnum() or character in "-.") for character in made
    )
    assert fhir_id(text) == made == fhir_id(made)


def test_the_same_reading_gives_the_same_bytes_and_another_id_another_observation() -> None:
    first, second = (
        reading("heart_rate", "72", "/min"),
        reading("heart_rate", "72", "/min", seconds=1),
    )
    one, again, other = (observation(fact, shipped()) for fact in (first, first, second))
    assert one is not None and again is not None and other is not None
    assert one.body == again.body
    assert one.id == observation_id(first.id) != other.id
    assert json.loads(one.body)["id"] == one.id


def test_blood_pressure_takes_its_id_from_systolic_else_diastolic() -> None:
    systolic, diastolic = reading("systolic", "120", "mm[Hg]"), reading("diastolic", "80", "mm[Hg]")
    assert blood_pressure([diastolic, systolic], shipped()).id == observation_id(systolic.id)
    assert blood_pressure([diastolic], shipped()).id == observation_id(diastolic.id)


@pytest.mark.parametrize(
    "vitals", [[], ["systolic", "systolic"], ["heart_rate"], ["systolic", "heart_rate"]]
)
def test_a_panel_of_anything_else_is_refused(vitals: list[str]) -> None:
    with pytest.raises(ValueError, match="blood pressure"):
        blood_pressure([reading(vital, "90", "mm[Hg]") for vital in vitals], shipped())


def test_singles_join_a_cuffs_values_of_one_instant_and_no_others() -> None:
    facts: list[Reading] = [
        reading("systolic", "120", "mm[Hg]"),
        reading("diastolic", "80", "mm[Hg]"),
        reading("pulse_rate", "70", "/min"),
        reading("systolic", "130", "mm[Hg]", seconds=60),
        reading("diastolic", "85", "mm[Hg]", device="d-2"),
        reading("systolic", "99", "mm[Hg]", id="2f1d9e6c-7a64-5d53-8f4e-1a2b3c4d5e6f"),
        reading("systolic", "90", "mm[Hg]", seconds=90, flags=("test",)),
        reading("battery", "90", "%"),
    ]
    made = singles(facts, shipped())
    ids = [fact.id for fact in facts]
    assert [one.readings for one in made] == [
        (ids[2],),
        (ids[0], ids[1]),
        (ids[3],),
        (ids[4],),
        (ids[5],),
    ]


@dataclass(frozen=True)
class Case:
    vital: str
    characteristic: str
    policy: str
    value: str | None = "70"
    flags: tuple[str, ...] = ()


@pytest.mark.parametrize(
    "case",
    [
        Case("heart_rate", "2A37", "summary"),
        Case("heart_rate", "app", "single"),
        Case("heart_rate", "2A37", "none", value=None),
        Case("oxygen_saturation", "2A5F", "summary"),
        Case("oxygen_saturation", "2A5E", "single"),
        Case("oxygen_saturation", "2A5E", "single", value=None),
        Case("oxygen_saturation", "2A5E", "none", flags=("demo",)),
        Case("oxygen_saturation", "2A5F", "none", flags=("invalid", "questionable")),
        Case("oxygen_saturation", "2A5E", "single", flags=("questionable",)),
        Case("glucose_interstitial", "app", "summary"),
        Case("glucose", "2A18", "single", value=None),
        Case("weight", "2A9D", "single", value=None),
        Case("bmi", "2A9D", "single"),
        Case("bmi", "2A9D", "none", value=None),
        Case("rr_interval", "2A37", "none"),
        Case("battery", "2A19", "none"),
        Case("speed", "2A53", "none"),
        Case("cuff_pressure", "2A36", "none"),
    ],
    ids=lambda case: (
        f"{case.vital}-{case.characteristic}-{case.policy}-{case.value}-{'+'.join(case.flags)}"
    ),
)
def test_policy(case: Case) -> None:
    unit = shipped().vitals[case.vital].unit
    attributes = {"characteristic": case.characteristic}
    fact = reading(case.vital, case.value, unit, flags=case.flags, attributes=attributes)
    assert publishes(fact, shipped()) == case.policy


@pytest.mark.parametrize("vital", ["battery", "cadence", "impedance"])
def test_a_vital_without_a_code_is_no_observation(vital: str) -> None:
    assert observation(reading(vital, "70", shipped().vitals[vital].unit), shipped()) is None


def test_a_body_mass_index_without_a_value_is_no_observation() -> None:
    """Its profile demands a value, unlike every other."""
    assert observation(reading("bmi", None, "kg/m2"), shipped()) is None


def test_a_whole_day_later_everything_is_a_whole_day_later() -> None:
    """Law 4, ids apart."""
    body = parsed(observation(reading("heart_rate", "72", "/min"), shipped()))
    later = parsed(observation(reading("heart_rate", "72", "/min", seconds=86400), shipped()))
    for name in ("effectiveDateTime", "issued"):
        assert datetime.fromisoformat(later.pop(name)) - datetime.fromisoformat(
            body.pop(name)
        ) == timedelta(days=1)
    for one in (body, later):
        del one["id"], one["identifier"]
    assert body == later
