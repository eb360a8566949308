"""A gateway's clock that is ahead hides nothing: what it stamped later than it was received is
no newer than that.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.frames import frame, measurement, worn
from support.replaying import Output, last_alerts, of_type, replay_frames
from support.ward import Ward

SPO2 = "oxygen_saturation"
WORN = (worn(), worn(device="hub"))
AHEAD = st.integers(6, 14 * 60)  # minutes: from what is flagged to what is refused


def hub(minutes: float, ahead: float, value: str, seq: int = 0) -> dict[str, Any]:
    sent = frame(
        [measurement(minutes + ahead, SPO2, value)], minutes, seq, device="hub", gateway="h"
    )
    return {**sent, "frame": f"h{seq}"}


def phone(minutes: float, value: str, seq: int) -> dict[str, Any]:
    return frame([measurement(minutes, SPO2, value)], minutes, seq)


def told(output: Output) -> list[tuple[Any, ...]]:
    fields = ("group", "priority", "state", "title", "why", "historical", "now")
    return [
        tuple(alert[each] for each in fields)
        for alert in of_type(output, "alert")
        if alert["group"] != "device:clock"
    ]


@given(
    ahead=AHEAD, calm=st.sampled_from(["96", "97", "99"]), red=st.sampled_from(["80", "84", "90"])
)
def test_a_calm_value_stamped_ahead_is_not_newer_than_the_red_ones_after_it(
    ahead: int, calm: str, red: str
) -> None:
    """Law 3: the alert is of now, in the words that it has where the clock is right."""
    after = [phone(minutes, red, minutes) for minutes in range(5, 60, 5)]
    assert told(replay_frames([hub(0, ahead, calm), *after], WORN)) == told(
        replay_frames([hub(0, 0, calm), *after], WORN)
    )


@given(ahead=AHEAD)
def test_a_red_value_stamped_ahead_recovers_by_what_is_measured_after_it(ahead: int) -> None:
    """Nothing that was stamped ahead holds an alert open until its own time has come."""
    after = [phone(minutes, "97", minutes) for minutes in range(5, 200, 5)]
    (alert,) = [
        each
        for each in last_alerts(replay_frames([hub(0, ahead, "90"), *after], WORN)).values()
        if each["group"] == "vital_signs"
    ]
    assert alert["state"] == "resolved"


@given(ahead=AHEAD)
def test_what_is_published_keeps_the_time_as_stamped(ahead: int) -> None:
    output = replay_frames([hub(0, ahead, "84", 1), hub(10, ahead, "84", 2)], WORN)
    readings = {each["id"]: each["measured_at"] for each in of_type(output, "reading")}
    observations = {
        each["id"]: each["effectiveDateTime"] for each in of_type(output, "observation")
    }
    assert len(observations) == 2
    assert {each.replace("+00:00", "Z") for each in observations.values()} == set(readings.values())


@given(ahead=AHEAD)
def test_a_value_stamped_ahead_can_be_taken_back(ahead: int) -> None:
    """Its place in the memory is found, and the right one before it stays."""
    ward = Ward()
    ward.now(SPO2, "97", 0)
    wrong = ward.message(10, (10 + ahead, SPO2, "80"))
    judged = ward.judge.step(ward.patient, wrong)
    assert judged is not None
    (alert,) = [each for each in judged.alerts if each.group == "vital_signs"]
    ended = ward.act("void", alert.id, 20, readings=wrong.readings)
    assert [each.state for each in ended if each.id == alert.id] == ["resolved"]
    score = ward.patient.state.score
    assert [segment.count for segment in score.histories[SPO2].segments] == [1]
