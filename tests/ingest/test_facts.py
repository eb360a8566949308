"""Each fact of the layouts, one by one: every flag bit, every value of every enumeration, every
size.

Written down from the specification, not from the decoders' tables, so that each checks the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import chain, combinations
from typing import Any, NamedTuple

import pytest

from rpm_stream.ingest.gatt.decoders import DECODERS, DecodeError, decode
from rpm_stream.records import Payload

DATE = "e907030e071e00"  # 2025-03-14 07:30:00


def attributes(payload: Payload) -> dict[str, Any]:
    return payload.readings[0].attributes if payload.readings else payload.attributes


def reason(characteristic: str, octets: bytes) -> str | None:
    try:
        decode(characteristic, octets)
    except DecodeError as error:
        return error.reason
    return None


# --- bits: name of the field -> where it stands, and the name of each bit -------------------------


def named(text: str) -> dict[int, str]:
    """Read the rows of a table of the specification: a number and its name on each line."""
    rows = (row.split() for row in text.splitlines() if row)
    return {int(number): name for number, name in rows}


class Bits(NamedTuple):
    """A field of ``size`` octets between ``before`` and ``after``; bits without a name are
    reserved.
    """

    characteristic: str
    before: str
    size: int
    named: Mapping[int, str]
    attribute: str
    after: str = ""


PLX_STATUS = named("""
    5 ongoing
    6 early_estimate
    7 validated
    8 fully_qualified
    9 from_storage
    10 demo
    11 test
    12 calibration
    13 unavailable
    14 questionable
    15 invalid
""")
PLX_DEVICE = named("""
    0 extended_display_update
    1 equipment_malfunction
    2 signal_processing_irregularity
    3 inadequate_signal
    4 poor_signal
    5 low_perfusion
    6 erratic
    7 non_pulsatile
    8 questionable_pulse
    9 analysis_ongoing
    10 interference
    11 sensor_unconnected
    12 unknown_sensor
    13 sensor_displaced
    14 sensor_malfunction
    15 sensor_disconnected
""")
PRESSURE = named("""
    0 body_movement
    1 cuff_too_loose
    2 irregular_pulse
    3 pulse_range_above
    4 pulse_range_below
    5 improper_position
""")
GLUCOSE = named("""
    0 battery_low
    1 sensor_malfunction
    2 sample_insufficient
    3 strip_insertion_error
    4 strip_type_incorrect
    5 result_too_high
    6 result_too_low
    7 temp_too_high
    8 temp_too_low
    9 read_interrupted
    10 device_fault
    11 time_fault
""")
CGM = named("""
    0 session_stopped
    1 battery_low
    2 sensor_type_incorrect
    3 sensor_malfunction
    4 device_alert
    5 device_fault
    8 time_sync_required
    9 calibration_not_allowed
    10 calibration_recommended
    11 calibration_required
    12 temp_too_high
    13 temp_too_low
    14 calibration_pending
    16 below_patient_low
    17 above_patient_high
    18 below_hypo
    19 above_hyper
    20 rate_decrease_exceeded
    21 rate_increase_exceeded
    22 result_too_low
    23 result_too_high
""")
HEALTH = named("""
    0 invalid
    1 questionable
    2 unavailable
    4 calibration
    5 test
    6 early_estimate
    14 threshold_error
    15 thresholding_disabled
""")
STEPS = named("""
    0 normal_walking_steps
    1 intensity_steps
    2 floors
    3 distance
    4 worn_duration
