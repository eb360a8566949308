"""Law: what is written is read back whole, for every value that the wire has and every field on
or off.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.simulator.encode import gatt as gatt
from rpm_stream.app.simulator.encode import gatt_body as body
from rpm_stream.app.simulator.encode.numbers import FLOAT_SPECIAL, SFLOAT_SPECIAL, float32, sfloat
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.ingest.gatt.glucose import LOCATIONS, TYPES
from rpm_stream.ingest.gatt.glucose_context import (
    CARBOHYDRATES,
    HEALTH,
    MEALS,
    MEDICATIONS,
    TESTERS,
)
from rpm_stream.ingest.gatt.medfloat import float32_text, sfloat_text
from rpm_stream.ingest.gatt.temperature import TYPES as SITES
from rpm_stream.records import Payload

ABSENT = {
    "NaN": "not-a-number",
    "NRes": "error",
    "+INF": "positive-infinity",
    "-INF": "negative-infinity",
    "Reserved": "error",
}
RAW = st.one_of(st.integers(0, 0xFFFF), st.sampled_from(sorted(SFLOAT_SPECIAL.values())))
NUMBERS = RAW.map(sfloat_text)
MG_DL, MMOL_L = RAW.map(lambda raw: sfloat_text(raw, 5)), RAW.map(lambda raw: sfloat_text(raw, 3))
MILLIGRAMS = RAW.map(lambda raw: sfloat_text(raw, 6))
FLOATS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from(sorted(FLOAT_SPECIAL.values()))).map(
    float32_text
)
TIMES = st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(
    lambda at: at.replace(microsecond=0)
)
LATER = st.datetimes(datetime(1700, 1, 1), datetime(9000, 1, 1)).map(
    lambda at: at.replace(microsecond=0)
)
OCTET, WORD, TRIPLE, LONG = (st.integers(0, 2 ** (8 * size) - 1) for size in (1, 2, 3, 4))


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def said(text: str) -> tuple[str | None, str | None]:
    """Value and absence of a medfloat's text."""
    return (None, ABSENT[text]) if text in ABSENT else (text, None)


def found(payload: Payload) -> list[tuple[str, str | None, str | None]]:
    return [(reading.vital, reading.value, reading.absent) for reading in payload.readings]


def attributes(payload: Payload) -> dict[str, Any]:
    return payload.readings[0].attributes if payload.readings else payload.attributes


def user_of(user: int | None) -> object:
    return "unknown" if user == 255 else user


def test_every_sfloat() -> None:
    """All 65,536, the five that are no numbers among them, and as they are shifted for glucose."""
    for shift in (0, 5):
        for raw in range(0x10000):
            text = sfloat_text(raw, shift)
            assert sfloat_text(int.from_bytes(sfloat(text, -shift), "little"), shift) == text


@given(FLOATS)
def test_every_float(text: str) -> None:
    assert float32_text(int.from_bytes(float32(text), "little")) == text


@given(
    st.builds(
        gatt.HeartRate,
        rate=WORD,
        contact=st.sampled_from([None, True, False]),
        energy=optional(WORD),
        rr=st.lists(WORD, max_size=9).map(tuple),
    )
)
def test_heart_rate(x: gatt.HeartRate) -> None:
    payload = decode("2A37", gatt.heart_rate(x))
    expected = [("heart_rate", str(x.rate), None) if x.rate else ("heart_rate", None, "error")]
    if x.energy is not None:
        saturated = x.energy == 0xFFFF
        expected.append(
            (
                "energy_expended",
                None if saturated else str(x.energy),
                "error" if saturated else None,
            )
        )
    expected += [("rr_interval", f"{ticks * 1000 / 1024:.3f}", None) for ticks in x.rr]
    assert found(payload) == expected
    assert attributes(payload) == {
        "contact_supported": x.contact is not None,
        "contact_detected": x.contact,
    }


