"""Low glucose that is predicted: before it is low, once, never while it rises, never latched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import frame, measurement, stamp, worn
from support.replaying import Output, of_type, replay_csv, replay_frames, replay_values
from support.rule_examples import Patient

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.records import Alert
from rpm_stream.score.forecast.trace import MOST_GAP
from rpm_stream.score.memory.state import ScoreState

VITAL = "glucose_interstitial"
STEADY = [126.0] * 12
FALLS = [*STEADY, 120, 112, 103, 93, 83]
TURNS = [*FALLS, 90, 98, 106, 112, 116, 118, 120]
NEARLY_VERY_LOW = [130.0] * 12 + [118, 106, 94, 82, 70, 58, 60, 72, 84, 90, 96, 100, 100]
PRESSED = [*[112.0] * 14, 92, 84]
LOCAL = [worn(device="csv.p", utc_offset="+00:00")]
"""A registry that knows the local time of the readings of ``replay_values``."""
Record = dict[str, Any]


def values(numbers: Sequence[float], every: float = 5, begin: float = 0) -> list[tuple[Any, ...]]:
    return [(begin + every * place, VITAL, f"{each:g}") for place, each in enumerate(numbers)]


def records(output: Output) -> list[Record]:
    return [each for each in of_type(output, "alert") if each["group"] == "glucose"]


def predicted(output: Output) -> list[Record]:
    """The records whose words name a prediction first."""
    return [each for each in records(output) if "(forecast)" in each["why"][0]]


def forecasts(output: Output, minutes: int = 30) -> list[Record]:
    name = f"glucose_forecast_{minutes}"
    return [each for each in of_type(output, "score") if each["detector"] == name]


def test_it_is_known_before_the_value_is_low() -> None:
    (alert, *_) = records(replay_values(values([*FALLS, 78, 73, 68])))
    assert (alert["priority"], alert["state"]) == ("medium", "open")
    assert alert["title"] == "Interstitial glucose may fall below 70 mg/dL"
    assert float(alert["now"][0]["newest"]["value"]) > 75
    assert alert["rule"] == f"predicted.low.{VITAL}@{shipped().glucose_forecast.version}"


def test_its_words_name_chance_forecast_and_interval() -> None:
    (alert, *_) = records(replay_values(values(FALLS)))
    value, rest = alert["why"][0].split(": ", 1)
    assert value.startswith("glucose interstitial ")
    assert "% chance that it falls below 70 mg/dL within 30 minutes; about " in rest
    assert rest.endswith(" (forecast)")
    assert alert["evidence"]


def test_in_the_unit_of_the_sensor() -> None:
    """The same course gives the same chances, and words in millimoles."""
    course = [(*each[:2], f"{float(each[2]) / 18.0156:.4f}", "mmol/L") for each in values(FALLS)]
    (alert, *_) = records(replay_values(course))
    (other, *_) = records(replay_values(values(FALLS)))
    assert alert["opened_at"] == other["opened_at"]
    assert alert["title"] == "Interstitial glucose may fall below 3.9 mmol/L"
    assert "below 3.9 mmol/L within 30 minutes" in alert["why"][0]


def test_a_low_that_was_predicted_is_one_alert() -> None:
    found = records(replay_values(values([*FALLS, 77, 71, 66, 60, 57, 60, 66, 72, 80, 90, 100])))
    assert len({each["id"] for each in found}) == 1
    assert found[0]["title"] == "Interstitial glucose may fall below 70 mg/dL"
    assert any(each["title"] == "Interstitial glucose low" for each in found)


def test_what_does_not_come_is_withdrawn_by_readings() -> None:
    """It resolves after the recovery time, with no person's help."""
    found = records(replay_values(values(TURNS)))
    assert [each["state"] for each in found][-1] == "resolved"
    assert not any(each["over"] for each in found)


def test_missing_data_withdraws_nothing() -> None:
    found = records(replay_values(values(FALLS), until=24 * 60))
    assert found[-1]["state"] == "open"


def test_a_high_prediction_that_does_not_come_resolves_and_is_never_over() -> None:
    """CONTRACT 10. A value below 54 that came is over, and waits for a person."""
    found = records(replay_values(values(NEARLY_VERY_LOW)))
    high = [each for each in found if each["priority"] == "high"]
    assert high[0]["title"] == "Interstitial glucose may fall below 54 mg/dL"
    assert found[-1]["state"] == "resolved"
    assert not any(each["over"] for each in found)
    came = [50.0 if each == 58 else each for each in NEARLY_VERY_LOW]
    found = records(replay_values(values([*came, 100, 100])))
    assert (found[-1]["state"], found[-1]["over"]) == ("open", True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-14, 12), min_size=12, max_size=60), st.integers(80, 160))
