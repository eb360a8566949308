"""Frames through the pure ingest: whose, when, seen before; every part accounted; nothing but
Readings and Rejects.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import replay_frames
from support.tables import rows

from rpm_stream.ingest.gatt.decoders import DECODERS
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.frame_output import parts_of
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device
from rpm_stream.records import Position

# 78 a minute and two RR intervals: three parts
HR = {"characteristic": "2A37", "payload": "164e1b031203"}


def notification(
    minutes: float, characteristic: str = "2A37", payload: str = "0048"
) -> dict[str, Any]:
    return {"at": stamp(minutes), "characteristic": characteristic, "payload": payload}


class Bench:
    """One device's ingest, as the service runs it."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.ingest = Ingest(shipped(), registry_of(entries or (worn(),)), recorded_time=True)
        self.state = DeviceState()
        self.offset = 0

    def step(self, value: dict[str, Any] | bytes, key: str | None = "d") -> Ingested:
        self.offset += 1
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        return self.ingest.step(
            self.state, FrameMessage(key=key, value=body, position=position, received_at=START)
        )


def values(done: Ingested) -> list[tuple[str, str | None]]:
    return [
        (reading.vital, reading.value) for message in done.readings for reading in message.readings
    ]


def reasons(done: Ingested) -> list[str]:
    return [reject.reason for reject in done.rejects]


def balanced(done: Ingested) -> bool:
    """Law 1, in parts."""
    account = done.account
    readings = sum(len(message.readings) for message in done.readings)
    return (
        account.parts == account.readings + account.duplicates + sum(account.rejects.values())
        and account.readings == readings
        and sum(account.rejects.values()) == sum(map(parts_of, done.rejects))
    )


def test_every_value_of_a_payload_is_a_part() -> None:
    done = Bench().step(frame([{"at": stamp(0), **HR}], 0))
    assert [vital for vital, _ in values(done)].count("rr_interval") == 2
    assert (done.account.parts, done.account.readings) == (3, 3)


def test_an_unknown_device_is_one_reject_for_all_parts_of_a_notification() -> None:
    done = Bench(worn(device="other")).step(frame([{"at": stamp(0), **HR}], 0))
    assert reasons(done) == ["unknown_device"]
    assert (done.rejects[0].parts, done.account.rejects) == ((0, 1, 2), {"unknown_device": 3})
    assert balanced(done)


def test_a_frame_twice_is_all_duplicates() -> None:
    bench, sent = (
        Bench(),
        frame([{"at": stamp(0), **HR}, measurement(0, "heart_rate", "70")][:1], 0),
    )
    bench.step(sent)
    again = bench.step(sent)
    assert (again.account.readings, again.account.duplicates) == (0, 3)


def test_the_same_reading_in_another_frame_is_a_duplicate() -> None:
    bench = Bench()
    bench.step(frame([notification(0), notification(1)], 1, seq=1))
    later = bench.step(frame([notification(1), notification(2)], 2, seq=2, gateway="g2"))
    assert (later.account.readings, later.account.duplicates) == (1, 1)


def test_equal_entries_of_one_instant_are_repeats_of_one() -> None:
    """A radio library hands a notification over twice; the account counts each."""
    bench = Bench()
    first, again = (
        bench.step(frame([notification(0)] * 3, 0, seq=1)),
        bench.step(frame([notification(0)] * 4, 0, seq=2)),
    )
    assert (first.account.readings, first.account.duplicates) == (1, 2)
    assert (again.account.readings, again.account.duplicates) == (0, 4)


def test_a_meters_own_time_and_not_the_gateways_identifies_its_value() -> None:
    """The record is sent again from memory, an hour later, by a gateway that thinks itself in
    another zone.
    """
    bench, payload = Bench(), "020100ea070301070000" + "64b0" + "11"
    bench.step(frame([notification(0, "2A18", payload)], 0, seq=1, utc_offset="+01:00"))
    again = bench.step(frame([notification(60, "2A18", payload)], 60, seq=2, utc_offset="+02:00"))
    assert again.account.duplicates == 1


def test_a_clock_within_thirty_days_before_and_five_minutes_after_counts() -> None:
    def flags(hour: int, minute: int, month: int = 3, day: int = 1) -> tuple[str, ...]:
        # time stamp; 36.5 Cel
        payload = "02" + "6d0100ff" + f"ea07{month:02x}{day:02x}{hour:02x}{minute:02x}00"
        done = Bench().step(frame([notification(0, "2A1C", payload)], 0, utc_offset="Z"))
        return next(reading.flags for message in done.readings for reading in message.readings)

    assert flags(8, 5) == ()
    assert "device_time_ignored" in flags(8, 6)
    assert flags(8, 0, month=1, day=30) == ()
    assert "device_time_ignored" in flags(7, 59, month=1, day=30)