@given(
    st.builds(
        gatt.BloodPressure,
        systolic=NUMBERS,
        diastolic=NUMBERS,
        mean_arterial=NUMBERS,
        unit=st.sampled_from(["mm[Hg]", "kPa"]),
        time=optional(TIMES),
        pulse_rate=optional(NUMBERS),
        user=optional(OCTET),
        status=optional(WORD),
    )
)
def test_blood_pressure(x: gatt.BloodPressure) -> None:
    payload = decode("2A35", gatt.blood_pressure(x))
    texts = {"systolic": x.systolic, "diastolic": x.diastolic, "mean_arterial": x.mean_arterial}
    texts |= {} if x.pulse_rate is None else {"pulse_rate": x.pulse_rate}
    assert found(payload) == [(vital, *said(text)) for vital, text in texts.items()]
    assert {reading.unit for reading in payload.readings[:3]} == {x.unit}
    assert (payload.readings[0].device_time, attributes(payload).get("user_id")) == (
        x.time,
        user_of(x.user),
    )
    assert attributes(payload).get("status") == x.status


@given(
    st.builds(
        gatt.Temperature,
        value=FLOATS,
        unit=st.sampled_from(["Cel", "[degF]"]),
        time=optional(TIMES),
        site=optional(st.integers(1, 9)),
    )
)
def test_temperature(x: gatt.Temperature) -> None:
    payload = decode("2A1C", gatt.temperature(x))
    assert found(payload) == [("body_temperature", *said(x.value))]
    assert (payload.readings[0].unit, payload.readings[0].device_time) == (x.unit, x.time)
    assert attributes(payload) == ({} if x.site is None else {"type": SITES[x.site]})


@given(
    st.builds(
        gatt.Spot,
        oxygen_saturation=NUMBERS,
        pulse_rate=NUMBERS,
        time=optional(TIMES),
        measurement_status=optional(WORD),
        device_status=optional(TRIPLE),
        perfusion_index=optional(NUMBERS),
        clock_not_set=st.booleans(),
    )
)
def test_spot_check(x: gatt.Spot) -> None:
    payload = decode("2A5E", gatt.spot(x))
    texts = {"oxygen_saturation": x.oxygen_saturation, "pulse_rate": x.pulse_rate}
    texts |= {} if x.perfusion_index is None else {"perfusion_index": x.perfusion_index}
    assert found(payload) == [(vital, *said(text)) for vital, text in texts.items()]
    got = attributes(payload)
    assert (got.get("measurement_status"), got.get("device_status")) == (
        x.measurement_status,
        x.device_status,
    )
    assert (payload.readings[0].device_time, got["clock_not_set"]) == (x.time, x.clock_not_set)


@given(
    st.builds(
        gatt.Continuous,
        normal=st.tuples(NUMBERS, NUMBERS),
        fast=optional(st.tuples(NUMBERS, NUMBERS)),
        slow=optional(st.tuples(NUMBERS, NUMBERS)),
        measurement_status=optional(WORD),
        device_status=optional(TRIPLE),
        perfusion_index=optional(NUMBERS),
    )
)
def test_continuous(x: gatt.Continuous) -> None:
    payload = decode("2A5F", gatt.continuous(x))
    texts = dict(zip(("oxygen_saturation", "pulse_rate"), x.normal, strict=True))
    texts |= {} if x.perfusion_index is None else {"perfusion_index": x.perfusion_index}
    assert found(payload) == [(vital, *said(text)) for vital, text in texts.items()]
    got = attributes(payload)
    assert (got.get("spo2_fast"), got.get("pulse_fast")) == (x.fast or (None, None))
    assert (got.get("spo2_slow"), got.get("pulse_slow")) == (x.slow or (None, None))
    assert (got.get("measurement_status"), got.get("device_status")) == (
        x.measurement_status,
        x.device_status,
    )


@given(st.data(), st.booleans())
def test_glucose(data: st.DataObject, molar: bool) -> None:
    x = data.draw(
        st.builds(
            gatt.Glucose,
            sequence=WORD,
            base_time=LATER,
            value=optional(MMOL_L if molar else MG_DL),
            unit=st.just("mmol/L" if molar else "mg/dL"),
            offset_minutes=optional(st.integers(-32768, 32767)),
            sample=st.sampled_from(sorted(TYPES)),
            site=st.sampled_from(sorted(LOCATIONS)),
            status=optional(WORD),
            context_follows=st.booleans(),
        )
    )
    payload = decode("2A18", gatt.glucose(x))
    got = attributes(payload)
    if x.value is not None:
        assert found(payload) == [("glucose", *said(x.value))]
        assert payload.readings[0].unit == x.unit
        assert (got["type"], got["location"]) == (TYPES[x.sample], LOCATIONS[x.site])
    else:  # HI and LO have no number, but are a reading
        assert found(payload) == ([("glucose", None, "error")] if (x.status or 0) & 0x60 else [])
    assert (
        got["sequence"],
        got.get("time_offset_min"),
        got.get("status"),
        got["context_follows"],
    ) == (
        x.sequence,
        x.offset_minutes,
        x.status,
        x.context_follows,
    )