""")

FIELDS: dict[str, Bits] = {
    "2A35 status": Bits("2A35", "10780050006000", 2, PRESSURE, "status_flags"),
    "2A36 status": Bits("2A36", "107800ff07ff07", 2, PRESSURE, "status_flags"),
    "2B34 status": Bits("2B34", "10780050006000", 2, PRESSURE, "status_flags"),
    "2B35 status": Bits("2B35", "107800", 2, PRESSURE, "status_flags"),
    "2A5E measurement": Bits("2A5E", "0261004800", 2, PLX_STATUS, "measurement_flags"),
    "2A5E device": Bits("2A5E", "0461004800", 3, PLX_DEVICE, "device_flags"),
    "2A5F measurement": Bits("2A5F", "0461004800", 2, PLX_STATUS, "measurement_flags"),
    "2A5F device": Bits("2A5F", "0861004800", 3, PLX_DEVICE, "device_flags"),
    "2A18 status": Bits("2A18", f"0a0100{DATE}34b011", 2, GLUCOSE, "status_flags"),
    "2AA7 annunciation": Bits("2AA7", "09e078000500", 3, CGM, "status_flags"),
    "2AA9 status": Bits("2AA9", "0500", 3, CGM, "status_flags"),
    "2B8B status": Bits(
        "2B8B", "030111000900b84b0200", 2, HEALTH, "measurement_flags", "200261000000"
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_bit_of_a_field(name: str) -> None:
    field = FIELDS[name]
    for bit in range(8 * field.size):
        number = (1 << bit).to_bytes(field.size, "little")
        payload = decode(
            field.characteristic, bytes.fromhex(field.before) + number + bytes.fromhex(field.after)
        )
        expected = [field.named[bit]] if bit in field.named else []
        assert attributes(payload)[field.attribute] == expected, bit
        for reading in payload.readings:
            assert list(reading.flags) == expected, bit


@pytest.mark.parametrize(("bit", "name"), STEPS.items())
def test_every_field_of_a_step_counter_is_named_and_kept(bit: int, name: str) -> None:
    octets = struct.pack("<BBHHII", 0x07, 1 << bit, 1, 2, 60, 9)
    assert decode("2B40", octets + b"\x11\x22").attributes == {
        "segment": 1,
        "session": 1,
        "sub_session": 2,
        "relative_time_s": 60,
        "sequence": 9,
        "fields": [name],
        "fields_hex": "1122",
        "provisional": True,
    }
    assert reason("2B40", octets) == "truncated"


def test_a_step_counter_without_fields() -> None:
    octets = struct.pack("<BBHHII", 0x03, 0, 1, 2, 60, 9)
    assert decode("2B40", octets).attributes["fields"] == []
    assert reason("2B40", octets + b"\x00") == "trailing_bytes"
    assert {reason("2B40", octets[:size]) for size in range(len(octets))} == {"truncated"}
    assert reason("2B40", b"\x01" + octets[1:]) == "truncated"  # one of several segments
    assert decode("2B40", struct.pack("<BBHHII", 3, 0xE0, 1, 2, 60, 9)).attributes["rfu"] == 0xE0


# --- reserved flag bits: ignored and reported, whatever else is set -------------------------------

# octets of the flags, mask of the reserved bits, the smallest body
RESERVED: dict[str, tuple[int, int, str]] = {
    "2A37": (1, 0xE0, "48"),
    "2A35": (1, 0xE0, "780050006000"),
    "2A36": (1, 0xE0, "7800ff07ff07"),
    "2B34": (1, 0x80, "780050006000"),
    "2B35": (1, 0x80, "7800"),
    "2A1C": (1, 0xF8, "6c0100ff"),
    "2A1E": (1, 0xF8, "6c0100ff"),
    "2A5E": (1, 0xE0, "61004800"),
    "2A5F": (1, 0xE0, "61004800"),
    "2A18": (1, 0xE0, f"0100{DATE}"),
    "2A9D": (1, 0xF0, "d43f"),
    "2A9C": (2, 0xE000, "e700"),
    "2A53": (1, 0xF8, "800250"),
}


@pytest.mark.parametrize("characteristic", RESERVED)
def test_reserved_flags_are_reported_and_change_nothing(characteristic: str) -> None:
    size, mask, body = RESERVED[characteristic]
    plain = decode(characteristic, bytes(size) + bytes.fromhex(body))
    for bit in range(8 * size):
        if not mask >> bit & 1:
            continue
        payload = decode(characteristic, (1 << bit).to_bytes(size, "little") + bytes.fromhex(body))
        assert attributes(payload)["rfu"] == 1 << bit
        assert [each.value for each in payload.readings] == [each.value for each in plain.readings]


def test_reserved_flags_of_a_cgm_record() -> None:
    for bit in (2, 3, 4):
        octets = bytes([6, 1 << bit]) + bytes.fromhex("78000500")
        assert attributes(decode("2AA7", octets))["rfu"] == 1 << bit


# --- enumerations: every code of the octet, named or reserved -------------------------------------


class Codes(NamedTuple):
    """An octet (or its low or high nibble, the other one ``beside``) behind ``before``."""

    characteristic: str
    before: str
    attribute: str
    named: Mapping[int, str | int | None]
    after: str = ""
    nibble: str = ""
    beside: int = 1


SPECIMENS = named("""
    1 capillary_whole
    2 capillary_plasma
    3 venous_whole
    4 venous_plasma
    5 arterial_whole
    6 arterial_plasma
    7 undetermined_whole
    8 undetermined_plasma
    9 isf
    10 control_solution