def test_what_never_was_very_low_is_never_over(moves: list[int], level: int) -> None:
    """A high alert of such a course is a prediction, and a prediction is never over."""
    course = [float(level)]
    for move in moves:
        course.append(min(max(course[-1] + move, 55.0), 240.0))
    found = records(replay_values(values([*course, *[120.0] * 8])))
    assert not any(each["over"] for each in found)
    assert all(
        each["state"] == "resolved" for each in {each["id"]: each for each in found}.values()
    )


def test_nothing_is_predicted_while_the_value_rises_again() -> None:
    """From 66 to 110, although the chance is high at first."""
    rising = [66.0 + 4 * step for step in range(12)]
    output = replay_values(values([*[66.0] * 12, *rising]))
    assert records(output)[-1]["state"] == "resolved"
    assert not any("(forecast)" in line for each in records(output) for line in each["why"])


@pytest.mark.parametrize("jump", [40, 60, 80])
def test_nothing_is_predicted_from_a_jump(jump: int) -> None:
    assert not predicted(replay_values(values([*[150.0] * 12, 150.0 - jump])))


@pytest.mark.parametrize("level", [90, 120, 180, 300])
def test_a_steady_value_predicts_nothing(level: int) -> None:
    wobble = [level + each for each in (0, 1, -1, 2, 0, -2, 1, 0)] * 10
    assert not records(replay_values(values(wobble))) or level > 250


# --- pressure on the sensor -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "priority"),
    [(16 * 60, "low"), (4 * 60, "medium")],  # 0:00 and 12:00
    ids=["at night", "by day"],
)
def test_a_sudden_fall_at_night_is_named_pressure(begin: float, priority: str) -> None:
    (first, *_) = records(replay_values(values(PRESSED, begin=begin), LOCAL))
    assert first["priority"] == priority
    assert ("pressure on the sensor" in first["title"]) is (priority == "low")


def test_a_fast_fall_at_night_is_named_pressure_too() -> None:
    """The rule about rates asks the forecast."""
    found = records(replay_values(values([*[112.0] * 14, 91, 81], begin=16 * 60), LOCAL))
    assert {each["priority"] for each in found} == {"low"}
    words = found[-1]["why"]
    assert any("a minute: 70 mg/dL in about" in line for line in words)
    assert all("as of a body on the sensor" in line for line in words)


def test_night_is_that_of_the_person() -> None:
    """8:00 in UTC is midnight at -08:00."""
    sent = [
        frame([measurement(at, VITAL, value)], at, place, utc_offset="-08:00")
        for place, (at, _, value) in enumerate(values(PRESSED))
    ]
    (first, *_) = records(replay_frames(sent, [worn()]))
    assert first["priority"] == "low"


def test_where_local_time_is_not_known_it_is_not_night() -> None:
    """An unknown zone must not lower a priority."""
    (first, *_) = records(replay_values(values(PRESSED, begin=16 * 60)))
    assert (first["priority"], "pressure" in first["title"]) == ("medium", False)


def test_one_value_alone_predicts_nothing() -> None:
    """It is not known whether it rises: 72 may follow 45."""
    assert not records(replay_values(values([72])))
    after_a_gap = [(0, VITAL, "72"), (60, VITAL, "73"), (120, VITAL, "72")]
    assert not records(replay_values(after_a_gap))


def test_a_fall_before_which_the_value_moved_is_no_pressure() -> None:
    course = [150.0 - 3 * step for step in range(14)] + [90, 80]
    (first, *_) = records(replay_values(values(course, begin=16 * 60), LOCAL))
    assert "pressure" not in first["title"]


@pytest.mark.parametrize(("value", "priority"), [(68, "medium"), (52, "high")])
def test_a_low_value_alerts_whatever_made_it_so(value: int, priority: str) -> None:
    """Law 3: what looks like pressure hides no low value."""
    found = records(replay_values(values([*PRESSED, value], begin=16 * 60), LOCAL))
    assert found[0]["priority"] == "low"
    assert found[-1]["priority"] == priority
    assert found[-1]["title"] == "Interstitial glucose low"