@given(st.data(), st.booleans())
def test_glucose_context(data: st.DataObject, litres: bool) -> None:
    grams = MMOL_L  # the same shift
    x = data.draw(
        st.builds(
            gatt.GlucoseContext,
            sequence=WORD,
            extended=optional(OCTET),
            carbohydrate=optional(st.tuples(st.sampled_from(sorted(CARBOHYDRATES)), grams)),
            meal=optional(st.sampled_from(sorted(MEALS))),
            person=optional(
                st.tuples(st.sampled_from(sorted(TESTERS)), st.sampled_from(sorted(HEALTH)))
            ),
            exercise=optional(st.tuples(WORD, st.integers(0, 100))),
            medication=optional(
                st.tuples(st.sampled_from(sorted(MEDICATIONS)), grams if litres else MILLIGRAMS)
            ),
            medication_unit=st.just("mL" if litres else "mg"),
            hba1c=optional(NUMBERS),
        )
    )
    expected: dict[str, Any] = {
        "sequence": x.sequence,
        "extended_flags": x.extended,
        "hba1c_pct": x.hba1c,
    }
    if x.carbohydrate is not None:
        expected |= {"carb": CARBOHYDRATES[x.carbohydrate[0]], "carb_g": x.carbohydrate[1]}
    if x.meal is not None:
        expected["meal"] = MEALS[x.meal]
    if x.person is not None:
        expected |= {"tester": TESTERS[x.person[0]], "health": HEALTH[x.person[1]]}
    if x.exercise is not None:
        seconds, percent = x.exercise
        expected |= {
            "exercise_s": "overrun" if seconds == 0xFFFF else seconds,
            "exercise_pct": percent,
        }
    if x.medication is not None:
        expected |= {
            "medication": MEDICATIONS[x.medication[0]],
            "med_ml" if litres else "med_mg": x.medication[1],
        }
    got = decode("2A34", gatt.glucose_context(x)).attributes
    assert got == {name: each for name, each in expected.items() if each is not None}


CGM = st.builds(
    gatt.CgmRecord,
    glucose=NUMBERS,
    offset_minutes=WORD,
    status=optional(TRIPLE),
    trend=optional(NUMBERS),
    quality=optional(NUMBERS),
    crc=st.booleans(),
)


@given(st.lists(CGM, min_size=1, max_size=5).map(tuple))
def test_cgm(records: tuple[gatt.CgmRecord, ...]) -> None:
    payload = decode("2AA7", gatt.cgm(records))
    assert found(payload) == [("glucose_interstitial", *said(x.glucose)) for x in records]
    for reading, x in zip(payload.readings, records, strict=True):
        got = reading.attributes
        assert (got["time_offset_min"], got.get("status")) == (x.offset_minutes, x.status or None)
        assert (got.get("trend_mg_dl_min"), got.get("quality_pct"), "crc" in got) == (
            x.trend,
            x.quality,
            x.crc,
        )


@given(
    st.builds(
        gatt.SessionStart,
        time=TIMES,
        zone_quarters=st.integers(-48, 56) | st.just(-128),
        dst=st.sampled_from([0, 2, 4, 8, 255]),
        crc=st.booleans(),
    )
)
def test_session_start(x: gatt.SessionStart) -> None:
    got = decode("2AAA", gatt.session_start(x)).attributes
    assert got["start"] == list(x.time.timetuple()[:6])
    assert got["tz_min"] == (None if x.zone_quarters == -128 else x.zone_quarters * 15)
    assert (got["dst_min"], "crc" in got) == (None if x.dst == 255 else x.dst * 15, x.crc)