def test_the_registrys_offset_counts_before_the_frames() -> None:
    payload = "02" + "6d0100ff" + "ea070301090000"  # 09:00 local
    done = Bench(worn(utc_offset="+01:00")).step(
        frame([notification(0, "2A1C", payload)], 0, utc_offset="+03:00")
    )
    (reading,) = (reading for message in done.readings for reading in message.readings)
    assert (reading.measured_at, reading.utc_offset) == (START, "+01:00")


def test_future_too_old_unassigned() -> None:
    bench = Bench(
        worn(), {"v": 1, "device": "e", "assignments": [{"patient": "p", "until": stamp(0)}]}
    )
    assert reasons(bench.step(frame([notification(60 * 24)], 0))) == ["future_time"]
    assert reasons(bench.step(frame([notification(0)], 0, device="e"), key="e")) == ["unassigned"]
    bench.step(frame([notification(0)], 0, seq=2))
    week = 7 * 24 * 60
    assert values(bench.step(frame([notification(-week)], 0, seq=3)))
    assert reasons(bench.step(frame([notification(-week - 1)], 0, seq=4))) == ["too_old"]


def test_a_device_changes_hands_at_an_instant() -> None:
    swap = [{"patient": "a", "until": stamp(10)}, {"patient": "b", "from": stamp(10)}]
    bench = Bench({"v": 1, "device": "d", "assignments": swap})
    done = bench.step(frame([notification(9.99), notification(10)], 11))
    assert [(message.patient, len(message.readings)) for message in done.readings] == [
        ("a", 1),
        ("b", 1),
    ]


def test_two_wearers_at_one_time_are_nobody() -> None:
    both = [{"patient": "a"}, {"patient": "b", "from": stamp(0)}]
    bench = Bench({"v": 1, "device": "d", "assignments": both})
    assert reasons(bench.step(frame([notification(0)], 0))) == ["identity_conflict"]


@pytest.mark.parametrize(
    ("vital", "value", "unit", "reason"),
    rows("""
        heart_rate        301   /min    implausible
        heart_rate        70    Hz      unknown_unit
        aura              7     /min    unknown_vital
        body_temperature  98.6  Cel     implausible
        glucose           5.5   mg/dL   implausible
        glucose           100   mmol/L  implausible
        systolic          120   mmhg    unknown_unit
        heart_rate        1e2   /min    bad_schema
    """),
)
def test_values_that_are_refused(vital: str, value: str, unit: str, reason: str) -> None:
    """Law 10: a unit is never guessed by the size of the value."""
    done = Bench().step(
        frame([measurement(0, vital, value, unit), measurement(0, "heart_rate", "70")], 0)
    )
    assert reasons(done) == [reason]
    assert values(done) == [("heart_rate", "70")]


def test_pressures_that_no_cuff_measures_are_refused_together() -> None:
    cuff = [
        measurement(0, "systolic", "80"),
        measurement(0, "diastolic", "80"),
        measurement(0, "heart_rate", "70"),
    ]
    done = Bench().step(frame(cuff, 0))
    assert reasons(done) == ["implausible", "implausible"]
    # 120 mm[Hg]
    mixed = [measurement(1, "systolic", "16", "kPa"), measurement(1, "diastolic", "80")]
    assert reasons(Bench().step(frame(mixed, 1))) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "e"}, "identity_conflict"),
        ({"v": 2}, "bad_schema"),
        ({"seq": -1}, "bad_schema"),
        ({"seq": 10**40}, "bad_schema"),
        ({"sent_at": "2026-03-01T08:00:00"}, "bad_schema"),
        ({"sent_at": "0001-01-01T00:00:00+14:00"}, "bad_schema"),
        ({"measurements": []}, "bad_schema"),
        ({"notifications": []}, "bad_schema"),
        ({"measurements": [{}] * 1001}, "too_large"),
        ({"gateway": "g" * 300_000}, "too_large"),
    ],
)
def test_frames_that_are_refused_whole(change: dict[str, Any], reason: str) -> None:
    done = Bench().step({**frame([measurement(0, "heart_rate", "70")], 0), **change})
    assert reasons(done) == [reason]
    assert balanced(done)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
