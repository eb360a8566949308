"""What the encoders write, the decoder (somebody else wrote it, from the same standard) reads
back digit for digit.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.simulator.encode import gatt as gatt
from rpm_stream.app.simulator.encode.numbers import crc16, float32, sfloat
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.records import Decoded

SFLOATS = st.builds(
    lambda mantissa, places: format(Decimal(mantissa).scaleb(-places), "f"),
    st.integers(-2045, 2045),
    st.integers(0, 8),
)
POSITIVE = st.builds(
    lambda mantissa, places: format(Decimal(mantissa).scaleb(-places), "f"),
    st.integers(1, 2045),
    st.integers(0, 3),
)
SECONDS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(
    lambda at: at.replace(microsecond=0)
)


def read(characteristic: str, payload: bytes) -> dict[str, Decoded]:
    """The decoder's readings by vital."""
    return {reading.vital: reading for reading in decode(characteristic, payload).readings}


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("72.0", "d0f2"),
        ("2.0", "14f0"),
        ("200", "c800"),
        ("NaN", "ff07"),
        ("-INF", "0208"),
        ("204.7", "fff7"),
    ],
)
def test_sfloat_pinned(text: str, octets: str) -> None:
    """HL7's statement of the format: 0xF014 = 2.0, 0x00C8 = 200; a special mantissa is a number
    with an exponent.
    """
    assert sfloat(text).hex() == octets


def test_captured_payloads_are_written_as_devices_wrote_them() -> None:
    """Frames from devices and makers' tests, built again from their values."""
    strap = gatt.heart_rate(gatt.HeartRate(rate=78, contact=True, rr=(795, 786)))
    assert strap.hex() == "164e1b031203"
    spot = gatt.Spot(
        oxygen_saturation="97",
        pulse_rate="96",
        time=datetime(2017, 1, 1, 1, 34, 19),
        measurement_status=32,
        device_status=32,
        clock_not_set=True,
    )
    assert gatt.spot(spot).hex() == "1761006000e10701010122132000200000"
    meter = gatt.Glucose(
        sequence=43, base_time=datetime(2025, 3, 14, 7, 30), value="5.6", unit="mmol/L"
    )
    assert gatt.glucose(meter).hex() == "062b00e907030e071e0038c011"
    cgm = gatt.CgmRecord(
        glucose="115", offset_minutes=300, status=0x000300, trend="36", quality="26", crc=True
    )
    assert gatt.cgm((cgm,)).hex() == "0d4373002c010324001a003e04"
    start = gatt.SessionStart(
        time=datetime(2018, 4, 24, 13, 8, 24), zone_quarters=8, dst=4, crc=True
    )
    assert gatt.session_start(start).hex() == "e20704180d08180804e0c2"
    scale = gatt.Weight(value="81.700", time=datetime(2025, 3, 14, 7, 30), user=255)
    assert gatt.weight(scale).hex() == "06d43fe907030e071e00ff"


def test_crc_check_value() -> None:
    """CRC-16/MCRF4XX of "123456789"."""
    assert crc16(b"123456789") == (0x6F91).to_bytes(2, "little")


@pytest.mark.parametrize(
    "text", ["2047", "-2048", "2046", "1234.5", "0.000000001", "1e3", "", "07", "-0", "+5", "NAN"]
)
def test_what_an_sfloat_cannot_keep_is_refused(text: str) -> None:
    """Nothing is rounded; a mantissa that means "not a number" is no number."""
    with pytest.raises(ValueError, match=r".+"):
        sfloat(text)


@given(SFLOATS, SFLOATS, SFLOATS, st.none() | SECONDS, st.sampled_from(["mm[Hg]", "kPa"]))
def test_blood_pressure_keeps_its_digits(
    systolic: str, diastolic: str, pulse: str, time: datetime | None, unit: Literal["mm[Hg]", "kPa"]
) -> None:
    """2A35, every option on or off."""
    said = gatt.BloodPressure(
        systolic=systolic,
        diastolic=diastolic,
        unit=unit,
        pulse_rate=pulse,
        time=time,
        user=2,
        status=4,
    )
    got = read("2A35", gatt.blood_pressure(said))
    assert [got[vital].value for vital in ("systolic", "diastolic", "pulse_rate")] == [
        systolic,
        diastolic,
        pulse,
    ]
    assert (got["systolic"].unit, got["systolic"].device_time) == (unit, time)