def metric(steps: int, imperial: bool) -> str:
    return (
        f"{steps // 100}.{steps % 100:02}"
        if imperial
        else f"{steps * 5 // 1000}.{steps * 5 % 1000:03}"
    )


def height(steps: int, imperial: bool) -> str:
    return f"{steps // 10}.{steps % 10}" if imperial else f"{steps // 1000}.{steps % 1000:03}"


def tenths(steps: int) -> str:
    return f"{steps // 10}.{steps % 10}"


def weight_found(steps: int, imperial: bool) -> tuple[str, str | None, str | None]:
    return (
        ("weight", None, "error")
        if steps == body.UNSUCCESSFUL
        else ("weight", metric(steps, imperial), None)
    )


SOMETIMES_NONE = WORD | st.just(body.UNSUCCESSFUL)


@given(
    st.builds(
        body.WeightSteps,
        weight=SOMETIMES_NONE,
        imperial=st.booleans(),
        time=optional(TIMES),
        user=optional(OCTET),
        body=optional(st.tuples(WORD, WORD)),
    )
)
def test_weight(x: body.WeightSteps) -> None:
    payload = decode("2A9D", body.weight_steps(x))
    expected = [weight_found(x.weight, x.imperial)]
    if x.body is not None:
        expected += [
            ("bmi", tenths(x.body[0]), None),
            ("height", height(x.body[1], x.imperial), None),
        ]
    assert found(payload) == expected
    assert payload.readings[0].unit == ("[lb_av]" if x.imperial else "kg")
    assert (payload.readings[0].device_time, attributes(payload).get("user_id")) == (
        x.time,
        user_of(x.user),
    )


WORDS = "metabolism muscle muscle_mass fat_free soft_lean water impedance height".split()


@given(
    st.builds(
        body.BodyComposition,
        fat=SOMETIMES_NONE,
        imperial=st.booleans(),
        time=optional(TIMES),
        user=optional(OCTET),
        weight=optional(SOMETIMES_NONE),
        more=st.booleans(),
        **{name: optional(WORD) for name in WORDS},
    )
)
def test_body_composition(x: body.BodyComposition) -> None:
    payload = decode("2A9C", body.body_composition(x))
    expected: list[tuple[str, str | None, str | None]] = [
        ("body_fat", None, "error")
        if x.fat == body.UNSUCCESSFUL
        else ("body_fat", tenths(x.fat), None)
    ]
    if x.impedance is not None:
        expected.append(("impedance", tenths(x.impedance), None))
    if x.weight is not None:
        expected.append(weight_found(x.weight, x.imperial))
    if x.height is not None:
        expected.append(("height", height(x.height, x.imperial), None))
    assert found(payload) == expected
    got = attributes(payload)
    assert (got.get("bmr_kj"), got.get("more_packets", False)) == (x.metabolism, x.more)
    assert got.get("muscle_pct") == (None if x.muscle is None else tenths(x.muscle))
    for name, steps in (
        ("muscle_mass", x.muscle_mass),
        ("fat_free_mass", x.fat_free),
        ("soft_lean_mass", x.soft_lean),
        ("water_mass", x.water),
    ):
        key = f"{name}_{'lb' if x.imperial else 'kg'}"
        assert got.get(key) == (None if steps is None else metric(steps, x.imperial))
    assert (payload.readings[0].device_time, got.get("user_id")) == (x.time, user_of(x.user))


@given(
    st.builds(
        body.Running,
        speed=WORD,
        cadence=OCTET,
        stride=optional(WORD),
        distance=optional(LONG),
        running=st.booleans(),
    )
)
def test_running(x: body.Running) -> None:
    payload = decode("2A53", body.running(x))
    (speed, cadence), got = payload.readings, attributes(payload)
    assert (float(speed.value or "nan"), cadence.value) == (x.speed / 256, str(x.cadence))
    assert (got.get("stride_cm"), got["running"]) == (x.stride, x.running)
    assert got.get("distance_m") == (None if x.distance is None else tenths(x.distance))


def test_every_battery_level() -> None:
    assert [found(decode("2A19", gatt.battery(level))) for level in range(101)] == [
        [("battery", str(level), None)] for level in range(101)
    ]
