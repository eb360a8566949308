"""Generic Health Sensor (provisional): built messages, their times, and what is refused."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

import pytest

from rpm_stream.ingest.gatt.decoders import DecodeError, decode
from rpm_stream.ingest.gatt.health_codes import UNITS, VITALS

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
    return (
        bytes([flags])
        + counter.to_bytes(6, "little")
        + b"\x06"
        + zone.to_bytes(1, "little", signed=True)
    )


def reason(octets: bytes, characteristic: str = "2B8B") -> str:
    with pytest.raises(DecodeError) as caught:
        decode(characteristic, octets)
    return caught.value.reason


def test_a_number() -> None:
    (reading,) = decode("2B8B", spo2()).readings
    assert (reading.vital, reading.value, reading.unit, reading.device_time) == (
        "oxygen_saturation",
        "97",
        "%",
        None,
    )
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


@pytest.mark.parametrize(
    ("resolution", "per_second"), [(0x00, 1), (0x04, 10), (0x08, 1000), (0x0C, 10_000)]
)
def test_resolutions(resolution: int, per_second: int) -> None:
    (reading,) = decode(
        "2B8B", spo2(0x02, stamp(0x22 | resolution, 795_252_600 * per_second, 0))
    ).readings
    assert reading.attributes["device_time_utc"] == "2025-03-14T07:30:00Z"


@pytest.mark.parametrize(
    ("flags", "counter", "zone"), [(0x22, 2**48 - 1, 0), (0x32, 0, 57), (0x32, 0, -49)]
)
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
    # skin temperature
    assert reason(message(1, 1, struct.pack("<I", 150388) + NUMBER_97)) == "unknown_vital"
    assert reason(message(1, 0, NUMBER_97)) == "unknown_vital"  # no type at all
    assert reason(spo2(value=struct.pack("<HI", 1, 97))) == "unknown_unit"


def test_an_unknown_component_rejects_the_whole() -> None:
    component = struct.pack("<IB", 150021, 1) + struct.pack("<HI", 0x0F20, 128)
    unknown = struct.pack("<IB", 1, 1) + struct.pack("<HI", 0x0F20, 128)
    whole = message(7, 0, b"\x02" + component + component)
    assert [
        (r.part, r.vital, r.attributes["component_type"]) for r in decode("2B8B", whole).readings
    ] == [
        (0, "systolic", 150021),
        (1, "systolic", 150021),
    ]
    assert reason(message(7, 0, b"\x02" + component + unknown)) == "unknown_vital"
    assert (
        reason(message(7, 0, b"\x01" + struct.pack("<IB", 150021, 7) + bytes(6)))
        == "reserved_value"
    )


def test_control_solution_is_flagged() -> None:
    octets = message(1, 1, struct.pack("<I", 160208) + struct.pack("<HI", 264274 & 0xFFFF, 100))
    (reading,) = decode("2B8B", octets).readings
    assert (reading.vital, reading.unit, reading.flags) == (
        "glucose",
        "mg/dL",
        ("control_solution",),
    )


def test_what_has_no_vital_gives_attributes() -> None:
    assert decode("2B8B", message(2, 0, struct.pack("<I", 5))).attributes["value"] == 5
    assert decode("2B8B", message(3, 0, b"\x03\x00a\xc3\xa4")).attributes["value"] == "a\xe4"
    samples = (
        struct.pack("<HIIIBBI", PERCENT & 0xFFFF, 1, 0, 0xFE000008, 1, 2, 2) + b"\x01\x00\x02\x00"
    )
    attributes = decode("2B8B", message(4, 0, samples)).attributes
    assert (attributes["unit"], attributes["period_s"], attributes["data"]) == (
        "%",
        "0.08",
        "01000200",
    )


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


# --- the other classes, components, bundles -------------------------------------------------------


def tlv(code: int, form: int, value: bytes) -> bytes:
    return struct.pack("<IHB", code, len(value), form) + value


def inner(kind: int, flags: int, body: bytes) -> bytes:
    """An observation inside of a bundle: no segment octet."""
    return message(kind, flags, body, segment=b"")


def bundle(flags: int, fields: bytes, *members: bytes) -> bytes:
    return message(0xFF, flags, fields + bytes([len(members)]) + b"".join(members))


NUMBER = inner(1, 1, struct.pack("<I", SPO2) + NUMBER_97)
PULSE = inner(1, 1, struct.pack("<IHI", 149530, 264864 & 0xFFFF, 72))


def test_compound_discrete_and_compound_state() -> None:
    assert decode("2B8B", message(5, 0, struct.pack("<BII", 2, 7, 8))).attributes["value"] == [7, 8]
    assert decode("2B8B", message(6, 0, bytes.fromhex("02 0f00 0300 0100"))).attributes[
        "value"
    ] == {
        "supported": "0f00",
        "state_or_event": "0300",
        "bits": "0100",
    }


@pytest.mark.parametrize(
    ("form", "octets", "value"),
    [
        (0x04, b"\xff", 255),
        (0x06, b"\x02\x01", 258),
        (0x07, b"\x00\x00\x01", 65536),
        (0x08, b"\x01\x00\x00\x00", 1),
        (0x09, b"\xff" * 6, 2**48 - 1),
        (0x0A, b"\x01" + bytes(7), 1),
        (0x0C, b"\xff", -1),
        (0x0E, b"\xff\xff", -1),
        (0x0F, b"\xff\xff\xff", -1),
        (0x10, b"\xfe\xff\xff\xff", -2),
        (0x19, b"\xc3\xa4", "\xe4"),
        (0x1B, b"\x01\x02", "0102"),  # a format that is kept as it came
    ],
)
def test_type_length_values(form: int, octets: bytes, value: object) -> None:
    expected = [{"type": 67996, "format": form, "value": value}]
    assert (
        decode("2B8B", message(8, 0, b"\x01" + tlv(67996, form, octets))).attributes["value"]
        == expected
    )
    (reading,) = decode("2B8B", spo2(0x200, b"\x01" + tlv(67996, form, octets))).readings
    assert (reading.value, reading.attributes["tlvs"]) == ("97", expected)


def test_type_length_values_that_contradict_themselves() -> None:
    assert reason(message(8, 0, b"\x01" + tlv(1, 0x06, b"\x01"))) == "bad_size"
    assert reason(message(8, 0, b"\x02" + tlv(1, 0x04, b"\x01"))) == "truncated"
    assert reason(message(8, 0, b"\x01" + tlv(1, 0x19, b"\xff"))) == "reserved_value"


def test_components_that_are_no_numbers_stand_beside_those_that_are() -> None:
    number = struct.pack("<IB", SPO2, 1) + NUMBER_97
    others = {
        2: (struct.pack("<I", 5), 5),
        3: (b"\x02\x00ok", "ok"),
        5: (b"\x01" + struct.pack("<I", 6), [6]),
        6: (b"\x01\x0f\x03\x01", {"supported": "0f", "state_or_event": "03", "bits": "01"}),
    }
    for kind, (octets, value) in others.items():
        whole = message(7, 0, b"\x02" + struct.pack("<IB", 77, kind) + octets + number)
        (reading,) = decode("2B8B", whole).readings
        assert (reading.vital, reading.value, reading.part) == ("oxygen_saturation", "97", 0)
        assert reading.attributes["components"] == [{"component_type": 77, "value": value}]
    alone = message(7, 0, b"\x01" + struct.pack("<IB", 77, 2) + struct.pack("<I", 5))
    assert decode("2B8B", alone).attributes["components"] == [{"component_type": 77, "value": 5}]
    samples = struct.pack("<HIIIBBI", PERCENT & 0xFFFF, 1, 0, 1, 1, 1, 1) + b"\x07"
    waveform = decode(
        "2B8B", message(7, 0, b"\x01" + struct.pack("<IB", 77, 4) + samples)
    ).attributes["components"]
    assert waveform[0]["value"]["data"] == "07"


def test_a_bundle_gives_its_time_and_patient_to_its_members() -> None:
    fields = stamp(0x3A, COUNTER_MS, 4) + b"\x03"
    readings = decode("2B8B", bundle(0x22, fields, NUMBER, PULSE)).readings
    assert [(each.part, each.vital, each.value) for each in readings] == [
        (0, "oxygen_saturation", "97"),
        (1, "pulse_rate", "72"),
    ]
    assert {each.device_time for each in readings} == {datetime(2025, 3, 14, 8, 30)}
    assert {each.attributes["patient"] for each in readings} == {3}
    assert {each.attributes["device_time_utc"] for each in readings} == {"2025-03-14T07:30:00Z"}


def test_a_member_with_its_own_time_and_type_keeps_them() -> None:
    own = inner(1, 3, struct.pack("<I", SPO2) + stamp(0x1A, COUNTER_MS + 60_000, 4) + NUMBER_97)
    typed = inner(1, 0, NUMBER_97)
    fields = struct.pack("<I", SPO2) + stamp(0x3A, COUNTER_MS, 4)
    off, inherited = decode("2B8B", bundle(0x03, fields, own, typed)).readings
    assert (off.device_time, off.flags) == (None, ("not_current_timeline",))
    assert "device_time_utc" not in off.attributes
    assert (inherited.vital, inherited.device_time, inherited.flags) == (
        "oxygen_saturation",
        datetime(2025, 3, 14, 8, 30),
        (),
    )


def test_what_has_no_vital_in_a_bundle_is_kept_once() -> None:
    text = inner(3, 0x10, struct.pack("<I", 12) + b"\x02\x00ok")
    first, second = decode("2B8B", bundle(0, b"", text, NUMBER, PULSE)).readings
    assert first.attributes["members"] == [{"class": 3, "object_id": 12, "value": "ok"}]
    assert "members" not in second.attributes
    assert decode("2B8B", bundle(0, b"", text)).attributes["members"] == [
        {"class": 3, "object_id": 12, "value": "ok"}
    ]
    assert decode("2B8B", bundle(0, b"")).readings == ()


def test_bundles_that_are_wrong_are_refused_whole() -> None:
    assert reason(bundle(0, b"", inner(0xFF, 0, b"\x00"))) == "reserved_value"
    assert (
        reason(bundle(0, b"", NUMBER, inner(1, 1, struct.pack("<I", 1) + NUMBER_97)))
        == "unknown_vital"
    )
    cut = bytearray(bundle(0, b"", NUMBER))
    for size in range(len(cut)):
        assert reason(bytes(cut[:size])) in ("truncated", "bad_size")
    assert reason(message(0xFF, 0, b"\x02" + NUMBER)) == "truncated"


def test_a_stored_bundle_is_known_by_record_and_time() -> None:
    whole = bundle(0x02, stamp(0x3A, COUNTER_MS, 4), NUMBER, PULSE)
    readings = decode("2BDD", b"\x03" + struct.pack("<I", 9) + whole[1:]).readings
    assert {each.key for each in readings} == {f"record/9/{COUNTER_MS}"}
    assert {each.attributes["record_id"] for each in readings} == {9}
