"""FHIR Observations as input: what we publish comes back the same; codes, units, times and whom
they name.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, worn
from support.paths import repository
from support.readings import reading_at

from rpm_stream.ingest.fhir.codes import codes_of
from rpm_stream.ingest.fhir.observation import Observed, decode_observation
from rpm_stream.ingest.gatt.decoders import DecodeError
from rpm_stream.knowledge import shipped
from rpm_stream.normalise.placement import offset_text
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.frame_output import parts_of
from rpm_stream.pipeline.ingest import FrameMessage, Ingest, Ingested
from rpm_stream.publish.fhir.codes import BLOOD_PRESSURE, published_unit
from rpm_stream.publish.fhir.observation import observation
from rpm_stream.publish.numbers import converted
from rpm_stream.records import Position, Reading

LOINC, MDC, UCUM = "http://loinc.org", "urn:iso:std:iso:11073:10101", "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
AT = "2026-03-01T09:00:00+01:00"  # START
TABLES = shipped()
CODES = codes_of(TABLES)
CODED = sorted(name for name, row in TABLES.vitals.items() if row.loinc)
VITAL_AND_UNIT = [(name, unit) for name in CODED for unit in TABLES.vitals[name].units]


def concept(*codes: tuple[str, str]) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for system, code in codes]}


def quantity(value: Any, unit: str, **fields: Any) -> dict[str, Any]:
    return {"value": value, "unit": "as people say it", "system": UCUM, "code": unit, **fields}


def resource(**fields: Any) -> dict[str, Any]:
    """A heart rate of 72; a field that is None is left out."""
    whole = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept((LOINC, "8867-4")),
        "effectiveDateTime": AT,
        "valueQuantity": quantity(72, "/min"),
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def read(**fields: Any) -> Observed:
    return decode_observation(json.dumps(resource(**fields)).encode(), CODES)


def values(**fields: Any) -> list[tuple[str, str | None, str]]:
    return [(one.vital, one.value, one.unit) for one in read(**fields).payload.readings]


def refused(**fields: Any) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        read(**fields)
    return caught.value.reason, caught.value.detail


class Bench:
    """The ingest of device ``d``, worn by ``patient``."""

    def __init__(self, patient: str = "p") -> None:
        self.ingest = Ingest(TABLES, registry_of([worn(patient)]), recorded_time=True)
        self.state = DeviceState()
        self.seq = 0

    def step(self, *resources: Any) -> Ingested:
        self.seq += 1
        body = {
            **frame([measurement(0, "weight", "1")], 0, seq=self.seq),
            "resources": list(resources),
        }
        del body["measurements"]
        position = Position(topic="rpm.frames", partition=0, offset=self.seq)
        value = json.dumps(body).encode()
        return self.ingest.step(
            self.state, FrameMessage(key="d", value=value, position=position, received_at=START)
        )


def readings(done: Ingested) -> list[Reading]:
    return [reading for message in done.readings for reading in message.readings]


def reasons(done: Ingested) -> list[str]:
    return [reject.reason for reject in done.rejects]


# --- what we publish, taken in again --------------------------------------------------------------

numbers = st.builds(
    lambda whole, part: str(whole) + ("" if part is None else f".{part}"),
    st.integers(0, 99_999),
    st.none() | st.text("0123456789", min_size=1, max_size=4),
)
offsets = st.none() | st.integers(-12 * 60, 14 * 60).map(offset_text)
times = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def published(
    vital: str, unit: str, value: str | None, at: datetime, utc_offset: str | None
) -> bytes:
    reading = reading_at(
        at,
        vital,
        value,
        id="r-1",
        patient="p_1",
        device="d-1",
        unit=unit,
        utc_offset=utc_offset,
        absent=None if value else "error",
        attributes={"characteristic": "app"},
    )
    found = observation(reading, TABLES)
    assert found is not None
    return found.body


@given(st.sampled_from(VITAL_AND_UNIT), numbers, times, offsets)
def test_what_is_published_comes_back(
    kind: tuple[str, str], value: str, at: datetime, utc_offset: str | None
) -> None:
    """Vital, digits, unit (the profile's, where it fixes one), time and offset, for every vital
    with a LOINC code.
    """
    vital, unit = kind
    body = published(vital, unit, value, at, utc_offset)
    found = decode_observation(body, CODES)
    to = "mm[Hg]" if vital in BLOOD_PRESSURE else published_unit(TABLES.vitals[vital], unit)
    said = [
        (one.vital, one.value, one.unit) for one in found.payload.readings if one.value is not None
    ]
    assert said == [(vital, converted(value, unit, to, TABLES), to)]
    assert (found.at, found.utc_offset) == (at, utc_offset or "Z")
    assert "p_1" in found.subject


@pytest.mark.parametrize("vital", [name for name in CODED if TABLES.vitals[name].profile != "bmi"])
def test_an_absent_value_comes_back_with_its_reason(vital: str) -> None:
    for unit in (TABLES.vitals[vital].unit, *TABLES.vitals[vital].loinc_by_unit):
        body = published(vital, unit, None, START, None)
        (found,) = [
            one for one in decode_observation(body, CODES).payload.readings if one.vital == vital
        ]
        assert (found.value, found.absent, found.unit) == (None, "error", unit)


MEANING = {
    "15074-8": "Glucose [Moles/volume] in Blood",
    "105272-9": "Glucose [Moles/volume] in Interstitial fluid",
}

# --- codes and units ------------------------------------------------------------------------------


@pytest.mark.parametrize(("vital", "unit"), VITAL_AND_UNIT)
def test_every_unit_of_every_vital_is_taken_as_written(vital: str, unit: str) -> None:
    found = TABLES.vitals[vital]
    loinc = found.loinc_by_unit.get(unit, found.loinc)
    code = concept((LOINC, loinc[0][0]), *([(MDC, row[0])] if (row := found.mdc) else []))
    assert values(code=code, valueQuantity=quantity(5, unit)) == [(vital, "5", unit)]


@pytest.mark.parametrize(
    ("codes", "vital"),
    [
        ([(LOINC, "8867-4")], "heart_rate"),
        ([(LOINC, "8867-4"), (MDC, "149514")], "pulse_rate"),
        ([(MDC, "149530"), (LOINC, "8867-4")], "pulse_rate"),
        ([("http://snomed.info/sct", "364075005"), (LOINC, "40443-4")], "heart_rate"),
        ([(LOINC, "59408-5")], "oxygen_saturation"),
        ([(MDC, "188424")], "body_temperature"),
        ([(LOINC, "15074-8")], "glucose"),
        ([(LOINC, "105272-9")], "glucose_interstitial"),
        ([(LOINC, "3141-9")], "weight"),
    ],
)
def test_codes(codes: list[tuple[str, str]], vital: str) -> None:
    quantity = {
        **resource()["valueQuantity"],
        "code": "mmol/L" if "Moles" in MEANING.get(codes[0][1], "") else "/min",
    }
    assert [one for one, _, _ in values(code=concept(*codes), valueQuantity=quantity)] == [vital]


def test_an_unknown_code_is_refused_by_name() -> None:
    reason, detail = refused(
        code=concept((LOINC, "8884-9"), (MDC, "151688"), ("urn:hospital", "Jane Doe"))
    )
    assert reason == "unknown_vital"
    assert "LOINC 8884-9" in detail and "MDC 151688" in detail and "Jane" not in detail
    assert refused(code=concept((LOINC, "Jane Doe")))[1] == "no vital for 1 other code"
    assert refused(code={"text": "Heart rate"})[0] == "unknown_vital"


def test_codes_that_contradict_each_other_are_no_vital() -> None:
    reason, detail = refused(code=concept((LOINC, "29463-7"), (LOINC, "8302-2")))
    assert reason == "bad_schema" and "29463-7" in detail


def test_a_unit_needs_its_ucum_code() -> None:
    """Law 10: the text beside it is for people."""
    assert refused(valueQuantity={"value": 72, "unit": "/min"})[0] == "unknown_unit"
    assert refused(valueQuantity={"value": 72, "unit": "/min", "code": "/min"})[0] == "unknown_unit"
    assert refused(valueQuantity=quantity(72, "264864", system=MDC))[0] == "unknown_unit"
    (reject,) = Bench().step(resource(valueQuantity=quantity(72, "kg"))).rejects
    assert (
        reject.reason == "unknown_unit"
        and "heart_rate" in reject.detail
        and "'kg'" in reject.detail
    )
    (reject,) = Bench().step(resource(valueQuantity=quantity(72, "mg/dl"))).rejects
    assert "'mg/dl'" in reject.detail, "as it was sent, not as it is spelt here"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72.0", "72.0"),
        ("72.00", "72.00"),
        ("1.20e2", "120"),
        ("5E-1", "0.5"),
        ("0.10000000000000001", None),
    ],
)
def test_digits_are_kept(text: str, value: str | None) -> None:
    body = json.dumps(resource()).replace('"value": 72', f'"value": {text}').encode()
    assert decode_observation(body, CODES).payload.readings[0].value == (value or text)


@pytest.mark.parametrize("value", ["72", True, [72], 10**30, 1e200, 1e-60])
def test_what_is_no_number_of_a_sensor_is_refused(value: Any) -> None:
    assert refused(valueQuantity=quantity(value, "/min"))[0] == "bad_schema"


# --- parts, absence, the ends of a scale ----------------------------------------------------------

PANEL = {"code": concept((LOINC, "85354-9"), (MDC, "150020")), "valueQuantity": None}


def component(code: str, **fields: Any) -> dict[str, Any]:
    return {"code": concept((LOINC, code)), **fields}


def pressures(systolic: int, diastolic: int) -> list[dict[str, Any]]:
    return [
        component("8867-4", valueQuantity=quantity(70, "/min")),
        component("8480-6", valueQuantity=quantity(systolic, "mm[Hg]")),
        component("8462-4", valueQuantity=quantity(diastolic, "mm[Hg]")),
    ]


def test_the_components_of_a_panel_in_their_order() -> None:
    done = Bench().step(resource(**PANEL, component=pressures(120, 80)))
    parts = {one.origin.part: (one.vital, one.value) for one in readings(done)}
    assert parts == {0: ("heart_rate", "70"), 1: ("systolic", "120"), 2: ("diastolic", "80")}


def test_pressures_that_no_cuff_measures_are_refused_and_the_pulse_taken() -> None:
    done = Bench().step(resource(**PANEL, component=pressures(80, 120)))
    assert reasons(done) == ["implausible"] * 2
    assert [one.vital for one in readings(done)] == ["heart_rate"]


def test_a_component_of_an_unknown_code_is_refused_alone() -> None:
    flow = component("8884-9", valueQuantity=quantity(2, "L/min"))
    posture = component("8361-8", valueCodeableConcept={"text": "sitting"})
    done = Bench().step(resource(component=[flow, posture]))
    assert [one.vital for one in readings(done)] == ["heart_rate"]
    assert [(one.reason, "LOINC 8884-9" in one.detail) for one in done.rejects] == [
        ("unknown_vital", True)
    ]
    assert done.account.parts == 2


def test_a_panel_without_a_known_component_is_refused_by_name() -> None:
    assert (
        refused(**PANEL, component=[component("8884-9", valueQuantity=quantity(2, "L/min"))])[0]
        == "unknown_vital"
    )
    assert refused(**PANEL)[0] == "unknown_vital"


GLUCOSE = concept((LOINC, "2339-0"))


@pytest.mark.parametrize(
    "fields",
    [
        {"valueQuantity": quantity(20, "mg/dL", comparator="<")},
        {"valueQuantity": None, "valueString": "LO"},
        {
            "valueQuantity": None,
            "dataAbsentReason": concept((ABSENT, "error")),
            "interpretation": [concept((INTERPRETATION, "LL"))],
        },
        {"valueQuantity": None, "dataAbsentReason": concept((ABSENT, "negative-infinity"))},
    ],
)
def test_a_meter_that_shows_lo(fields: dict[str, Any]) -> None:
    (found,) = read(code=GLUCOSE, **fields).payload.readings
    assert (found.value, found.absent) == (None, "negative-infinity")


def test_a_comparator_of_another_vital_keeps_the_number() -> None:
    """An oximeter's "below 85" is judged as 85: no number would be no alert."""
    code, below = concept((LOINC, "2708-6")), quantity(85, "%", comparator="<")
    (found,) = read(code=code, valueQuantity=below).payload.readings
    assert (found.value, found.flags) == ("85", ("result_too_low",))
    assert refused(valueQuantity=quantity(72, "/min", comparator="ca"))[0] == "bad_schema"


def test_value_and_absence_exclude_each_other() -> None:
    reason = concept((ABSENT, "asked-declined"))
    assert read(valueQuantity=None, dataAbsentReason=reason).payload.readings[0].absent == "unknown"
    assert refused(dataAbsentReason=reason)[0] == "bad_schema"
    assert refused(valueQuantity=None)[0] == "bad_schema"
    assert refused(valueQuantity=None, valueString="fine")[0] == "bad_schema"


def test_doubt_and_test_data_are_flagged() -> None:
    status = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"
    doubted = read(status="preliminary", interpretation=[concept((status, "questionable"))])
    assert doubted.payload.readings[0].flags == ("early_estimate", "questionable")
    assert read(meta={"security": [{"code": "HTEST"}]}).payload.readings[0].flags == ("test",)


# --- status, time, whose --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["entered-in-error", "cancelled", "registered", "finished", None]
)
def test_a_status_without_a_statement_is_refused(status: str | None) -> None:
    (reject,) = Bench().step(resource(status=status)).rejects
    assert reject.reason == "bad_schema" and "status" in reject.detail


