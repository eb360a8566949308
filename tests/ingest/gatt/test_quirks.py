"""Each row of devices.toml does what it says, for its model and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.ingest.gatt.crc import crc16
from rpm_stream.ingest.gatt.decoders import DECODERS, DecodeError, decode
from rpm_stream.ingest.gatt.quirks import Read, reader
from rpm_stream.knowledge import KnowledgeError, load, shipped
from rpm_stream.knowledge.devices import DeviceModel, Tail
from rpm_stream.records import Payload

MODELS = shipped().devices
Refuses = Callable[[str, str], str]


def of(model: str) -> Read:
    return reader(MODELS[model])


def read(model: str, characteristic: str, octets: str) -> Payload:
    return of(model)(characteristic, bytes.fromhex(octets))


def values(payload: Payload) -> list[tuple[str, str | None, str | None]]:
    return [(reading.vital, reading.value, reading.absent) for reading in payload.readings]


def with_crc(octets: str) -> str:
    return octets + crc16(bytes.fromhex(octets)).to_bytes(2, "little").hex()


@pytest.mark.parametrize(
    ("octets", "by_rule", "by_model"),
    [
        ("09e0780006000410" + "01", 0x011004, 0x041001),  # all three
        ("07207800060004", 0x040000, 0x040000),  # the warning alone stands where it always does
        ("0860780006000410", 0x100400, 0x041000),  # calibration and warning
    ],
)
def test_cgm_octets_in_the_order_of_the_model(octets: str, by_rule: int, by_model: int) -> None:
    assert decode("2AA7", bytes.fromhex(octets)).readings[0].attributes["status"] == by_rule
    assert read("nRF5 SDK CGM", "2AA7", octets).readings[0].attributes["status"] == by_model


def test_cgm_octets_of_the_model_still_need_their_crc() -> None:
    """The CRC is over the octets as they were sent, whatever their order means."""
    octets = with_crc("0be078000600041001")
    assert read("nRF5 SDK CGM", "2AA7", octets).readings[0].flags == (
        "session_stopped",
        "temp_too_high",
        "below_hypo",
    )
    with pytest.raises(DecodeError, match="crc_mismatch"):
        read("nRF5 SDK CGM", "2AA7", octets[:-2] + "00")


def test_a_weight_below_zero() -> None:
    assert read("Detecto", "2A9D", "10c800").readings[0].value == "-1.000"
    assert read("Detecto", "2A9D", "00c800").readings[0].value == "1.000"
    assert read("Detecto", "2A9D", "100000").readings[0].value == "0.000"
    assert values(read("Detecto", "2A9D", "10ffff")) == [("weight", None, "error")]
    (reading,) = read("Detecto", "2A9D", "30c800").readings
    assert (reading.attributes, reading.flags) == ({"rfu": 0x20}, ("rfu",))
    assert decode("2A9D", bytes.fromhex("10c800")).readings[0].attributes == {"rfu": 0x10}


def test_a_body_composition_of_zeros_is_no_measurement() -> None:
    stub = "10020000" + "0000" + "0000"  # fat, muscle, impedance
    payload = read("Beurer BF788", "2A9C", stub)
    assert payload.readings == ()
    assert payload.attributes["stub"] is True
    assert [each.value for each in decode("2A9C", bytes.fromhex(stub)).readings] == ["0.0", "0.0"]
    # an impedance was measured
    assert len(read("Beurer BF788", "2A9C", "10020000" + "0000" + "8813").readings) == 2
    # a muscle percentage was
    assert len(read("Beurer BF788", "2A9C", "10020000" + "6400" + "0000").readings) == 2
    timed = "06020000" + "e907030e071e00" + "02" + "0000"
    assert read("Beurer BF788", "2A9C", timed).readings == ()  # whose and when is no measurement


def test_a_longer_header() -> None:
    body = "7800500060f0"
    assert values(read("two-octet header cuff", "2A35", "0099" + body)) == values(
        decode("2A35", bytes.fromhex("00" + body))
    )
    for size in range(8):
        with pytest.raises(DecodeError, match="truncated"):
            read("two-octet header cuff", "2A35", ("0099" + body)[: 2 * size])
    assert values(read("two-octet header cuff", "2A36", "00" + body)) == [
        ("cuff_pressure", "120", None)
    ]


def test_the_cuff_of_the_captured_payload() -> None:
    """flutter_blue issue 687: 117/85 (95), pulse 105, cut at 20 octets where its flags promise a
    status.
    """
    captured = "fe202700750055005f00e4070918100" + "93a690001"
    with pytest.raises(DecodeError, match="truncated"):
        read("four-octet header cuff", "2A35", captured)
    payload = read("four-octet header cuff", "2A35", captured + "0000")
    assert [value for _, value, _ in values(payload)] == ["117", "85", "95", "105"]
    assert payload.readings[0].device_time == datetime(2020, 9, 24, 16, 9, 58)


def test_a_ketone_record_is_no_glucose(refuse: Refuses) -> None:
    octets = "022d00e907030e071e00ffff11"
    (reading,) = read("CareSens", "2A18", octets).readings
    assert (reading.value, reading.absent, reading.flags) == (
        None,
        "not-performed",
        ("ketone_record",),
    )
    assert decode("2A18", bytes.fromhex(octets)).readings[0].value == "-10000"
    assert read("CareSens", "2A34", "022d0006").attributes == {"sequence": 45, "meal": "ketone"}
    assert decode("2A34", bytes.fromhex("022d0006")).attributes == {
        "sequence": 45,
        "meal": None,
        "meal_code": 6,
    }
    assert read("CareSens", "2A34", "022d0001").attributes["meal"] == "preprandial"


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("007f00ff00", [(None, "not-performed"), (None, "not-performed")]),
        ("007f004800", [(None, "not-performed"), ("72", None)]),
        ("006100ff00", [("97", None), (None, "not-performed")]),
        ("00f6f44800", [(None, "not-performed"), ("72", None)]),  # 127.0
        ("007e00fe00", [("126", None), ("254", None)]),
    ],
)
def test_no_finger(octets: str, expected: list[tuple[str | None, str | None]]) -> None:
    readings = read("oximeter without finger detection", "2A5F", octets).readings
    assert [(each.value, each.absent) for each in readings] == expected
    assert [("no_finger" in each.flags) for each in readings] == [
        value is None for value, _ in expected
    ]
    assert None not in [each.value for each in decode("2A5F", bytes.fromhex(octets)).readings]


def test_a_pressure_that_the_model_does_not_measure() -> None:
    octets = "04" + "7800" + "5000" + "ff07" + "4800"
    readings = read("Omron", "2A35", octets).readings
    assert [(each.vital, each.part) for each in readings] == [
        ("systolic", 0),
        ("diastolic", 1),
        ("pulse_rate", 3),
    ]
    assert len(decode("2A35", bytes.fromhex(octets)).readings) == 4
    measured = "00" + "7800" + "5000" + "6000"
    assert values(read("Omron", "2A35", measured)) == values(
        decode("2A35", bytes.fromhex(measured))
    )


@pytest.mark.parametrize(
    ("octets", "expected", "user", "status"),
    [
        ("566a0047000000ea07080b121f00003f000000", ["106", "71", "63"], 0, 0),
        ("56770046000000ea07080b1439000057010040", ["119", "70", "87"], 1, 0x40),
    ],
)
def test_a_cuff_with_a_tail_of_its_own(
    octets: str, expected: list[str], user: int, status: int
) -> None:
    """Beurer BM85, captured: 106/71 with pulse 63, and 119/70 with 87.

    Of an unknown model it is refused.
    """
    readings = read("Beurer BM85", "2A35", octets).readings
    assert [(each.vital, each.part) for each in readings] == [
        ("systolic", 0),
        ("diastolic", 1),
        ("pulse_rate", 3),
    ]
    assert [each.value for each in readings] == expected
    assert {each.attributes["user_id"] for each in readings} == {user}
    assert {each.attributes["status"] for each in readings} == {status}
    assert readings[0].device_time is not None and readings[0].device_time.year == 2026
    for other in set(MODELS) - {"Beurer BM85", "two-octet header cuff", "four-octet header cuff"}:
        with pytest.raises(DecodeError, match="trailing_bytes"):
            read(other, "2A35", octets)
    with pytest.raises(DecodeError, match="truncated"):
        read("Beurer BM85", "2A35", octets[:-2])
    with pytest.raises(DecodeError, match="trailing_bytes"):
        read("Beurer BM85", "2A35", octets + "00")


def test_a_tail_without_a_departure_is_as_specified() -> None:
    """For any flags: the columns at their defaults move no octet."""
    plain = reader(DeviceModel(source="s", tail=dict.fromkeys(("2A35", "2A36"), Tail())))
    time = "e907030e071e00"
    for flags in range(32):
        tail = (
            (time if flags & 2 else "")
            + "4800" * bool(flags & 4)
            + "05" * bool(flags & 8)
            + "0100" * (flags >> 4)
        )
        for name in ("2A35", "2A36"):
            octets = bytes.fromhex(f"{flags:02x}780050006000{tail}")
            assert plain(name, octets) == decode(name, octets)


def test_intervals_in_milliseconds() -> None:
    """1,000 ms are 1,024 ticks: read by the wrong unit a heart rate variability is 2.4 % off."""
    octets = "103ce803d007"
    assert [each.value for each in read("WHOOP", "2A37", octets).readings] == ["60", "1000", "2000"]
    plain = decode("2A37", bytes.fromhex(octets)).readings
    assert [each.value for each in plain] == ["60", "976.562", "1953.125"]
    assert [each.unit for each in plain] == [
        each.unit for each in read("WHOOP", "2A37", octets).readings
    ]


def test_every_row_names_its_source_and_is_tested() -> None:
    tested = {
        "nRF5 SDK CGM",
        "Detecto",
        "Beurer BF788",
        "two-octet header cuff",
        "four-octet header cuff",
        "CareSens",
        "oximeter without finger detection",
        "Omron",
        "Beurer BM85",
        "WHOOP",
    }
    assert set(MODELS) == tested
    assert all(row.source for row in MODELS.values())


@given(
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(sorted(DECODERS)),
    st.binary(max_size=40),
)
def test_any_octets_of_any_model(model: str, characteristic: str, octets: bytes) -> None:
    """Law 7 holds behind the table too."""
    try:
        payload = of(model)(characteristic, octets)
    except DecodeError as error:
        assert error.reason != "internal_error"
    else:
        parts = [reading.part for reading in payload.readings]
        assert parts == sorted(set(parts))


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=40))
def test_a_row_without_a_departure_changes_nothing(characteristic: str, octets: bytes) -> None:
    plain = reader(DeviceModel(source="none"))

    def outcome(one: Read) -> Payload | tuple[str, str]:
        try:
            return one(characteristic, octets)
        except DecodeError as error:
            return error.reason, error.detail

    assert outcome(plain) == outcome(decode)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ('not_measured = ["mean"]', "unknown vital mean"),
        ('cgm_octets = ["status", "status", "warning"]', "twice"),
        (
            'placeholders = [{ vital = "spo2", value = "127", absent = "error", flag = "f" }]',
            "unknown vital spo2",
        ),
        ('placeholders = [{ vital = "weight", value = "1", absent = "gone", flag = "f" }]', "gone"),
        ("below_zero_bit = 3", "below_zero_bit"),
        ('meals = { "six" = "ketone" }', "meals"),
        ("header = 2", "header"),
        ('tail = { "2A37" = { unflagged = ["user"] } }', "tail"),
        ('tail = { "2A35" = { unflagged = ["time"] } }', "time"),
        ('tail = { "2A35" = { big_endian = ["user"] } }', "user"),
        ('rr_unit = "s"', "rr_unit"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused(row: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(f'["model"]\nsource = "s"\n{row}\n', encoding="utf-8")
    with pytest.raises(KnowledgeError, match=text):
        load(tmp_path)


def test_a_clinic_may_add_a_row(tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text(
        '["model"]\nsource = "s"\nnot_measured = ["weight"]\n', encoding="utf-8"
    )
    assert load(tmp_path).devices.keys() == MODELS.keys() | {"model"}


ODD = reader(
    DeviceModel(
        source="a clinic's own row, odd but accepted",
        zeroed_stub=frozenset(DECODERS),
        header_octets=dict.fromkeys(DECODERS, 2),
        not_measured=frozenset({"systolic", "glucose", "weight", "heart_rate"}),
        below_zero_bit=7,
        cgm_octets=("warning", "status", "calibration"),
        tail=dict.fromkeys(
            ("2A35", "2A36"),
            Tail(big_endian=frozenset({"pulse"}), unflagged=frozenset({"user", "status"})),
        ),
        rr_unit="ms",
    )
)


def test_a_row_and_zeros_behind_any_flags_give_a_payload_or_a_refusal() -> None:
    """Law 7 for every column on every characteristic: an empty list of flags is no number
    either.
    """
    found = 0
    for name in DECODERS:
        for flags in range(256):
            for zeros in range(22):
                try:
                    ODD(name, bytes([flags, 0, *bytes(zeros)]))
                except DecodeError:
                    continue
                found += 1
    assert found > 1000
