"""Generic Health Sensor (provisional): built messages, their times, and what is refused."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

import pytest

from rpm_stream.ingest import DecodeError, decode
from rpm_stream.ingest.health_codes import UNITS, VITALS

WHOLE = b"\x03"
SPO2, PERCENT = 150456, 262688
NUMBER_97 = struct.pack("<HI", PERCENT & 0xFFFF, 97)
COUNTER_MS = 795_252_600_000  # 2025-03-14T07:30:00 in ms since 2000-01-01


def message(kind: int, flags: int, body: bytes, segment: bytes = WHOLE) -> bytes:
    rest = struct.pack("<H", flags) + body
    return segment + struct.pack("<BH", kind, len(rest) + 3) + rest


def spo2(flags: int = 0, fields: bytes = b"", value: bytes = NUMBER_97) -> bytes:
    return message(1, 1 | flags, struct.pack("<I", SPO2) + fields + value)


def stamp(flags: int, counter: int, zone: int) -> bytes:
    return bytes([flags]) + counter.to_bytes(6, "little") + b"\x06" + zone.to_bytes(1, "little", signed=True)


def reason(octets: bytes, characteristic: str = "2B8B") -> str:
    with pytest.raises(DecodeError) as caught:
        decode(characteristic, octets)
    return caught.value.reason


def test_a_number() -> None:
    (reading,) = decode("2B8B", spo2()).readings
    assert (reading.vital, reading.value, reading.unit, reading.device_time) == ("oxygen_saturation", "97", "%", None)
    assert reading.attributes == {"segment": 0, "class": 1, "type": SPO2}


@pytest.mark.parametrize(
    ("flags", "zone", "local", "utc"),
    [
        (0x3A, 4, datetime(2025, 3, 14, 8, 30), "2025-03-14T07:30:00Z"),  # UTC with zone
        (0x2A, 4, None, "2025-03-14T07:30:00Z"),  # UTC, zone not present
        (0x3A, -128, None, "2025-03-14T07:30:00Z"),  # UTC, zone unknown
        (0x38, 4, datetime(2025, 3, 14, 7, 30), "2025-03-14T06:30:00Z"),  # local with zone
        (0x28, 4, datetime(2025, 3, 14, 7, 30), None),  # local, zone not present
        (0x1A, 4, None, None),  # not on the current timeline
        (0x3B, 4, None, None),  # tick counter
    ],
)
def test_time_stamps(flags: int, zone: int, local: datetime | None, utc: str | None) -> None:
    (reading,) = decode("2B8B", spo2(0x02, stamp(flags, COUNTER_MS, zone))).readings
    assert reading.device_time == local
    assert reading.attributes.get("device_time_utc") == utc
    assert reading.attributes["timestamp"]["counter"] == COUNTER_MS
    assert ("not_current_timeline" in reading.flags) is not bool(flags & 0x20)
    assert (reading.attributes["timestamp"]["time"] is None) is bool(flags & 0x01)


@pytest.mark.parametrize(("resolution", "per_second"), [(0x00, 1), (0x04, 10), (0x08, 1000), (0x0C, 10_000)])
def test_resolutions(resolution: int, per_second: int) -> None:
    (reading,) = decode("2B8B", spo2(0x02, stamp(0x22 | resolution, 795_252_600 * per_second, 0))).readings
    assert reading.attributes["device_time_utc"] == "2025-03-14T07:30:00Z"


@pytest.mark.parametrize(("flags", "counter", "zone"), [(0x22, 2**48 - 1, 0), (0x32, 0, 57), (0x32, 0, -49)])
def test_impossible_time_stamps(flags: int, counter: int, zone: int) -> None:
    assert reason(spo2(0x02, stamp(flags, counter, zone))) == "reserved_value"


def test_every_optional_field() -> None:
    fields = (
        struct.pack("<I", 0xFF00000F)  # 1.5 s
        + struct.pack("<H", 0x0042)
        + struct.pack("<IB", 7, 3)
        + struct.pack("<BII", 2, 150588, 11)
        + struct.pack("<BI", 1, 8)
        + b"\x00"
    )
    (reading,) = decode("2B8B", spo2(0x1FC, fields)).readings
    assert reading.flags == ("questionable", "early_estimate")
    assert reading.attributes == {
        "segment": 0,
        "class": 1,
        "type": SPO2,
        "duration_s": "1.5",
        "measurement_status": 0x42,
        "measurement_flags": ["questionable", "early_estimate"],
        "object_id": 7,
        "patient": 3,
        "supplemental": [150588, 11],
        "derived_from": [8],
        "has_member": [],
    }


def test_unknown_codes_and_units() -> None:
    assert reason(message(1, 1, struct.pack("<I", 150388) + NUMBER_97)) == "unknown_vital"  # skin temperature
    assert reason(message(1, 0, NUMBER_97)) == "unknown_vital"  # no type at all
    assert reason(spo2(value=struct.pack("<HI", 1, 97))) == "unknown_unit"


def test_an_unknown_component_rejects_the_whole() -> None:
    component = struct.pack("<IB", 150021, 1) + struct.pack("<HI", 0x0F20, 128)
    unknown = struct.pack("<IB", 1, 1) + struct.pack("<HI", 0x0F20, 128)
    whole = message(7, 0, b"\x02" + component + component)
    assert [(r.part, r.vital, r.attributes["component_type"]) for r in decode("2B8B", whole).readings] == [
        (0, "systolic", 150021),
        (1, "systolic", 150021),
    ]
    assert reason(message(7, 0, b"\x02" + component + unknown)) == "unknown_vital"
    assert reason(message(7, 0, b"\x01" + struct.pack("<IB", 150021, 7) + bytes(6))) == "reserved_value"


def test_control_solution_is_flagged() -> None:
    octets = message(1, 1, struct.pack("<I", 160208) + struct.pack("<HI", 264274 & 0xFFFF, 100))
    (reading,) = decode("2B8B", octets).readings
    assert (reading.vital, reading.unit, reading.flags) == ("glucose", "mg/dL", ("control_solution",))


def test_what_has_no_vital_gives_attributes() -> None:
    assert decode("2B8B", message(2, 0, struct.pack("<I", 5))).attributes["value"] == 5
    assert decode("2B8B", message(3, 0, b"\x03\x00a\xc3\xa4")).attributes["value"] == "a\xe4"
    samples = struct.pack("<HIIIBBI", PERCENT & 0xFFFF, 1, 0, 0xFE000008, 1, 2, 2) + b"\x01\x00\x02\x00"
    attributes = decode("2B8B", message(4, 0, samples)).attributes
    assert (attributes["unit"], attributes["period_s"], attributes["data"]) == ("%", "0.08", "01000200")


@pytest.mark.parametrize("kind", [0, 9, 0x7F, 0xFE])
def test_classes_without_a_known_layout(kind: int) -> None:
    assert reason(message(kind, 0, b"")) == "reserved_value"


def test_bad_strings_are_refused() -> None:
    assert reason(message(3, 0, b"\x01\x00\xff")) == "reserved_value"


@pytest.mark.parametrize("segment", [b"\x00", b"\x01", b"\x02"])
def test_a_part_of_a_message_is_truncated(segment: bytes) -> None:
    assert reason(message(1, 1, struct.pack("<I", SPO2) + NUMBER_97, segment)) == "truncated"


def test_the_length_must_fit() -> None:
    octets = bytearray(spo2())
    assert reason(bytes(octets) + b"\x00") == "trailing_bytes"
    assert reason(bytes(octets[:-1])) == "bad_size"
    octets[2] -= 1
    assert reason(bytes(octets)) == "bad_size"
    octets[2] = 2
    assert reason(bytes(octets)) == "bad_size"
    assert reason(message(1, 1, struct.pack("<I", SPO2) + NUMBER_97 + b"\x00")) == "trailing_bytes"


def test_stored_observations_are_known_by_record_and_time() -> None:
    live = spo2(0x02, stamp(0x3A, COUNTER_MS, 4))
    first = decode("2BDD", b"\x03" + struct.pack("<I", 9) + live[1:]).readings[0]
    again = decode("2BDD", b"\x0b" + struct.pack("<I", 9) + live[1:]).readings[0]
    assert first.attributes["record_id"] == 9
    assert first.key == again.key == f"record/9/{COUNTER_MS}"
    assert decode("2BDD", b"\x03" + struct.pack("<I", 9) + spo2()[1:]).readings[0].key == ""


def test_rfu_flags_are_reported() -> None:
    (reading,) = decode("2B8B", spo2(0x0400)).readings
    assert (reading.attributes["rfu"], reading.flags) == (0x0400, ("rfu",))


def test_codes_are_of_their_partitions() -> None:
    """A unit outside of MDC partition 4 could never be rebuilt from the wire's 16 bits."""
    assert all(code >> 16 == 4 for code in UNITS)
    assert all(code >> 16 in (1, 2) for code in VITALS)


def test_header_cut_anywhere(refuse: Any) -> None:
    octets = spo2(0x02, stamp(0x3A, COUNTER_MS, 4))
    for size in range(len(octets)):
        assert reason(octets[:size]) in ("truncated", "bad_size")
    assert refuse("2BDD", "0301") == "truncated"