# --- what is forecast from ------------------------------------------------------------------------


def test_scores_are_forecasts_with_their_interval() -> None:
    output = replay_values(values(STEADY))
    near = forecasts(output, 30)
    far = forecasts(output, 60)
    assert len(near) == len(far) == len(STEADY)
    for one, other in zip(near, far, strict=True):
        assert one["score_min"] < one["score"] < one["score_max"]
        assert other["score_max"] - other["score_min"] > one["score_max"] - one["score_min"]
        assert (one["vital"], one["value"], one["readings"]) == (VITAL, "126", other["readings"])
        assert one["version"] == shipped().glucose_forecast.version
    assert len({each["id"] for each in (*near, *far)}) == 2 * len(STEADY)


def test_finger_stick_values_are_not_forecast() -> None:
    course = [(minutes, "glucose", value) for minutes, _, value in values(FALLS)]
    output = replay_values(course)
    assert not forecasts(output)
    assert not predicted(output)


def test_a_sensor_of_fifteen_minutes_predicts_too() -> None:
    course = [*[126.0] * 5, 112, 95, 76]
    (alert, *_) = predicted(replay_values(values(course, every=15)))
    assert alert["priority"] == "medium"


def test_a_late_reading_is_neither_forecast_from_nor_learned() -> None:
    """All forecasts of the others are as if it had never come."""
    course = values([*FALLS, 80])
    sent = [
        frame([measurement(at, VITAL, value)], at, place)
        for place, (at, _, value) in enumerate(course)
    ]
    late = frame([measurement(31, VITAL, "60")], 58, 900)
    without = forecasts(replay_frames(sent, [worn()]))
    output = replay_frames([*sent[:11], late, *sent[11:]], [worn()])
    assert [each["score"] for each in forecasts(output)] == [each["score"] for each in without]


def of_devices(sent: Sequence[tuple[float, str, float]]) -> Output:
    lines = ["patient,measured_at,vital,value,unit,device\n"]
    lines += [f"p,{stamp(at)},{VITAL},{value:g},mg/dL,{device}\n" for at, device, value in sent]
    return replay_csv(lines)


def test_of_two_sensors_one_is_followed() -> None:
    """Two traces that lie 40 apart and alternate look like falls and are none."""
    both = [
        (5.0 * step + (2 if device == "b" else 0), device, 120.0 if device == "a" else 80.0)
        for step in range(40)
        for device in ("a", "b")
    ]
    output = of_devices(both)
    assert not predicted(output)
    assert {each["value"] for each in forecasts(output)} == {"120"}


def test_a_new_sensor_is_followed_when_the_old_one_is_silent() -> None:
    gap = MOST_GAP / 60
    sent = [(5.0 * step, "a", 150.0) for step in range(20)]
    sent += [(100.0 + 5 * step, "b", 90.0) for step in range(20)]
    found = forecasts(of_devices(sent))
    first = next(each for each in found if each["value"] == "90")
    assert first["measured_at"] == stamp(95 + gap + 5)
    assert abs(first["score"] - 90) < 15, "nothing of the old sensor counts"


def sent_to(patient: Patient, numbers: Sequence[float], begin: float = 0) -> list[Alert]:
    course = values(numbers, begin=begin)
    return patient.send([(minutes, VITAL, value) for minutes, _, value in course])[1]


def test_a_state_of_an_older_release_is_read() -> None:
    """It has no field of the forecast. The trace then begins with the next reading."""
    patient = Patient({})
    sent_to(patient, STEADY)
    body = msgspec.msgpack.decode(msgspec.msgpack.encode(patient.patient.state.score))
    del body["forecasts"]
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(body), type=ScoreState)
    assert old.forecasts == {}
    patient.patient.state.score = old
    alerts = sent_to(patient, [*FALLS[12:], 79, 73], begin=60)
    assert old.forecasts[VITAL].times
    assert alerts


def test_after_a_restart_at_each_reading_all_is_the_same() -> None:
    straight = Patient({})
    restarted = Patient({})
    for place, number in enumerate([*TURNS, *NEARLY_VERY_LOW]):
        one = sent_to(straight, [number], begin=5 * place)
        other = sent_to(restarted, [number], begin=5 * place)
        assert one == other
        packed = pack_patient(restarted.patient)
        assert packed == pack_patient(straight.patient)
        restarted.patient = unpack_patient(packed, "p")