@given(SFLOATS, SFLOATS, st.none() | SFLOATS)
def test_oximeters_keep_their_digits(saturation: str, pulse: str, perfusion: str | None) -> None:
    """2A5E and 2A5F."""
    spot = read(
        "2A5E",
        gatt.spot(
            gatt.Spot(oxygen_saturation=saturation, pulse_rate=pulse, perfusion_index=perfusion)
        ),
    )
    said = gatt.Continuous(
        normal=(saturation, pulse), fast=("98", "60"), slow=("97", "61"), perfusion_index=perfusion
    )
    stream = read("2A5F", gatt.continuous(said))
    for got in (spot, stream):
        assert (got["oxygen_saturation"].value, got["pulse_rate"].value) == (saturation, pulse)
        assert ("perfusion_index" in got) == (perfusion is not None)


@given(st.integers(-8_388_605, 8_388_605), st.integers(0, 12), st.sampled_from(["Cel", "[degF]"]))
def test_temperature_keeps_its_digits(
    mantissa: int, places: int, unit: Literal["Cel", "[degF]"]
) -> None:
    """2A1C carries a FLOAT."""
    text = format(Decimal(mantissa).scaleb(-places), "f")
    got = read("2A1C", gatt.temperature(gatt.Temperature(value=text, unit=unit, site=3)))[
        "body_temperature"
    ]
    assert (got.value, got.unit) == (text, unit)


@given(POSITIVE, st.sampled_from(["mg/dL", "mmol/L"]), SECONDS, st.integers(0, 65535))
def test_glucose_keeps_its_digits(
    text: str, unit: Literal["mg/dL", "mmol/L"], base: datetime, sequence: int
) -> None:
    """2A18: the wire is kg/L or mol/L, the digits stay."""
    said = gatt.Glucose(sequence=sequence, base_time=base, value=text, unit=unit)
    got = read("2A18", gatt.glucose(said))["glucose"]
    assert (got.value, got.unit, got.device_time) == (text, unit, base)


@given(st.integers(0, 0xFFFE), st.booleans())
def test_weight_keeps_its_digits(steps: int, imperial: bool) -> None:
    """2A9D: three decimals of a kilogram, two of a pound."""
    text = f"{steps / 100:.2f}" if imperial else f"{steps * 5 / 1000:.3f}"
    got = read("2A9D", gatt.weight(gatt.Weight(value=text, unit="[lb_av]" if imperial else "kg")))[
        "weight"
    ]
    assert (got.value, got.unit) == (text, "[lb_av]" if imperial else "kg")


@pytest.mark.parametrize("text", ["81.7", "81.702", "327.675", "-0.005", "81.7000"])
def test_a_weight_off_the_scales_grid_is_refused(text: str) -> None:
    """5 g steps, three decimals, and 0xFFFF is no weight."""
    with pytest.raises(ValueError, match=r".+"):
        gatt.weight(gatt.Weight(value=text))


@given(
    st.integers(1, 65535),
    st.lists(st.integers(0, 65535), max_size=8),
    st.sampled_from([None, True, False]),
)
def test_heart_rate_is_read_back(rate: int, rr: list[int], contact: bool | None) -> None:
    """2A37 in its 8- and 16-bit forms, with beats."""
    payload = gatt.heart_rate(gatt.HeartRate(rate=rate, contact=contact, rr=tuple(rr), energy=12))
    readings = decode("2A37", payload).readings
    assert readings[0].value == str(rate)
    assert len([reading for reading in readings if reading.vital == "rr_interval"]) == len(rr)


@given(st.integers(0, 100))
def test_battery_is_read_back(percent: int) -> None:
    """2A19."""
    assert read("2A19", gatt.battery(percent))["battery"].value == str(percent)


def test_impossible_battery_is_refused() -> None:
    """101 to 255 are reserved."""
    with pytest.raises(ValueError, match="101"):
        gatt.battery(101)


def test_float_refuses_what_it_cannot_keep() -> None:
    """24 bits of mantissa."""
    with pytest.raises(ValueError, match="digits"):
        float32("12345678.9")
