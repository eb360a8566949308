"""A refusal is written once.

Its id follows from what was refused, so sending that again must not give the id a second content.
The account of what was sent again names the reject that was written. A refusal for another reason
is written as a new reject.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from support.device import Device
from support.frames import frame, measurement, worn

from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.frame_output import parts_of
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.records import Assignment, DeviceEntry, Position

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
FRAME = json.dumps(
    {
        "v": 1,
        "frame": "f",
        "gateway": "g",
        "device": "d",
        "seq": 1,
        "boot": "b",
        "sent_at": "2026-03-01T08:00:00Z",
        "notifications": [
            {"at": "2026-03-01T08:00:00Z", "characteristic": "2A37", "payload": payload}
            for payload in ("0048", "16")
        ],
    }
).encode()


def sent(value: bytes, times: int) -> list[dict[str, int]]:
    ingest = Ingest(
        shipped(), Registry([DeviceEntry(device="d", assignments=(Assignment(patient="p"),))])
    )
    state = DeviceState()
    places = [Position(topic="t", partition=0, offset=offset) for offset in range(times)]
    done = [
        ingest.step(state, FrameMessage(key="d", value=value, position=place, received_at=AT))
        for place in places
    ]
    for each in done:
        assert each.account.parts == each.account.readings + each.account.duplicates + sum(
            map(parts_of, each.rejects)
        )
    return [
        {
            "readings": each.account.readings,
            "duplicates": each.account.duplicates,
            "rejects": len(each.rejects),
        }
        for each in done
    ]


def test_a_bad_entry_that_comes_again_is_a_duplicate() -> None:
    assert sent(FRAME, 2) == [
        {"readings": 1, "duplicates": 0, "rejects": 1},
        {"readings": 0, "duplicates": 2, "rejects": 0},
    ]


def test_the_same_octets_of_two_devices_are_two_refusals() -> None:
    ingest = Ingest(shipped(), Registry([]))
    ids = set()
    for offset, key in enumerate(("a", "b")):
        place = Position(topic="t", partition=0, offset=offset)
        done = ingest.step(
            DeviceState(), FrameMessage(key=key, value=b"{", position=place, received_at=AT)
        )
        ids |= {reject.id for reject in done.rejects}
    assert len(ids) == 2


def test_a_frame_that_cannot_be_read_is_refused_once() -> None:
    first, second = sent(b"{", 2)
    assert (first["rejects"], second["rejects"], second["duplicates"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("status", "flag"), [("2000", "result_too_high"), ("4000", "result_too_low")]
)
def test_a_meter_that_shows_no_number_still_says_hi_or_lo(status: str, flag: str) -> None:
    """2A18 without a concentration, but with the result beyond its range.

    The reading that matters most has no value.
    """
    (reading,) = decode("2A18", bytes.fromhex("08" + "0100" + "e907030e071e00" + status)).readings
    assert (reading.vital, reading.value, flag in reading.flags) == ("glucose", None, True)


def test_the_account_of_what_came_again_names_its_reject() -> None:
    for value in (FRAME, b"{"):
        ingest = Ingest(
            shipped(), Registry([DeviceEntry(device="d", assignments=(Assignment(patient="p"),))])
        )
        state = DeviceState()
        places = [Position(topic="t", partition=0, offset=offset) for offset in range(2)]
        first, second = (
            ingest.step(state, FrameMessage(key="d", value=value, position=place, received_at=AT))
            for place in places
        )
        assert first.account.known_rejects == ()
        assert second.account.known_rejects == tuple(reject.id for reject in first.rejects)


def test_what_is_refused_for_another_reason_is_told() -> None:
    """A value without a wearer is sent again when the device has one.

    That it is implausible must then be reported.
    """
    sent = frame([measurement(0, "heart_rate", "70"), measurement(1, "heart_rate", "999")], 2)
    device = Device({"v": 1, "device": "d"})
    first = device.send(sent)
    assert [reject.reason for reject in first.rejects] == ["unassigned", "unassigned"]
    device.put(worn())
    again = device.send(sent)
    assert [reject.reason for reject in again.rejects] == ["implausible"]
    assert (again.account.readings, again.account.duplicates) == (1, 0)
    assert [each.id for message in again.readings for each in message.refused] == [
        again.rejects[0].id
    ]
    ids = {reject.id for reject in (*first.rejects, *again.rejects)}
    assert len(ids) == 3
    last = device.send(sent)
    assert (last.account.duplicates, last.account.known_rejects) == (2, (again.rejects[0].id,))


def test_another_value_of_the_frame_that_is_refused_for_a_known_reason_is_told() -> None:
    sent = frame([measurement(0, "heart_rate", "999"), measurement(1, "heart_rate", "998")], 2)
    until = {"patient": "p", "from": None, "until": "2026-03-01T08:00:30Z"}
    device = Device({"v": 1, "device": "d", "assignments": [until]})
    assert [reject.reason for reject in device.send(sent).rejects] == ["implausible", "unassigned"]
    device.put(worn())
    done = device.send(sent)
    assert [reject.reason for reject in done.rejects] == ["implausible"]
    assert (done.account.duplicates, len(done.account.known_rejects)) == (1, 1)


def test_a_thousand_refusals_of_a_frame_come_again_as_duplicates() -> None:
    """There are more than are kept one by one."""
    sent = frame([measurement(minute / 60, "heart_rate", "999") for minute in range(900)], 20)
    device = Device(worn())
    first, again = device.send(sent), device.send(sent)
    assert (len(first.rejects), len(again.rejects), again.account.duplicates) == (900, 0, 900)
    assert again.account.known_rejects == tuple(reject.id for reject in first.rejects)


def test_one_reject_for_one_cause_of_a_notification() -> None:
    """All parts without a wearer share one; each implausible value has its own."""
    cuff = {
        "at": "2026-03-01T08:00:00Z",
        "characteristic": "2A35",
        "payload": "04" + "2c01f40109004800",
    }
    device = Device({"v": 1, "device": "d"})
    (nobodys,) = device.send(frame([cuff], 0)).rejects
    assert (nobodys.reason, nobodys.parts, nobodys.origin and nobodys.origin.part) == (
        "unassigned",
        (0, 1, 2, 3),
        0,
    )
    device.put(worn())
    done = device.send(frame([cuff], 0))
    refused = [
        (reject.reason, reject.origin and reject.origin.part, reject.parts)
        for reject in done.rejects
    ]
    assert refused == [("implausible", part, ()) for part in (0, 1, 2)]
    assert (done.account.readings, done.account.rejects) == (1, {"implausible": 3})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (measurement(0, "Herzfrequenz", "70", "/min"), "no vital 'Herzfrequenz' in"),
        (measurement(0, "Heart_Rate", "70", "/min"), "no vital 'Heart_Rate' in"),
        (measurement(0, "it's \u00e9\\n", "70", "/min"), "no vital 'it's \u00e9\\n' in"),
        (
            {**measurement(0, "weight", "70"), "unit": "KG"},
            "weight is not measured in 'KG'; it may be kg",
        ),
        (
            {"at": "2026-03-01T08:00:00Z", "characteristic": "2a99", "payload": "00"},
            "no decoder for '2a99'",
        ),
        (
            {
                "at": "2026-03-01T08:00:00Z",
                "characteristic": "6E400003-b5a3-f393-e0a9-e50e24dcca9e",
                "payload": "00",
            },
            "no decoder for '6E400003-b5a3-f393-e0a9-e50e24dcca9e'",
        ),
        (
            {"at": "2026-03-01T08:00:00Z", "characteristic": "Jane Doe", "payload": "00"},
            "no decoder for this name",
        ),
    ],
)
def test_a_detail_repeats_the_name_as_it_was_sent(entry: dict[str, str], said: str) -> None:
    (reject,) = Device(worn()).send(frame([entry], 0)).rejects
    assert said in reject.detail
