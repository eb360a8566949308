"""Values to GATT characteristic payloads, as a device would have sent them.

This module has the layouts of the health characteristics that the simulator and ``gateway encode``
write. It never rounds: a value whose digits do not fit raises ``ValueError``. It was written from
the GATT Specification Supplement without looking at the decoder, so that each checks the other.
Fields are little-endian.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from rpm_stream.app.gateway.ble.fields import date_time, unsigned
from rpm_stream.app.simulator.encode.gatt_body import WeightSteps, weight_steps
from rpm_stream.app.simulator.encode.numbers import (
    crc16,
    decimal_parts,
    float32,
    optional_sfloat,
    optional_time,
    optional_unsigned,
    present_bits,
    sfloat,
)
from rpm_stream.records import Record

# --- the values of the devices --------------------------------------------------------------------


class HeartRate(Record, frozen=True, kw_only=True):
    """A value of 2A37.

    ``rate`` is in /min, ``energy`` in kJ, ``rr`` in 1/1024 s with the oldest first. ``contact`` is
    None for a device that does not detect skin contact.
    """

    rate: int
    contact: bool | None = None
    energy: int | None = None
    rr: tuple[int, ...] = ()


class _OxygenTail(Record, frozen=True, kw_only=True):
    """The fields at the end of both pulse oximeter payloads."""

    measurement_status: int | None = None
    device_status: int | None = None
    perfusion_index: str | None = None


class Spot(_OxygenTail, frozen=True, kw_only=True):
    """A value of 2A5E, a spot check.

    Saturation in %, pulse in /min and perfusion in % are decimal texts or special values. ``time``
    is local to the device.
    """

    oxygen_saturation: str
    pulse_rate: str = "NaN"
    time: datetime | None = None
    clock_not_set: bool = False


class Continuous(_OxygenTail, frozen=True, kw_only=True):
    """A value of 2A5F.

    Each pair is (saturation %, pulse /min): the normal one, and the optional fast and slow
    averages.
    """

    normal: tuple[str, str]
    fast: tuple[str, str] | None = None
    slow: tuple[str, str] | None = None


class BloodPressure(Record, frozen=True, kw_only=True):
    """A value of 2A35.

    Pressures (in ``unit``) and pulse (in /min) are decimal texts or special values. ``time`` is
    local to the device.
    """

    systolic: str
    diastolic: str
    mean_arterial: str = "NaN"
    unit: Literal["mm[Hg]", "kPa"] = "mm[Hg]"
    time: datetime | None = None
    pulse_rate: str | None = None
    user: int | None = None
    status: int | None = None


class Temperature(Record, frozen=True, kw_only=True):
    """A value of 2A1C.

    ``site`` is 1 armpit, 2 body, 3 ear, 4 finger, 5 gut, 6 mouth, 7 rectum, 8 toe, 9 eardrum.
    """

    value: str
    unit: Literal["Cel", "[degF]"] = "Cel"
    time: datetime | None = None
    site: int | None = None


class Glucose(Record, frozen=True, kw_only=True):
    """A value of 2A18.

    ``value`` is in ``unit``, and None is not sent. The payload has kg/L or mol/L, which are exact
    shifts of the decimal point. ``sample`` is the type (low nibble: 1 capillary whole blood) and
    ``site`` the location (high nibble: 1 finger).
    """

    sequence: int
    base_time: datetime
    value: str | None
    unit: Literal["mg/dL", "mmol/L"] = "mg/dL"
    offset_minutes: int | None = None
    sample: int = 1
    site: int = 1
    status: int | None = None
    context_follows: bool = False


class GlucoseContext(Record, frozen=True, kw_only=True):
    """A value of 2A34, the context of the 2A18 with the same ``sequence``.

    Codes are those of the Glucose Service, and amounts are decimal texts. ``carbohydrate`` is (id,
    g) and ``person`` is (tester, health). ``exercise`` is (s, %), where 65535 s is an overrun.
    ``medication`` is (id, amount in ``medication_unit``). ``hba1c`` is in %.
    """

    sequence: int
    extended: int | None = None
    carbohydrate: tuple[int, str] | None = None
    meal: int | None = None
    person: tuple[int, int] | None = None
    exercise: tuple[int, int] | None = None
    medication: tuple[int, str] | None = None
    medication_unit: Literal["mg", "mL"] = "mg"
    hba1c: str | None = None


class CgmRecord(Record, frozen=True, kw_only=True):
    """One record of 2AA7.

    ``glucose`` is in mg/dL. ``offset_minutes`` counts from the session start (2AAA). ``status`` has
    three bytes.
    """

    glucose: str
    offset_minutes: int
    status: int | None = None
    trend: str | None = None
    quality: str | None = None
    crc: bool = False


class SessionStart(Record, frozen=True, kw_only=True):
    """A value of 2AAA.

    ``time`` is local. ``zone_quarters`` is the offset from UTC in units of 15 minutes. ``dst`` is
    0, 2, 4 or 8 for 0, 30, 60 or 120 minutes.
    """

    time: datetime
    zone_quarters: int = 0
    dst: int = 0
    crc: bool = False


class Weight(Record, frozen=True, kw_only=True):
    """A value of 2A9D.

    ``value`` has the digits of the payload: kg with three decimals on the 5 g grid, or lb with two
    decimals.
    """

    value: str
    unit: Literal["kg", "[lb_av]"] = "kg"
    time: datetime | None = None
    user: int | None = None


# --- layouts --------------------------------------------------------------------------------------


def heart_rate(measured: HeartRate) -> bytes:
    """Return the payload of 2A37: an 8-bit rate up to 255 /min, a 16-bit rate above."""
    wide = measured.rate > 255
    contact = {None: 0, False: 0b100, True: 0b110}[measured.contact]
    flags = wide | contact | (measured.energy is not None) << 3 | bool(measured.rr) << 4
    body = unsigned(measured.rate, 2 if wide else 1)
    body += b"" if measured.energy is None else unsigned(measured.energy, 2)
    return bytes([flags]) + body + b"".join(unsigned(ticks, 2) for ticks in measured.rr)


def spot(measured: Spot) -> bytes:
    """Return the payload of 2A5E."""
    options = (optional_time(measured.time), *_oximeter_options(measured))
    flags = present_bits(options) | measured.clock_not_set << 4
    return (
        bytes([flags])
        + sfloat(measured.oxygen_saturation)
        + sfloat(measured.pulse_rate)
        + b"".join(options)
    )


def continuous(measured: Continuous) -> bytes:
    """Return the payload of 2A5F."""
    options = (
        _optional_pair(measured.fast),
        _optional_pair(measured.slow),
        *_oximeter_options(measured),
    )
    return bytes([present_bits(options)]) + _optional_pair(measured.normal) + b"".join(options)


def _oximeter_options(measured: Spot | Continuous) -> tuple[bytes, bytes, bytes]:
    """Return the optional fields at the end of both payloads of an oximeter."""
    return (
        optional_unsigned(measured.measurement_status, 2),
        optional_unsigned(measured.device_status, 3),
        optional_sfloat(measured.perfusion_index),
    )


def blood_pressure(measured: BloodPressure) -> bytes:
    """Return the payload of 2A35."""
    options = (
        optional_time(measured.time),
        optional_sfloat(measured.pulse_rate),
        optional_unsigned(measured.user, 1),
        optional_unsigned(measured.status, 2),
    )
    flags = (measured.unit == "kPa") | present_bits(options) << 1
    pressures = (
        sfloat(measured.systolic) + sfloat(measured.diastolic) + sfloat(measured.mean_arterial)
    )
    return bytes([flags]) + pressures + b"".join(options)


def temperature(measured: Temperature) -> bytes:
    """Return the payload of 2A1C."""
    options = (optional_time(measured.time), optional_unsigned(measured.site, 1))
    flags = (measured.unit == "[degF]") | present_bits(options) << 1
    return bytes([flags]) + float32(measured.value) + b"".join(options)


def glucose(measured: Glucose) -> bytes:
    """Return the payload of 2A18: mg/dL is 1e-5 kg/L, mmol/L is 1e-3 mol/L."""
    molar = measured.unit == "mmol/L"
    value = b""
    if measured.value is not None:
        value = sfloat(measured.value, -3 if molar else -5) + bytes(
            [measured.site << 4 | measured.sample]
        )
    offset = (
        b""
        if measured.offset_minutes is None
        else measured.offset_minutes.to_bytes(2, "little", signed=True)
    )
    status = optional_unsigned(measured.status, 2)
    flags = (
        bool(offset)
        | bool(value) << 1
        | molar << 2
        | bool(status) << 3
        | measured.context_follows << 4
    )
    head = bytes([flags]) + unsigned(measured.sequence, 2) + date_time(measured.base_time) + offset
    return head + value + status


def glucose_context(measured: GlucoseContext) -> bytes:
    """Return the payload of 2A34: a gram is 1e-3 kg, a milligram 1e-6 kg, a millilitre 1e-3 L."""
    litres = measured.medication_unit == "mL"
    carbohydrate = b"" if measured.carbohydrate is None else _dose(*measured.carbohydrate, -3)
    person = (
        b"" if measured.person is None else bytes([measured.person[1] << 4 | measured.person[0]])
    )
    exercise = (
        b""
        if measured.exercise is None
        else unsigned(measured.exercise[0], 2) + unsigned(measured.exercise[1], 1)
    )
    medication = (
        b"" if measured.medication is None else _dose(*measured.medication, -3 if litres else -6)
    )
    options = (carbohydrate, optional_unsigned(measured.meal, 1), person, exercise, medication)
    hba1c = optional_sfloat(measured.hba1c)
    extended = optional_unsigned(measured.extended, 1)
    flags = present_bits(options) | litres << 5 | bool(hba1c) << 6 | bool(extended) << 7
    return bytes([flags]) + unsigned(measured.sequence, 2) + extended + b"".join(options) + hba1c


def _dose(code: int, amount: str, shift: int) -> bytes:
    return unsigned(code, 1) + sfloat(amount, shift)


def cgm(records: tuple[CgmRecord, ...]) -> bytes:
    """Return the payload of 2AA7: one or more records, each with a size byte of its own."""
    return b"".join(_cgm_record(record) for record in records)


def _cgm_record(measured: CgmRecord) -> bytes:
    trend = optional_sfloat(measured.trend)
    quality = optional_sfloat(measured.quality)
    annunciation = b"" if measured.status is None else unsigned(measured.status, 3)
    # a byte without any bit set is left out
    present = [bool(octet) for octet in annunciation] or [False] * 3
    flags = bool(trend) | bool(quality) << 1 | present[2] << 5 | present[1] << 6 | present[0] << 7
    status = bytes(octet for octet in annunciation if octet)
    body = (
        sfloat(measured.glucose) + unsigned(measured.offset_minutes, 2) + status + trend + quality
    )
    size = 2 + len(body) + (2 if measured.crc else 0)
    record = bytes([size, flags]) + body
    return record + (crc16(record) if measured.crc else b"")


def session_start(measured: SessionStart) -> bytes:
    """Return the payload of 2AAA."""
    zone = measured.zone_quarters.to_bytes(1, "little", signed=True)
    body = date_time(measured.time) + zone + unsigned(measured.dst, 1)
    return body + (crc16(body) if measured.crc else b"")


def weight(measured: Weight) -> bytes:
    """Return the payload of 2A9D.

    Raises ``ValueError`` for a value off the grid (0.005 kg, 0.01 lb) or with other decimals.
    """
    places, step = (-3, Decimal("0.005")) if measured.unit == "kg" else (-2, Decimal("0.01"))
    mantissa, exponent = decimal_parts(measured.value)
    steps = Decimal(mantissa).scaleb(exponent) / step
    if exponent != places or steps % 1 or steps >= 0xFFFF:  # 0xFFFF is "measurement unsuccessful"
        raise ValueError(f"{measured.value} {measured.unit} is not on the scale's grid")
    imperial = measured.unit == "[lb_av]"
    return weight_steps(
        WeightSteps(weight=int(steps), imperial=imperial, time=measured.time, user=measured.user)
    )


def battery(percent: int) -> bytes:
    """Return the payload of 2A19, one byte of 0 to 100 %."""
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is not a battery level in percent")
    return bytes([percent])


def _optional_pair(pair: tuple[str, str] | None) -> bytes:
    return b"" if pair is None else sfloat(pair[0]) + sfloat(pair[1])
