"""A refusal is written once: its id follows from what was refused, so a re-send must not give it a second content."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from rpm_stream.ingest import decode
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.records import Assignment, DeviceEntry, Position
from rpm_stream.registry import Registry

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
FRAME = json.dumps(
    {
        "v": 1, "frame": "f", "gateway": "g", "device": "d", "seq": 1, "boot": "b", "sent_at": "2026-03-01T08:00:00Z",
        "notifications": [
            {"at": "2026-03-01T08:00:00Z", "characteristic": "2A37", "payload": payload} for payload in ("0048", "16")
        ],
    }
).encode()  # fmt: skip


def sent(value: bytes, times: int) -> list[dict[str, int]]:
    ingest = Ingest(shipped(), Registry([DeviceEntry(device="d", assignments=(Assignment(patient="p"),))]))
    state = DeviceState()
    places = [Position(topic="t", partition=0, offset=offset) for offset in range(times)]
    done = [ingest.step(state, FrameMessage(key="d", value=value, position=place, received_at=AT)) for place in places]
    for each in done:
        assert each.account.parts == each.account.readings + each.account.duplicates + len(each.rejects)
    return [
        {"readings": each.account.readings, "duplicates": each.account.duplicates, "rejects": len(each.rejects)}
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
        done = ingest.step(DeviceState(), FrameMessage(key=key, value=b"{", position=place, received_at=AT))
        ids |= {reject.id for reject in done.rejects}
    assert len(ids) == 2


def test_a_frame_that_cannot_be_read_is_refused_once() -> None:
    first, second = sent(b"{", 2)
    assert (first["rejects"], second["rejects"], second["duplicates"]) == (1, 0, 1)


@pytest.mark.parametrize(("status", "flag"), [("2000", "result_too_high"), ("4000", "result_too_low")])
def test_a_meter_that_shows_no_number_still_says_hi_or_lo(status: str, flag: str) -> None:
    """2A18 without a concentration but with the result beyond its range: the reading that matters most has no value."""
    (reading,) = decode("2A18", bytes.fromhex("08" + "0100" + "e907030e071e00" + status)).readings
    assert (reading.vital, reading.value, flag in reading.flags) == ("glucose", None, True)