@pytest.mark.parametrize(
    "fields",
    [
        {"effectiveDateTime": None},
        {"effectiveDateTime": "2026-03-01"},
        {"effectiveDateTime": "2026-03-01T09:00:00"},
        {"effectiveDateTime": "2026-02-30T09:00:00Z"},
        {"effectiveDateTime": "2026-03-01T09:00:00+19:00"},
        {"effectiveInstant": AT},
        {"effectiveDateTime": None, "effectivePeriod": {"start": AT}},
        {"resourceType": "Bundle"},
        {"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]},
        {"subject": {"reference": "Device/d-9"}},
    ],
)
def test_what_states_nothing_of_a_person_at_a_time_is_refused(fields: dict[str, Any]) -> None:
    assert refused(**fields)[0] == "bad_schema"


@pytest.mark.parametrize(
    "fields",
    [
        {"effectiveDateTime": AT},
        {"effectiveDateTime": None, "effectiveInstant": AT},
        {"effectiveDateTime": None, "effectivePeriod": {"start": "2026-02-01", "end": AT}},
    ],
)
def test_the_effective_time_is_the_time_of_measurement_and_its_offset_is_kept(
    fields: dict[str, Any],
) -> None:
    (found,) = readings(Bench().step(resource(**fields)))
    assert (found.measured_at, found.utc_offset, found.flags) == (START, "+01:00", ())


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ({"reference": "Patient/p"}, None),
        ({"reference": "https://ehr.example.org/fhir/Patient/p/_history/2"}, None),
        ({"reference": "Patient/4711", "identifier": {"value": "p"}}, None),
        ({"reference": "urn:uuid:6d1f2c9e-0000-4000-8000-000000000000"}, None),
        ({"display": "somebody"}, None),
        ({"reference": "Patient/other"}, "identity_conflict"),
        (
            {"identifier": {"system": "urn:rpm-stream:patient", "value": "other"}},
            "identity_conflict",
        ),
    ],
)
def test_the_registry_says_whose_it_is_and_a_subject_may_only_contradict(
    subject: dict[str, Any], reason: str | None
) -> None:
    done = Bench().step(resource(subject=subject))
    assert reasons(done) == ([reason] if reason else [])
    assert [one.patient for one in readings(done)] == ([] if reason else ["p"])
    assert all("other" not in reject.detail for reject in done.rejects)


