"""Glucose meters and CGM: what the shared vectors do not hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.ingest.gatt.crc import crc16
from rpm_stream.ingest.gatt.decoders import DecodeError, decode


def test_device_time_is_base_plus_offset_and_the_key_is_the_base(read: Any) -> None:
    (reading,) = read("2A18", "032c00e907030e030f00fbff34b011").readings
    assert reading.device_time == datetime(2025, 3, 14, 3, 10)
    assert reading.key == "44/2025-03-14T03:15:00"
    assert reading.attributes["time_offset_min"] == -5


def test_time_beyond_the_calendar_is_a_reserved_value(refuse: Any) -> None:
    assert refuse("2A18", "0101000f270c1f173b3bff7f") == "reserved_value"


def test_unknown_date_gives_no_device_time_and_still_a_key(read: Any) -> None:
    (reading,) = read("2A18", "022e0000000000071e0078b041").readings
    assert reading.device_time is None and reading.key == "46/0000-00-00T07:30:00"


@pytest.mark.parametrize(
    ("octet", "flagged"), [("1a", True), ("41", True), ("4a", True), ("11", False), ("f9", False)]
)
def test_control_solution_by_type_or_location(read: Any, octet: str, flagged: bool) -> None:
    (reading,) = read("2A18", "022c00e907030e030f0034b0" + octet).readings
    assert ("control_solution" in reading.flags) is flagged
    assert reading.vital == "glucose"


@pytest.mark.parametrize("octet", ["10", "1b", "01", "51", "e1", "00"])
def test_a_reserved_type_or_location_costs_no_glucose(read: Any, octet: str) -> None:
    (reading,) = read("2A18", "022c00e907030e030f0034b0" + octet).readings
    assert (reading.value, reading.flags) == ("52", ("reserved_code",))


@pytest.mark.parametrize(("octet", "named"), [("4c", "location"), ("ea", "type")])
def test_a_control_solution_is_told_beside_a_reserved_code(
    read: Any, octet: str, named: str
) -> None:
    (reading,) = read("2A18", "022c00e907030e030f0034b0" + octet).readings
    assert reading.attributes[named] == "control_solution"
    assert set(reading.flags) == {"reserved_code", "control_solution"}


def test_a_status_without_a_concentration_is_context(read: Any) -> None:
    payload = read("2A18", "082d00e907030e030f000200")
    assert payload.readings == ()
    assert payload.attributes["status_flags"] == ["sensor_malfunction"]


def test_medication_in_kilograms_is_milligrams(read: Any) -> None:
    assert read("2A34", "1005000205a0").attributes == {
        "sequence": 5,
        "medication": "short",
        "med_mg": "5",
    }


@pytest.mark.parametrize(
    "rest", ["0100", "0108", "0200", "0206", "0401", "0410", "0414", "0461", "1000"]
)
def test_reserved_codes_cost_no_context(read: Any, rest: str) -> None:
    padding = {"01": "0000", "10": "0000"}.get(rest[:2], "")
    attributes = read("2A34", f"{rest[:2]}0500{rest[2:]}{padding}").attributes
    reserved = [name.removesuffix("_code") for name in attributes if name.endswith("_code")]
    assert (
        reserved
        and all(attributes[name] is None for name in reserved)
        and attributes["sequence"] == 5
    )


def test_an_intensity_above_all_is_no_code(refuse: Any) -> None:
    assert refuse("2A34", "080500000065") == "reserved_value"


def test_two_records_in_one_notification(read: Any) -> None:
    payload = read(
        "2AA7",
        "06007800060008007d000700"
        + crc16(bytes.fromhex("08007d000700")).to_bytes(2, "little").hex(),
    )
    assert [(r.part, r.value, r.unit, r.key) for r in payload.readings] == [
        (0, "120", "mg/dL", "offset/6"),
        (1, "125", "mg/dL", "offset/7"),
    ]
    assert "crc" not in payload.readings[0].attributes and "crc" in payload.readings[1].attributes


def test_one_bad_record_rejects_the_whole_payload(refuse: Any) -> None:
    assert refuse("2AA7", "06007800060005007d0007") == "bad_size"
    assert refuse("2AA7", "0600780006000800 7d0007000000".replace(" ", "")) == "crc_mismatch"


def test_annunciation_octets_by_flag(read: Any) -> None:
    found = [
        read("2AA7", octets).readings[0].attributes["status_flags"]
        for octets in ("07807800060001", "07407800060001", "07207800060001")
    ]
    assert found == [["session_stopped"], ["time_sync_required"], ["below_patient_low"]]


def test_rfu_bits_do_not_change_the_size(read: Any) -> None:
    (reading,) = read("2AA7", "061c78000600").readings
    assert (reading.attributes["rfu"], reading.flags) == (0x1C, ("rfu",))


def test_feature_checks_its_crc_only_if_it_has_one(read: Any, refuse: Any) -> None:
    assert read("2AA8", "00800159ffff").attributes == {
        "features": 0x018000,
        "feature_flags": ["trend", "quality"],
        "type": "isf",
        "location": "subcutaneous",
        "crc": 0xFFFF,
    }
    body = bytes.fromhex("00100059")
    assert decode("2AA8", body + crc16(body).to_bytes(2, "little")).attributes["feature_flags"] == [
        "e2e_crc"
    ]
    assert refuse("2AA8", "00100059ffff") == "crc_mismatch"
    named = read("2AA8", "00000060ffff").attributes
    assert (named["type"], named["type_code"], named["location"], named["location_code"]) == (
        None,
        0,
        None,
        6,
    )


def test_unknown_zone_and_summer_time_are_null(read: Any) -> None:
    assert read("2AAA", "e907030e071e0080ff").attributes == {
        "start": [2025, 3, 14, 7, 30, 0],
        "tz_min": None,
        "dst_min": None,
    }


@pytest.mark.parametrize("zone_and_summer", ["cf00", "3900", "0001", "0006"])
def test_reserved_zone_or_summer_time(refuse: Any, zone_and_summer: str) -> None:
    assert refuse("2AAA", "e907030e071e00" + zone_and_summer) == "reserved_value"


def test_run_time(read: Any, refuse: Any) -> None:
    assert read("2AAB", "5001").attributes == {"run_time_h": 336}
    assert refuse("2AAB", "500100") == "truncated"
    assert refuse("2AAB", "50010000") == "crc_mismatch"


@given(body=st.binary(min_size=1, max_size=32), bit=st.integers(0, 7), data=st.data())
def test_the_crc_finds_every_single_bit_error(body: bytes, bit: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    broken = bytearray(body)
    broken[at] ^= 1 << bit
    assert crc16(bytes(broken)) != crc16(body)


def test_crc_check_value() -> None:
    assert crc16(b"123456789") == 0x6F91
    assert crc16(b"") == 0xFFFF


@given(offset=st.integers(-0x8000, 0x7FFF))
def test_any_offset_of_a_base_time(offset: int) -> None:
    octets = (
        bytes.fromhex("032c00e907030e030f00")
        + offset.to_bytes(2, "little", signed=True)
        + b"\x34\xb0\x11"
    )
    (reading,) = decode("2A18", octets).readings
    assert reading.device_time is not None
    assert (reading.device_time - datetime(2025, 3, 14, 3, 15)).total_seconds() == offset * 60


def test_errors_hold_no_values() -> None:
    with pytest.raises(DecodeError) as caught:
        decode("2AA7", bytes.fromhex("08007d0007000000"))
    assert "125" not in caught.value.detail