field_names = st.sampled_from(
    [*frame([notification(0)], 0), "measurements", "resources", "utc_offset"]
)
times = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", stamp(0), stamp(-9e6)]
)
entries = st.fixed_dictionaries(
    {
        "at": times,
        "characteristic": st.sampled_from([*sorted(DECODERS), "2A38", "x"]),
        "payload": st.binary(max_size=40).map(bytes.hex) | st.text(max_size=6),
    }
) | st.fixed_dictionaries(
    {
        "at": times,
        "vital": st.sampled_from(["heart_rate", "glucose", "systolic", "diastolic", "aura", ""]),
        "value": st.sampled_from(["70", "0", "-1", "9" * 24, "5.5", "x", ""]),
        "unit": st.sampled_from(["/min", "mg/dL", "mmol/L", "mm[Hg]", "kPa", ""]),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_one_reject(value: bytes) -> None:
    """Law 7."""
    done = Bench().step(value)
    assert len(done.rejects) == 1
    assert "internal_error" not in reasons(done)
    assert balanced(done)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(field_names, json_values, max_size=3), st.none() | st.sampled_from(["d", ""])
)
def test_any_json_in_any_field_is_readings_or_rejects(
    change: dict[str, Any], key: str | None
) -> None:
    """Law 7."""
    done = Bench().step({**frame([notification(0)], 0), **change}, key)
    assert balanced(done)
    assert "internal_error" not in reasons(done)


@settings(max_examples=300, deadline=None)
@given(st.lists(entries, min_size=1, max_size=5), times)
def test_any_entries_balance_and_the_state_can_be_sealed(
    found: list[dict[str, Any]], sent_at: str
) -> None:
    """Laws 1 and 7."""
    bench = Bench()
    told: set[str] = set()
    for seq in range(2):
        done = bench.step(frame(found, 0, seq=seq, sent_at=sent_at))
        assert balanced(done)
        assert "internal_error" not in reasons(done)
        assert len({reject.id for reject in done.rejects}) == len(done.rejects)
        assert set(done.account.known_rejects) <= told, (
            "an account names a reject that was never written"
        )
        told |= {reject.id for reject in done.rejects}
    assert pack_device(unpack_device(pack_device(bench.state))) == pack_device(bench.state)


def test_one_broken_frame_among_good_ones_changes_nothing_for_them() -> None:
    good = [frame([notification(minute)], minute, seq=minute) for minute in range(3)]
    bad: list[Any] = [
        b"\xff\x00",
        b"{",
        {**good[0], "seq": None},
        frame([notification(0, "2A37", "")], 0, seq=9),
    ]
    alone = [each for each in replay_frames(good, [worn()]) if each[0] != "reject"]
    mixed = replay_frames([bad[0], good[0], bad[1], bad[2], good[1], bad[3], good[2]], [worn()])
    assert [each for each in mixed if each[0] != "reject"] == alone
    assert [kind for kind, _ in mixed].count("reject") == 4


def test_an_absent_value_is_a_reading_with_its_reason() -> None:
    """Law 8: 2A5F with SpO2 NaN."""
    done = Bench().step(frame([notification(0, "2A5F", "00ff074800")], 0))
    found = {
        reading.vital: (reading.value, reading.absent)
        for message in done.readings
        for reading in message.readings
    }
    assert found == {"oxygen_saturation": (None, "not-a-number"), "pulse_rate": ("72", None)}


def test_readings_of_a_frame_are_chunked_by_500() -> None:
    done = Bench().step(
        frame([measurement(minute / 60, "heart_rate", "70") for minute in range(1000)], 20)
    )
    assert [(message.chunk, len(message.readings)) for message in done.readings] == [
        (0, 500),
        (1, 500),
    ]


def compound(text: int, numbers: int, value: int = 12) -> str:
    """2B8B: so many octets of text, which JSON writes with six each, and so many breathing rates
    beside it.
    """
    components = struct.pack("<IBH", 1234, 3, text) + b"\x01" * text
    components += struct.pack("<IBHI", 151562, 1, 2784, value) * numbers
    body = struct.pack("<HB", 0, numbers + 1) + components
    return (struct.pack("<BBH", 3, 7, len(body) + 3) + body).hex()


def test_readings_that_are_large_are_chunked_by_octets() -> None:
    """By count alone this frame of 78 KB gave messages of 2.9 MB, which no broker takes: ingest
    would have ended at it again and again.
    """
    bench = Bench()
    done = bench.step(
        frame(
            [notification(minute, "2B8B", compound(900 + minute, 90)) for minute in range(20)], 20
        )
    )
    assert (balanced(done), done.account.readings) == (True, 1800)
    assert [message.chunk for message in done.readings] == list(range(len(done.readings)))
    assert max(len(msgspec.json.encode(message)) for message in done.readings) < 1024 * 1024
    told = [
        (reading.measured_at, reading.id)
        for message in done.readings
        for reading in message.readings
    ]
    assert told == sorted(told)


def test_refused_values_that_are_large_do_not_fill_a_message_either() -> None:
    done = Bench().step(
        frame([notification(minute, "2B8B", compound(900, 90, 999)) for minute in range(8)], 20)
    )
    assert (balanced(done), reasons(done)) == (True, ["implausible"] * 720)
    (message,) = done.readings
    assert message.refused
    assert len(msgspec.json.encode(message)) < 1024 * 1024


def test_the_dense_past_is_known_for_seven_days() -> None:
    """One value a second for three hours, then all of it again: nothing is lost, nothing is
    doubled.
    """
    bench = Bench()
    sent = [
        frame([notification(start + second / 60) for second in range(600)], start + 10, seq=start)
        for start in range(0, 180, 10)
    ]
    assert sum(bench.step(each).account.readings for each in sent) == 600 * 18
    assert sum(bench.step(each).account.duplicates for each in sent) == 600 * 18
    assert len(pack_device(bench.state)) < 48 * 1024