def test_our_own_reference_to_a_patient_whose_id_is_no_fhir_id() -> None:
    body = json.loads(published("heart_rate", "/min", "72", START, None))
    del body["subject"]["identifier"]
    assert len(readings(Bench("p_1").step(body))) == 1


# --- identity -------------------------------------------------------------------------------------


def test_a_resource_sent_again_is_a_duplicate_and_a_corrected_one_is_not() -> None:
    bench = Bench()
    named = {"identifier": [{"system": "urn:lab", "value": "a-1"}]}
    assert bench.step(resource(**named)).account.readings == 1
    assert bench.step(resource(**named, issued=AT)).account.duplicates == 1
    assert (
        bench.step(resource(identifier=[{"system": "urn:lab", "value": "a-2"}])).account.readings
        == 1
    )
    corrected = bench.step(
        resource(**named, status="corrected", valueQuantity=quantity(172, "/min"))
    )
    assert [one.value for one in readings(corrected)] == ["172"]


def test_without_a_name_time_and_content_identify_it() -> None:
    bench = Bench()
    account = bench.step(resource(), resource()).account
    assert (account.readings, account.duplicates) == (1, 1)
    assert bench.step(resource(text={"div": "other words"})).account.duplicates == 1


def test_every_resource_of_the_examples_is_taken() -> None:
    folder = repository("topics", "01-frames", "pass")
    found = [
        json.loads(path.read_bytes()).get("resources") for path in sorted(folder.glob("*.json"))
    ]
    examples = [one for resources in found for one in resources or ()]
    assert len(examples) >= 5
    for one in examples:
        assert decode_observation(json.dumps(one).encode(), CODES).payload.readings