""")
PLACES = named("""
    1 finger
    2 ast
    3 earlobe
    4 control_solution
    15 not_available
""")
SITES = named("""
    1 armpit
    2 body
    3 ear
    4 finger
    5 gi_tract
    6 mouth
    7 rectum
    8 toe
    9 tympanum
""")

CARBOHYDRATES = named("""
    1 breakfast
    2 lunch
    3 dinner
    4 snack
    5 drink
    6 supper
    7 brunch
""")
MEALS = named("""
    1 preprandial
    2 postprandial
    3 fasting
    4 casual
    5 bedtime
""")
TESTERS = named("""
    1 self
    2 hcp
    3 lab
    15 not_available
""")
HEALTH_STATES = named("""
    1 minor
    2 major
    3 menses
    4 stress
    5 none
    15 not_available
""")
MEDICATIONS = named("""
    1 rapid
    2 short
    3 intermediate
    4 long
    5 pre_mixed
""")
OPERATIONS = named("""
    1 report
    2 delete
    3 abort
    4 count
    7 combined_report
""")
OPERATORS = named("""
    0 null
    1 all
    5 first
    6 last
""")
RESULTS = named("""
    1 success
    2 op_not_supported
    3 invalid_operator
    4 operator_not_supported
    5 invalid_operand
    6 no_records
    7 abort_unsuccessful
    8 not_completed
    9 operand_not_supported
    10 busy
