"""Heart rate, blood pressure, temperature, pulse oximetry: what the shared vectors do not hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from rpm_stream.records import Payload


def said(payload: Payload) -> list[tuple[str, str | None, str, str | None]]:
    return [
        (reading.vital, reading.value, reading.unit, reading.absent) for reading in payload.readings
    ]


def test_heart_rate_parts_in_order(read: Any) -> None:
    assert said(read("2A37", "194b00380404043804")) == [
        ("heart_rate", "75", "/min", None),
        ("energy_expended", "1080", "kJ", None),
        ("rr_interval", "1003.906", "ms", None),
        ("rr_interval", "1054.688", "ms", None),
    ]


def test_heart_rate_zero_is_absent_and_lost_contact_is_flagged(read: Any) -> None:
    payload = read("2A37", "0400")
    assert said(payload) == [("heart_rate", None, "/min", "error")]
    assert payload.readings[0].flags == ("no_contact",)
    assert read("2A37", "0048").readings[0].flags == ()


def test_saturated_energy_is_absent(read: Any) -> None:
    assert said(read("2A37", "0848ffff"))[1] == ("energy_expended", None, "kJ", "error")


def test_a_promised_interval_list_may_not_be_empty(refuse: Any) -> None:
    assert refuse("2A37", "1048") == "truncated"


def test_rfu_bits_of_the_heart_rate_are_reported(read: Any) -> None:
    (reading,) = read("2A37", "e048").readings
    assert (reading.value, reading.attributes["rfu"], reading.flags) == ("72", 0xE0, ("rfu",))


def test_pressure_in_kilopascal(read: Any) -> None:
    assert said(read("2A35", "01a0f06bf07cf0"))[0] == ("systolic", "16.0", "kPa", None)


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        ("0000", ()),
        ("0800", ("pulse_range_above",)),
        ("1000", ("pulse_range_below",)),
        (
            "3f00",
            (
                "body_movement",
                "cuff_too_loose",
                "irregular_pulse",
                "pulse_range_reserved",
                "improper_position",
            ),
        ),
        ("c0ff", ()),
    ],
)
def test_status_of_a_blood_pressure(read: Any, status: str, flags: tuple[str, ...]) -> None:
    for reading in read("2A35", "10780050005d00" + status).readings:
        assert reading.flags == flags
        assert reading.attributes["status_flags"] == list(flags)


def test_unknown_user_is_flagged(read: Any) -> None:
    reading = read("2A35", "08780050005d00ff").readings[0]
    assert (reading.attributes["user_id"], reading.flags) == ("unknown", ("user_unknown",))


def test_cuff_pressure_is_never_a_blood_pressure(read: Any) -> None:
    payload = read("2A36", "0451005000400048f0")
    assert said(payload) == [
        ("cuff_pressure", "81", "mm[Hg]", None),
        ("pulse_rate", "7.2", "/min", None),
    ]


def test_enhanced_blood_pressure_counts_seconds_since_its_epoch(read: Any) -> None:
    # 795 252 600 s after 2000-01-01 and 3 950 926 200 s after 1900-01-01 are both 2025-03-14 07:30.
    for octets in ("42780050005d007897662f", "02780050005d0078597eeb"):
        payload = read("2B34", octets)
        assert said(payload)[0] == ("systolic", "120", "mm[Hg]", None)
        assert payload.readings[0].device_time == datetime(2025, 3, 14, 7, 30)


def test_enhanced_blood_pressure_prefers_the_user_facing_time(read: Any) -> None:
    payload = read("2B34", "7e780050005d007897662f480001010088a5662f")
    assert said(payload)[3] == ("pulse_rate", "72", "/min", None)
    reading = payload.readings[0]
    assert reading.device_time == datetime(2025, 3, 14, 8, 30)
    assert reading.attributes["timestamp"] == [2025, 3, 14, 7, 30, 0]
    assert (reading.attributes["user_id"], reading.flags) == (1, ("body_movement",))


def test_enhanced_cuff_pressure_has_one_pressure_only(read: Any, refuse: Any) -> None:
    assert said(read("2B35", "005100")) == [("cuff_pressure", "81", "mm[Hg]", None)]
    assert refuse("2B35", "0051005100") == "trailing_bytes"


def test_intermediate_temperature_is_flagged(read: Any) -> None:
    (reading,) = read("2A1E", "006c0100ff").readings
    assert (reading.vital, reading.value, reading.flags) == (
        "body_temperature",
        "36.4",
        ("intermediate",),
    )


@pytest.mark.parametrize("kind", ["00", "0a", "ff"])
def test_a_reserved_temperature_type_costs_no_temperature(read: Any, kind: str) -> None:
    (reading,) = read("2A1C", "046c0100ff" + kind).readings
    assert (reading.value, reading.flags) == ("36.4", ("reserved_code",))
    assert reading.attributes == {"type": None, "type_code": int(kind, 16)}


def test_temperature_without_a_year_keeps_what_is_known(read: Any) -> None:
    (reading,) = read("2A1C", "026c0100ff0000030e071e00").readings
    assert reading.device_time is None
    assert reading.attributes["timestamp"] == [None, 3, 14, 7, 30, 0]


def test_spot_check_with_everything(read: Any) -> None:
    payload = read("2A5E", "1f6200 4e00 e907030e071e00 0084 200001 14f0".replace(" ", ""))
    assert said(payload) == [
        ("oxygen_saturation", "98", "%", None),
        ("pulse_rate", "78", "/min", None),
        ("perfusion_index", "2.0", "%", None),
    ]
    reading = payload.readings[2]
    assert reading.device_time == datetime(2025, 3, 14, 7, 30)
    assert reading.flags == ("demo", "invalid", "low_perfusion", "clock_not_set")
    assert reading.attributes["device_status"] == 0x010020


def test_fast_and_slow_averages_are_attributes(read: Any) -> None:
    payload = read("2A5F", "036200 4e00 6100ff07 63004f00".replace(" ", ""))
    assert [reading.vital for reading in payload.readings] == ["oxygen_saturation", "pulse_rate"]
    assert payload.readings[0].attributes == {
        "spo2_fast": "97",
        "pulse_fast": "NaN",
        "spo2_slow": "99",
        "pulse_slow": "79",
    }