# --- law 7 ----------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(
                    {
                        *resource(),
                        "component",
                        "coding",
                        "system",
                        "value",
                        "comparator",
                        "subject",
                        "reference",
                        "identifier",
                        "id",
                        "interpretation",
                        "dataAbsentReason",
                        "valueString",
                        "effectivePeriod",
                        "end",
                        "meta",
                        "security",
                    }
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
fields_of_any_kind = st.dictionaries(
    st.sampled_from(
        [
            "code",
            "valueQuantity",
            "component",
            "subject",
            "identifier",
            "id",
            "status",
            "effectiveDateTime",
            "interpretation",
            "dataAbsentReason",
            "meta",
            "effectivePeriod",
            "valueString",
            "resourceType",
        ]
    ),
    anything,
    max_size=3,
)


@given(
    st.lists(
        anything | fields_of_any_kind.map(lambda fields: resource(**fields)), min_size=1, max_size=3
    )
)
def test_any_json_gives_readings_or_rejects(resources: list[Any]) -> None:
    """Laws 1 and 7: nothing else comes out, and the books balance."""
    done = Bench().step(*resources)
    assert "internal_error" not in reasons(done)
    account = done.account
    assert account.readings == len(readings(done))
    assert (
        account.parts
        == account.readings + account.duplicates + sum(map(parts_of, done.rejects))
        >= len(resources)
    )
    msgspec.json.encode(done)  # whatever came in, all that goes out can be written