""")

ENUMERATIONS: dict[str, Codes] = {
    "temperature type": Codes("2A1C", "046c0100ff", "type", SITES),
    "intermediate temperature type": Codes("2A1E", "046c0100ff", "type", SITES),
    "glucose type": Codes("2A18", f"020100{DATE}34b0", "type", SPECIMENS, nibble="low"),
    "glucose location": Codes("2A18", f"020100{DATE}34b0", "location", PLACES, nibble="high"),
    "carbohydrate": Codes("2A34", "010100", "carb", CARBOHYDRATES, after="3cd0"),
    "meal": Codes("2A34", "020100", "meal", MEALS),
    "tester": Codes("2A34", "040100", "tester", TESTERS, nibble="low"),
    "health": Codes("2A34", "040100", "health", HEALTH_STATES, nibble="high"),
    "exercise intensity": Codes(
        "2A34", "0801003c00", "exercise_pct", {percent: percent for percent in range(101)}
    ),
    "medication": Codes("2A34", "100100", "medication", MEDICATIONS, after="3cd0"),
    "time zone": Codes(
        "2AAA",
        DATE,
        "tz_min",
        {
            **{quarters % 256: 15 * quarters for quarters in range(-48, 57)},
            128: None,
        },
        after="00",
    ),
    "summer time": Codes("2AAA", f"{DATE}00", "dst_min", {0: 0, 2: 30, 4: 60, 8: 120, 255: None}),
    "CGM type": Codes("2AA8", "000000", "type", SPECIMENS, after="ffff", nibble="low"),
    "record access op code": Codes("2A52", "", "operation", OPERATIONS, after="01"),
    "record access operator": Codes("2A52", "01", "operator", OPERATORS),
    "record access result": Codes("2A52", "060001", "result", RESULTS),
}
NEEDS_MORE = {  # known codes that this row's short payload does not suit
    ("record access op code", 5): "reserved_value",  # a count has no operator
    ("record access op code", 6): "reserved_value",
    ("record access operator", 2): "truncated",  # these have an operand
    ("record access operator", 3): "truncated",
    ("record access operator", 4): "truncated",
}


def _octet(row: Codes, code: int) -> int:
    return {"": code, "low": row.beside << 4 | code, "high": code << 4 | row.beside}[row.nibble]


# Codes without which the payload itself cannot be read; all others only describe, and a reserved
# one costs nothing.
DECISIVE = {
    "exercise intensity",
    "time zone",
    "summer time",
    "record access op code",
    "record access operator",
    "record access result",
}


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_every_code_of_an_enumeration(name: str) -> None:
    row = ENUMERATIONS[name]
    for code in range(16 if row.nibble else 256):
        octet = _octet(row, code)
        octets = bytes.fromhex(row.before) + bytes([octet]) + bytes.fromhex(row.after)
        if code in row.named:
            assert (
                attributes(decode(row.characteristic, octets))[row.attribute] == row.named[code]
            ), code
        elif name not in DECISIVE:
            known, reserved = (
                decode(row.characteristic, octets[:where] + bytes([one]) + octets[where + 1 :])
                for where in [len(row.before) // 2]
                for one in (_octet(row, next(iter(row.named))), octet)
            )
            said = [(each.vital, each.value, each.absent) for each in reserved.readings]
            assert said == [(each.vital, each.value, each.absent) for each in known.readings], code
            found = attributes(reserved)
            assert (found[row.attribute], found[f"{row.attribute}_code"]) == (None, code)
            assert all("reserved_code" in each.flags for each in reserved.readings)
        else:
            assert reason(row.characteristic, octets) == NEEDS_MORE.get(
                (name, code), "reserved_value"
            ), code


def test_record_access_in_full() -> None:
    assert decode("2A52", bytes.fromhex("05002a00")).attributes == {
        "operation": "count_response",
        "operator": "null",
        "count": 42,
    }
    assert decode("2A52", bytes.fromhex("08002a00")).attributes == {
        "operation": "combined_report_response",
        "operator": "null",
        "count": 42,
    }
    assert decode("2A52", bytes.fromhex("06000106")).attributes == {
        "operation": "response",
        "operator": "null",
        "request": "report",
        "result": "no_records",
    }
    assert decode("2A52", bytes.fromhex("0103010500")).attributes == {
        "operation": "report",
        "operator": "greater_or_equal",
        "operand": "010500",
    }
    for octets in ("", "01", "0500", "05002a", "060001"):
        assert reason("2A52", bytes.fromhex(octets)) == "truncated"
    for octets in ("010100", "05002a0000", "0600010600", "030000"):
        assert reason("2A52", bytes.fromhex(octets)) == "trailing_bytes"
    assert reason("2A52", bytes.fromhex("06000901")) == "reserved_value"


def test_every_octet_of_a_battery_level() -> None:
    assert [reason("2A19", bytes([level])) for level in range(256)] == [None] * 101 + [
        "reserved_value"
    ] * 155


@pytest.mark.parametrize(
    ("place", "legal"),
    [(2, range(13)), (3, range(32)), (4, range(24)), (5, range(60)), (6, range(60))],
)
def test_every_octet_of_a_date(place: int, legal: range) -> None:
    for octet in range(256):
        octets = bytearray.fromhex(DATE)
        octets[place] = octet
        assert reason("2A08", bytes(octets)) == (None if octet in legal else "reserved_value"), (
            octet
        )


def test_every_year_of_a_date() -> None:
    wrong = [
        year
        for year in range(0, 0x10000, 1)
        if (reason("2A08", struct.pack("<H", year) + bytes.fromhex(DATE)[2:]) is None)
        is not (year == 0 or 1582 <= year <= 9999)
    ]
    assert wrong == []


# --- sizes: every combination of optional fields, exact, one octet less, one more -----------------

# octets of the flags, fixed fields, field by flag bit
LAYOUTS: dict[str, tuple[int, list[str], dict[int, str]]] = {
    "2A37": (1, ["48"], {3: "0100"}),
    "2A35": (1, ["780050006000"], {1: DATE, 2: "4800", 3: "01", 4: "0000"}),
    "2A36": (1, ["7800ff07ff07"], {1: DATE, 2: "4800", 3: "01", 4: "0000"}),
    "2B34": (1, ["780050006000"], {1: "00000000", 2: "4800", 3: "01", 4: "0000", 5: "00000000"}),
    "2B35": (1, ["7800"], {1: "00000000", 2: "4800", 3: "01", 4: "0000", 5: "00000000"}),
    "2A1C": (1, ["6c0100ff"], {1: DATE, 2: "02"}),
    "2A1E": (1, ["6c0100ff"], {1: DATE, 2: "02"}),
    "2A5E": (1, ["61004800"], {0: DATE, 1: "0000", 2: "000000", 3: "0a00"}),
    "2A5F": (1, ["61004800"], {0: "61004800", 1: "61004800", 2: "0000", 3: "000000", 4: "0a00"}),
    "2A18": (1, ["0100", DATE], {0: "0500", 1: "34b011", 3: "0000"}),
    "2A34": (
        1,
        ["0100"],
        {7: "00", 0: "013cd0", 1: "01", 2: "11", 3: "3c0032", 4: "013cd0", 6: "4500"},
    ),
    "2A9D": (1, ["d43f"], {1: DATE, 2: "01", 3: "f5000307"}),
    "2A9C": (2, ["e700"], {1: DATE, 2: "01", **dict.fromkeys(range(3, 12), "0100")}),
    "2A53": (1, ["8002", "50"], {0: "6400", 1: "00000000"}),
}


@pytest.mark.parametrize("characteristic", LAYOUTS)
def test_every_combination_of_fields(characteristic: str) -> None:
    size, fixed, fields = LAYOUTS[characteristic]
    bits = list(fields)
    sets = chain.from_iterable(
        combinations(range(len(bits)), count) for count in range(len(bits) + 1)
    )
    for chosen in list(sets)[:: 5 if len(bits) > 8 else 1]:
        flags = sum(1 << bits[place] for place in chosen)
        text = "".join([*fixed, *(fields[bits[place]] for place in chosen)])
        octets = flags.to_bytes(size, "little") + bytes.fromhex(text)
        assert reason(characteristic, octets) is None, octets.hex()
        assert reason(characteristic, octets[:-1]) == "truncated", octets.hex()
        assert reason(characteristic, octets + b"\x00") == "trailing_bytes", octets.hex()


def test_every_size_of_a_cgm_record() -> None:
    """6 + 2 (bit 0) + 2 (bit 1) + 1 for each of bits 5 to 7, and 2 with a CRC; anything else is
    a wrong size.
    """
    for flags in range(256):
        right = (
            6 + 2 * (flags & 1) + (flags & 2) + (flags >> 5 & 1) + (flags >> 6 & 1) + (flags >> 7)
        )
        for size in range(256):
            got = reason("2AA7", bytes([size, flags]) + bytes(max(size, 6) - 2))
            expected = {right: None, right + 2: "crc_mismatch"}.get(size, "bad_size")
            assert got == expected, (flags, size)


def test_every_characteristic_has_its_facts() -> None:
    """A new decoder needs rows here."""
    shown = {field.characteristic for field in FIELDS.values()} | RESERVED.keys() | LAYOUTS.keys()
    shown |= {row.characteristic for row in ENUMERATIONS.values()} | {"2A08", "2A19", "2B40"}
    elsewhere = {
        "2AAB": "two octets and a CRC: test_glucose_family",
        "2BDD": "as 2B8B: test_health_sensor",
    }
    assert DECODERS.keys() - shown == elsewhere.keys()
