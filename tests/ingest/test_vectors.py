"""The shared GATT vectors: each whole, cut at every octet, and with a tail.

The names of the vectors are mapped to ours one by one here, so that neither side can drift unseen.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from support.paths import shared_data

from rpm_stream.ingest.gatt.decoders import DecodeError, decode
from rpm_stream.records import Decoded, Payload

FILE = shared_data("gatt", "vectors.jsonl")
VECTORS: list[dict[str, Any]] = (
    [json.loads(line) for line in FILE.read_text("utf-8").splitlines()] if FILE.exists() else []
)
GOOD = [vector for vector in VECTORS if "expect" in vector]
BAD = [vector for vector in VECTORS if "expect_error" in vector]
# Refused in the vectors for a reserved code that only describes the value: the value is kept
# without it (ingest/gatt/notes.py, describe), as two of the three libraries that were asked do.
DESCRIBED: dict[str, tuple[str, dict[str, Any]]] = {
    "g060": ("36.4", {"type": None, "type_code": 10})
}
needs_vectors = pytest.mark.skipif(
    not VECTORS, reason="shared/data/gatt/vectors.jsonl is not there (set RPM_SHARED)"
)

# name in the vectors: our vital, its unit (None: the vector's "unit")
VALUES: dict[str, tuple[str, str | None]] = {
    "hr_bpm": ("heart_rate", "/min"),
    "energy_kj": ("energy_expended", "kJ"),
    "systolic": ("systolic", None),
    "diastolic": ("diastolic", None),
    "map": ("mean_arterial", None),
    "cuff_pressure": ("cuff_pressure", None),
    "pulse_bpm": ("pulse_rate", "/min"),
    "temperature": ("body_temperature", None),
    "spo2": ("oxygen_saturation", "%"),
    "mg_dl": ("glucose", "mg/dL"),
    "mmol_l": ("glucose", "mmol/L"),
    "weight": ("weight", None),
    "percent": ("battery", "%"),
    "speed_m_s": ("speed", "m/s"),
    "cadence_per_min": ("cadence", "/min"),
}
UNITS = {
    "mmHg": "mm[Hg]",
    "degC": "Cel",
    "degF": "[degF]",
    "kg": "kg",
    "MDC_DIM_DEGC": "Cel",
    "MDC_DIM_MMHG": "mm[Hg]",
    "MDC_DIM_PERCENT": "%",
}
ABSENT = {
    "NaN": "not-a-number",
    "+INF": "positive-infinity",
    "-INF": "negative-infinity",
    "NRes": "error",
    "Reserved": "error",
    "unsuccessful": "error",
}
MDC_VITALS = {
    188424: "body_temperature",
    150021: "systolic",
    150022: "diastolic",
    150023: "mean_arterial",
    150456: "oxygen_saturation",
}


def payload_of(vector: dict[str, Any], octets: bytes | None = None) -> Payload:
    return decode(
        vector["characteristic"], bytes.fromhex(vector["hex"]) if octets is None else octets
    )


def ids(vector: dict[str, Any]) -> str:
    return f"{vector['id']}-{vector['characteristic']}"


def check_value(reading: Decoded, wanted: object, unit: str) -> None:
    assert reading.unit == unit
    if isinstance(wanted, str):
        assert (reading.value, reading.absent) == (None, ABSENT[wanted])
    else:
        assert reading.value is not None and reading.absent is None
        assert Decimal(reading.value) == Decimal(str(wanted))


def check_attribute(attributes: dict[str, Any], name: str, wanted: object) -> None:
    assert name in attributes
    found = attributes[name]
    if isinstance(found, str) and isinstance(wanted, int | float):
        assert Decimal(found) == Decimal(str(wanted))
    else:
        assert found == wanted


def check_observation(payload: Payload, expect: dict[str, Any]) -> None:
    """2B8B: one value, or components."""
    values = expect.get("components", [expect])
    assert len(payload.readings) == len(values)
    for reading, wanted in zip(payload.readings, values, strict=True):
        assert reading.vital == MDC_VITALS[wanted["type"]]
        check_value(reading, wanted["value"], UNITS[wanted["unit"]])
        for name in expect.keys() - {"components", "unit", "value"}:
            check_attribute(reading.attributes, name, expect[name])


def check_fields(
    readings: list[Decoded], attributes: dict[str, Any], expect: dict[str, Any], glucose: str
) -> None:
    unmatched = {reading.part for reading in readings}
    for name, wanted in expect.items():
        if name in VALUES:
            vital, unit = VALUES[name]
            vital = glucose if vital == "glucose" else vital
            (reading,) = (reading for reading in readings if reading.vital == vital)
            check_value(reading, wanted, unit or UNITS[expect["unit"]])
            unmatched.remove(reading.part)
        elif name == "rr_ms":
            intervals = [reading for reading in readings if reading.vital == "rr_interval"]
            assert [reading.value for reading in intervals] == [
                f"{interval:.3f}" for interval in wanted
            ]
            unmatched -= {reading.part for reading in intervals}
        elif name == "timestamp" and None not in wanted:
            assert {reading.device_time for reading in readings} == {datetime(*wanted)}
        elif name not in ("unit", "rr_1024"):
            check_attribute(attributes, name, wanted)
    assert not unmatched


def check(payload: Payload, vector: dict[str, Any]) -> None:
    expect = vector["expect"]
    assert [reading.part for reading in payload.readings] == list(range(len(payload.readings)))
    if vector["characteristic"] == "2B8B":
        check_observation(payload, expect)
    elif "records" in expect:
        assert len(payload.readings) == len(expect["records"])
        for reading, record in zip(payload.readings, expect["records"], strict=True):
            check_fields([reading], reading.attributes, record, "glucose_interstitial")
            assert "crc" in record or "crc" not in reading.attributes
    else:
        attributes = payload.readings[0].attributes if payload.readings else payload.attributes
        check_fields(list(payload.readings), attributes, expect, "glucose")
        for name in (
            "rfu",
            "status",
            "user_id",
            "crc",
            "timestamp",
            "measurement_status",
            "device_status",
        ):
            assert name in expect or name not in attributes
    for reading in payload.readings:
        named = {
            f
            for name, value in reading.attributes.items()
            if name.endswith("_flags")
            for f in value
        }
        assert named <= set(reading.flags)


@needs_vectors
@pytest.mark.parametrize("vector", GOOD, ids=ids)
def test_whole(vector: dict[str, Any]) -> None:
    check(payload_of(vector), vector)


@needs_vectors
@pytest.mark.parametrize("vector", BAD, ids=ids)
def test_bad(vector: dict[str, Any]) -> None:
    if vector["id"] in DESCRIBED:
        (reading,) = payload_of(vector).readings
        assert (reading.value, reading.attributes) == DESCRIBED[vector["id"]]
        return
    with pytest.raises(DecodeError) as caught:
        payload_of(vector)
    assert caught.value.reason == vector["expect_error"]


@needs_vectors
@pytest.mark.parametrize("vector", GOOD, ids=ids)
def test_cut_anywhere_gives_readings_or_truncated(vector: dict[str, Any]) -> None:
    whole = payload_of(vector)
    octets = bytes.fromhex(vector["hex"])
    refused = 0
    for size in range(len(octets)):
        try:
            part = payload_of(vector, octets[:size])
        except DecodeError as error:
            assert error.reason in ("truncated", "bad_size")
            refused += 1
        else:
            # What a shorter payload still says must be what the whole one said first.
            said = [(reading.vital, reading.value) for reading in whole.readings]
            assert [(reading.vital, reading.value) for reading in part.readings] == said[
                : len(part.readings)
            ]
    assert refused  # the empty payload at least


@needs_vectors
@pytest.mark.parametrize("vector", GOOD, ids=ids)
@pytest.mark.parametrize(
    "tail", [b"\x00", b"\xff", b"\x00\x01", b"\x12\x34\x56"], ids=lambda tail: tail.hex()
)
def test_tail_is_refused(vector: dict[str, Any], tail: bytes) -> None:
    octets = bytes.fromhex(vector["hex"])
    characteristic = vector["characteristic"]
    if characteristic == "2A37" and octets[0] & 0x10 and len(tail) % 2 == 0:
        assert (
            len(payload_of(vector, octets + tail).readings)
            == len(payload_of(vector).readings) + len(tail) // 2
        )
        return
    with pytest.raises(DecodeError) as caught:
        payload_of(vector, octets + tail)
    allowed = {"trailing_bytes"}
    if characteristic == "2A37" and octets[0] & 0x10:
        allowed = {"truncated"}  # half of an RR interval
    elif characteristic == "2AA7":
        allowed = {"bad_size", "truncated"}  # the begin of a next record
    elif characteristic in ("2AA9", "2AAA", "2AAB") and "crc" not in vector["expect"]:
        # the optional CRC, cut, wrong or too long
        allowed = {"truncated", "crc_mismatch", "trailing_bytes"}
    assert caught.value.reason in allowed


@needs_vectors
@pytest.mark.parametrize("vector", GOOD, ids=ids)
def test_the_128_bit_form_and_lower_case_say_the_same(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    short = vector["characteristic"]
    whole = decode(short, octets)
    assert decode(short.lower(), octets) == whole
    assert decode(f"0000{short.lower()}-0000-1000-8000-00805F9B34fb", octets) == whole
