"""Values that no body can have: rejects in every count, told to the judge beside the readings,
judged by nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from support.frames import START, frame, measurement, registry_of, worn
from support.replaying import last_alerts, replay_frames

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.records import Position

FINE, REFUSED = (
    measurement(0, "oxygen_saturation", "97"),
    measurement(1, "oxygen_saturation", "127"),
)


class Door:
    """One device's ingest."""

    def __init__(self, **device: Any) -> None:
        self.ingest = Ingest(shipped(), registry_of([worn(**device)]), recorded_time=True)
        self.state, self.offset = DeviceState(), 0

    def send(self, *entries: dict[str, Any]) -> Ingested:
        self.offset += 1
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        value = msgspec.json.encode(frame(entries, 5, seq=self.offset, frame=f"f{self.offset}"))
        return self.ingest.step(
            self.state, FrameMessage(key="d", value=value, position=position, received_at=START)
        )


def test_it_travels_under_the_id_of_its_reject_and_counts_as_one() -> None:
    done = Door().send(FINE, REFUSED)
    (message,), (reject,) = done.readings, done.rejects
    assert [(each.id, each.value, each.flags) for each in message.refused] == [
        (reject.id, "127", ("refused",))
    ]
    assert [each.value for each in message.readings] == ["97"]
    account = done.account
    assert (account.parts, account.readings, account.rejects) == (2, 1, {"implausible": 1})


def test_a_frame_of_nothing_else_tells_it_too() -> None:
    (message,) = Door().send(REFUSED).readings
    assert (message.readings, len(message.refused), message.chunk) == ((), 1, 0)


def test_sent_again_it_is_a_duplicate_and_told_once() -> None:
    door = Door()
    assert [len(door.send(REFUSED).readings) for _ in range(3)] == [1, 0, 0]


def test_whose_nobody_knows_and_what_is_no_unit_are_told_to_nobody() -> None:
    assert Door(assignments=[]).send(REFUSED).readings == ()
    assert Door().send(measurement(0, "oxygen_saturation", "97", "mm[Hg]")).readings == ()


def test_a_control_solution_is_refused_and_says_nothing_of_the_meter() -> None:
    control = {
        "at": REFUSED["at"],
        "characteristic": "2A18",
        "payload": "020100EA07030108000064B04A",
    }
    done = Door().send(control)
    assert [reject.reason for reject in done.rejects] == ["implausible"]
    assert done.readings == ()


def test_the_first_chunk_alone_tells_and_every_frame_at_most_one_chunk() -> None:
    fine = [measurement(number / 60, "heart_rate", "72") for number in range(510)]
    told = Door().send(*fine, REFUSED).readings
    assert [(len(each.readings), len(each.refused)) for each in told] == [(500, 0 + 1), (10, 0)]
    (whole,) = (
        Door()
        .send(*(measurement(number / 60, "heart_rate", "400") for number in range(700)))
        .readings
    )
    assert len(whole.refused) == 500


def test_what_is_refused_is_no_sign_of_life() -> None:
    """Silence goes on: a value that is none is not the vital that somebody waits for."""
    patient = {"v": 1, "patient": "p", "expected_every": {"oxygen_saturation": 60}}
    late = [
        {**frame([measurement(at, "oxygen_saturation", "127")], at, seq=at), "frame": f"f{at}"}
        for at in (30, 59)
    ]
    output = replay_frames(
        [frame([FINE], 0, frame="a", seq=900), *late], [worn(), patient], until=70
    )
    assert {alert["group"] for alert in last_alerts(output).values()} == {
        "device:silence",
        "device:refused",
    }
