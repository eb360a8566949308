"""Weight, body composition, battery, running speed, Date Time: what the shared vectors do not
hold.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.ingest.gatt.decoders import DecodeError, decode
from rpm_stream.records import Payload


def said(payload: Payload) -> list[tuple[str, str | None, str]]:
    return [(reading.vital, reading.value, reading.unit) for reading in payload.readings]


def test_weight_in_kilograms_and_pounds(read: Any) -> None:
    assert said(read("2A9D", "00d43f")) == [("weight", "81.700", "kg")]
    assert said(read("2A9D", "01f846")) == [("weight", "181.68", "[lb_av]")]


def test_weight_with_bmi_and_height(read: Any) -> None:
    assert said(read("2A9D", "08d43ff5000307")) == [
        ("weight", "81.700", "kg"),
        ("bmi", "24.5", "kg/m2"),
        ("height", "1.795", "m"),
    ]
    assert said(read("2A9D", "09d43ff500c302"))[2] == ("height", "70.7", "[in_i]")


def test_unsuccessful_weight_is_absent(read: Any) -> None:
    (reading,) = read("2A9D", "01ffff").readings
    assert (reading.value, reading.absent, reading.unit) == (None, "error", "[lb_av]")


def test_body_composition_with_everything(read: Any) -> None:
    octets = "fe1f fa00 e907030e071e00 02 a01b c201 e02e 4038 8813 1027 8813 d43f 0307"
    payload = read("2A9C", octets.replace(" ", ""))
    assert said(payload) == [
        ("body_fat", "25.0", "%"),
        ("impedance", "500.0", "Ohm"),
        ("weight", "81.700", "kg"),
        ("height", "1.795", "m"),
    ]
    reading = payload.readings[0]
    assert reading.device_time == datetime(2025, 3, 14, 7, 30)
    assert reading.attributes == {
        "user_id": 2,
        "bmr_kj": 7072,
        "muscle_pct": "45.0",
        "muscle_mass_kg": "60.000",
        "fat_free_mass_kg": "72.000",
        "soft_lean_mass_kg": "25.000",
        "water_mass_kg": "50.000",
        "more_packets": True,
    }


def test_masses_in_pounds_say_so(read: Any) -> None:
    (reading,) = read("2A9C", "2100fa001027").readings
    assert reading.attributes == {"muscle_mass_lb": "100.00"}


def test_unsuccessful_body_fat_is_absent(read: Any) -> None:
    (reading,) = read("2A9C", "0000ffff").readings
    assert (reading.value, reading.absent) == (None, "error")


@pytest.mark.parametrize("level", ["65", "ff"])
def test_reserved_battery_levels(refuse: Any, level: str) -> None:
    assert refuse("2A19", level) == "reserved_value"


def test_running_with_stride_and_distance(read: Any) -> None:
    payload = read("2A53", "0701035064007b000000")
    assert said(payload) == [("speed", "3.00390625", "m/s"), ("cadence", "80", "/min")]
    assert payload.readings[0].attributes == {
        "stride_cm": 100,
        "distance_m": "12.3",
        "running": True,
    }


@given(raw=st.integers(0, 0xFFFF))
def test_speed_is_exact(raw: int) -> None:
    reading = decode("2A53", b"\x00" + raw.to_bytes(2, "little") + b"\x00").readings[0]
    assert reading.value is not None
    assert Decimal(reading.value) * 256 == raw
    assert (
        reading.value == "0" or not reading.value.startswith("0") or reading.value.startswith("0.")
    )


@given(
    year=st.sampled_from([0, 1, 1581, 1582, 1900, 2000, 2024, 2025, 9999, 10000]),
    rest=st.tuples(*(st.integers(0, top) for top in (14, 33, 25, 61, 61))),
)
def test_dates_agree_with_the_calendar(year: int, rest: tuple[int, ...]) -> None:
    octets = year.to_bytes(2, "little") + bytes(rest)
    # An unknown field is taken for the most generous known one.
    month, day, hour, minute, second = rest
    try:
        datetime(year or 2000, month or 1, day or 1, hour, minute, second)
        possible = year == 0 or 1582 <= year <= 9999
    except ValueError:
        possible = False
    try:
        found = decode("2A08", octets).attributes["date_time"]
    except DecodeError as error:
        assert not possible and error.reason == "reserved_value"
    else:
        assert possible
        assert found == [year or None, month or None, day or None, hour, minute, second]
