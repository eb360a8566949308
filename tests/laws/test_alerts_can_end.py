"""An alert can still end when its cause is gone.

A limit ends, a score no longer applies, a reading is taken back. The present values are of the
newest moment, even when something comes late or an answer comes afterwards.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corrections import correction
from support.frames import worn
from support.ward import Ward, after

from rpm_stream.alert.episode import Episode
from rpm_stream.knowledge import Knowledge, shipped
from rpm_stream.knowledge.registry import parse_entry
from rpm_stream.pipeline.judge import Judge
from rpm_stream.records import Alert

SCALE_2 = {"v": 1, "patient": "p", "oxygen_scale": 2}
FEVER = {"vital": "body_temperature", "high": 100.4, "unit": "Cel", "owner": "dr-a"}
ILL = (
    ("heart_rate", "95"),
    ("respiratory_rate", "10"),
    ("oxygen_saturation", "95"),
    ("systolic", "105"),
)
FIVE = (*ILL, ("body_temperature", "38.5"))
WELL = (
    ("heart_rate", "80"),
    ("respiratory_rate", "15"),
    ("oxygen_saturation", "97"),
    ("systolic", "120"),
    ("body_temperature", "37.0"),
)


def put(ward: Ward, **fields: Any) -> None:
    ward.registry.put(parse_entry(msgspec.json.encode({"v": 1, "patient": "p", **fields})))


def send(ward: Ward, minutes: float, *values: tuple[str, str]) -> tuple[Alert, ...]:
    return ward.send(minutes, *((minutes, *value) for value in values))


def episode(ward: Ward, group: str = "vital_signs") -> Episode:
    return ward.patient.state.episodes[group]


# --- now is now -----------------------------------------------------------------------------------


def test_a_calm_value_that_comes_late_does_not_say_what_news2_is_now() -> None:
    ward = Ward()
    send(ward, 100, *FIVE)
    before = ward.patient.state.score.total
    assert before is not None
    assert (before.minimum, before.at) == (5, after(100))
    ward.send(101, (60, "heart_rate", "80"), (60, "systolic", "120"))
    assert ward.patient.state.score.total == before


def test_an_answer_about_oxygen_opens_nothing_that_is_over() -> None:
    """82 % raised an alert, was back and ended. The answer that it was on air changes nothing."""
    ward = Ward(SCALE_2)
    ids = set()
    for minutes, value in ((0, "82"), (5, "82"), (10, "90"), (25, "90"), (41, "90")):
        ids |= {
            alert.id
            for alert in ward.now("oxygen_saturation", value, minutes)
            if alert.group == "vital_signs"
        }
    ward.act("see", *ids, 42)
    assert "vital_signs" not in ward.patient.state.episodes
    told = ward.send(43, (43, "oxygen_flow", "0", "L/min"))
    assert [alert.title for alert in told if alert.group == "vital_signs"] == []


def test_what_is_not_known_to_have_been_told_is_told() -> None:
    """An alert of an older release has no note of what was published last."""
    ward = Ward()
    ward.now("oxygen_saturation", "88", 0)
    ward.now("oxygen_saturation", "88", 5)
    episode(ward).told = None
    (told,) = ward.now("oxygen_saturation", "87", 6)
    assert told.now[0].newest.value == "87"


# --- decisions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worst", "event"), [("80", "refused"), ("90", "acknowledged")])
def test_a_decision_about_a_record_of_long_ago_is_refused_if_anything_worse_came(
    worst: str, event: str
) -> None:
    """The state keeps the newest moments.

    Of an earlier record only the worst ever is known.
    """
    ward = Ward()
    ward.now("oxygen_saturation", "91", 0)
    (seen,) = ward.now("oxygen_saturation", "91", 5)
    ward.now("oxygen_saturation", worst, 15)
    ward.now("oxygen_saturation", "91", 30)
    del episode(ward).moments[:-1]
    (answered,) = ward.act("acknowledge", seen.id, 31, record=seen.updated_at)
    assert answered.history[-1].event == event


def test_what_was_held_back_is_told_although_a_snooze_ends_at_the_same_look() -> None:
    """It got worse within the wait after the decision. The wait ended before the snooze."""
    ward, stood = Ward(), Decimal(260)
    step, _ = shipped().limits.step_of("glucose", "high", stood, "")
    for minutes in (0, 15):
        ward.now("glucose", f"{stood}", minutes)
    alert = episode(ward, "glucose").alert
    assert alert.priority == "medium"
    ward.act("snooze", alert.id, 16, until=after(60))
    assert ward.now("glucose", f"{stood + step}", 22)[-1].state == "open"  # a step worse
    ward.act("snooze", alert.id, 23, until=after(60))
    # and again, within the wait
    assert ward.now("glucose", f"{stood + 2 * step}", 24)[-1].state == "snoozed"
    events = [(alert.history[-1].event, alert.history[-1].at) for alert in ward.tick(90)]
    assert ("worse", after(37)) in events
    assert episode(ward, "glucose").alert.state == "open"


# --- ends -----------------------------------------------------------------------------------------


def test_what_rang_by_a_limit_that_was_taken_away_ends_by_readings() -> None:
    own = {"vital": "peak_flow", "low": 300, "unit": "L/min", "owner": "dr-a"}
    ward = Ward({"v": 1, "patient": "p", "limits": [own]})
    ward.send(0, (0, "peak_flow", "250", "L/min"))
    ward.send(5, (5, "peak_flow", "250", "L/min"))
    assert episode(ward, "lung").alert.state == "open"
    put(ward)
    for minutes in (60, 120, 180, 240, 300):
        ward.send(minutes, (minutes, "peak_flow", "280", "L/min"))
    assert "lung" not in ward.patient.state.episodes


def test_news2_of_who_is_pregnant_now_ends() -> None:
    """NEWS2 no longer applies.

    By readings, its finding is over an hour after the last breach.
    """
    ward = Ward()
    send(ward, 0, *FIVE)
    assert "news2" in episode(ward).members
    put(ward, pregnant=True)
    for minutes in (10, 40, 80, 120):
        send(ward, minutes, *WELL)
    assert "vital_signs" not in ward.patient.state.episodes


def test_news2_ends_without_the_part_that_was_taken_back() -> None:
    """Another person's fever was one of its six points.

    It ends without a new temperature.
    """
    ward, fast = Ward(), ("respiratory_rate", "22")
    message = ward.message(0, *((0, *value) for value in (FIVE[0], *FIVE[2:], fast)))
    ward.judge.step(ward.patient, message)
    assert "news2" in episode(ward).members
    fever = [reading for reading in message.readings if reading.vital == "body_temperature"]
    ward.judge.act(ward.patient, correction("void", fever, after(2)))
    assert "news2" in episode(ward).members
    well = tuple(value for value in WELL if value[0] != "body_temperature")
    for minutes in (10, 50, 71, 130):
        send(ward, minutes, *well)
    assert "vital_signs" not in ward.patient.state.episodes


def test_news2_ends_though_nobody_answers_about_oxygen_again() -> None:
    """The answer that gave two points becomes too old. No newer one need come."""
    ward = Ward()
    send(ward, 0, *FIVE)
    ward.send(0.5, (0.5, "oxygen_flow", "2", "L/min"))
    assert "news2" in episode(ward).members
    for hours in (1, 10, 13, 14, 15):
        send(ward, hours * 60, *WELL)
    assert "vital_signs" not in ward.patient.state.episodes or episode(ward).alert.over


# --- oxygen without a newer answer ----------------------------------------------------------------

HALF_A_DAY = 12 * 60


def too_much_oxygen(**entry: Any) -> Ward:
    """Return the ward of a patient on scale 2, on oxygen since minute 0, with 97 % since minute 5.

    The saturation is high, and NEWS2 is at its limit.
    """
    ward = Ward({**SCALE_2, **entry})
    ward.send(0, (0, "oxygen_flow", "2", "L/min"))
    for minutes in (5, 15):
        ward.now("oxygen_saturation", "97", minutes)
    assert set(episode(ward).members) == {"limit:oxygen_saturation:high", "news2"}
    return ward


def calls_it_over(ward: Ward, minutes: float, value: str) -> bool:
    told = [
        alert
        for alert in ward.now("oxygen_saturation", value, minutes)
        if alert.group == "vital_signs"
    ]
    return any(alert.historical or alert.over or alert.state == "resolved" for alert in told)


@pytest.mark.parametrize("registry", [{}, {"on_oxygen": False}])
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(20, 2 * HALF_A_DAY), min_size=1, max_size=8),
    st.sampled_from(("97", "95", "100")),
)
def test_too_much_oxygen_is_not_over_because_the_answer_has_aged(
    registry: dict[str, Any], times: list[int], value: str
) -> None:
    """No answer has reported that the oxygen was taken away.

    A saturation that is too high on oxygen is no sign that it was.
    """
    ward = too_much_oxygen(**registry)
    for minutes in sorted({*times, HALF_A_DAY + 100, HALF_A_DAY + 200}):
        assert not calls_it_over(ward, minutes, value)
    assert "vital_signs" in ward.patient.state.episodes


def test_a_single_value_that_rang_is_not_back_because_the_answer_has_aged() -> None:
    ward = Ward(SCALE_2)
    ward.send(0, (0, "oxygen_flow", "2", "L/min"))
    ward.now("oxygen_saturation", "97", HALF_A_DAY - 1)
    assert not calls_it_over(ward, HALF_A_DAY + 1, "97")


@pytest.mark.parametrize(
    ("answer", "value"),
    [(None, "90"), ("0", "97"), ("2", "90")],
    ids=["inside also on oxygen", "on air now", "on oxygen and inside"],
)
def test_too_much_oxygen_ends_by_readings_after_the_answer_has_aged(
    answer: str | None, value: str
) -> None:
    ward = too_much_oxygen()
    identity = episode(ward).alert.id
    late = HALF_A_DAY + 30
    assert not calls_it_over(ward, late, "97")
    if answer is not None:
        ward.send(late + 5, (late + 5, "oxygen_flow", answer, "L/min"))
    for minutes in (10, 40, 75, 110):
        ward.now("oxygen_saturation", value, late + minutes)
    assert (episode(ward).alert.historical, episode(ward).alert.over) == (True, True)
    ward.act("see", identity, late + 120)
    assert "vital_signs" not in ward.patient.state.episodes


def test_a_person_ends_an_alert_whose_answer_about_oxygen_has_aged() -> None:
    ward = too_much_oxygen()
    ward.now("oxygen_saturation", "97", HALF_A_DAY + 30)
    ward.act("withdraw", episode(ward).alert.id, HALF_A_DAY + 40, reason="off oxygen since noon")
    assert "vital_signs" not in ward.patient.state.episodes


def test_what_was_too_high_on_oxygen_is_inside_on_air_from_its_first_reading_there() -> None:
    """The readings before were beyond the limit, so none of their time counts as inside."""
    ward = Ward({**SCALE_2, "on_oxygen": True})
    for minutes in (0, 20):
        ward.now("oxygen_saturation", "95", minutes)
    put(ward, oxygen_scale=2, on_oxygen=False)
    states = [ward.now("oxygen_saturation", "95", minutes)[-1].state for minutes in (25, 31)]
    assert states == ["open", "resolved"]


def test_what_is_mended_leaves_the_alert_about_settings() -> None:
    ward = Ward()
    other = {**FEVER, "vital": "systolic", "unit": "kg", "high": 180}
    put(ward, limits=[FEVER, other])
    ward.now("body_temperature", "37.0", 0)
    assert len(episode(ward, "settings").members) == 2
    put(ward, limits=[FEVER])
    ward.now("body_temperature", "37.0", 10)
    left = episode(ward, "settings")
    assert (len(left.members), len(left.alert.why), left.alert.state) == (1, 1, "open")


def test_a_device_that_ails_again_is_told_with_the_reading_of_now() -> None:
    """It was well while another was not. The alert names the 4 % of now, not the earlier 12 %."""
    ward = Ward(worn(device="a"), worn(device="b"))
    for minutes, device, percent in ((0, "a", "12"), (1, "b", "10"), (2, "a", "80")):
        battery(ward, minutes, device, percent)
    (told,) = battery(ward, 3, "a", "4")
    assert sorted(line.split(":")[0] for line in told.why) == ["battery 10 %", "battery 4 %"]
    (low,) = (
        each
        for name, each in episode(ward, "device:battery").members.items()
        if name.endswith(":a")
    )
    assert (low.why.split(":")[0], low.measured_at) == ("battery 4 %", after(3))
    assert set(low.evidence) < set(told.evidence)


def battery(ward: Ward, minutes: float, device: str, percent: str) -> tuple[Alert, ...]:
    """Return the records that a device's battery causes."""
    message = ward.message(minutes, (minutes, "battery", percent))
    readings = tuple(
        msgspec.structs.replace(reading, device=device) for reading in message.readings
    )
    judged = ward.judge.step(ward.patient, msgspec.structs.replace(message, readings=readings))
    assert judged is not None
    return judged.alerts


def test_a_vital_that_is_silent_again_is_told_by_its_last_reading() -> None:
    ward = Ward({"v": 1, "patient": "p", "expected_every": {"heart_rate": 30, "weight": 30}})
    ward.send(0, (0, "heart_rate", "80"), (0, "weight", "80"))
    ward.tick(31)
    ward.now("heart_rate", "80", 40)
    last = ward.patient.state.score.latest["heart_rate"]
    (told,) = ward.tick(75)
    assert last.id in told.evidence
    assert episode(ward, "device:silence").members["silence:heart_rate"].evidence == (last.id,)


# --- what has no values: a person ends it ---------------------------------------------------------


def grave() -> Knowledge:
    """Return a clinic's own tables, in which everything that is not about values is high."""
    known = shipped()
    limits = msgspec.structs.replace(known.limits, silence_priority="high")
    risk = known.priorities.rule["limits.glucose.below_54.first"]
    names = [name for name in known.priorities.rule if name.startswith(("device.", "settings."))]
    priorities = msgspec.structs.replace(
        known.priorities, rule={**known.priorities.rule, **dict.fromkeys(names, risk)}
    )
    return msgspec.structs.replace(known, limits=limits, priorities=priorities)


@pytest.mark.parametrize("group", ["device:silence", "device:battery", "settings"])
@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_a_high_alert_without_values_is_ended_by_a_person(
    group: str, is_acknowledged: bool
) -> None:
    ward = Ward({"v": 1, "patient": "p", "expected_every": {"heart_rate": 30}, "limits": [FEVER]})
    ward.judge = Judge(grave(), ward.registry)
    ward.send(0, (0, "heart_rate", "70"), (0, "battery", "5"))
    ward.tick(40)
    alert = episode(ward, group).alert
    assert (alert.priority, alert.state) == ("high", "open")
    if is_acknowledged:
        ward.act("acknowledge", alert.id, 41)
    (ended,) = ward.act("resolve", alert.id, 42, reason="she is in hospital")
    assert (ended.state, ended.history[-1].event) == ("resolved", "resolved")
    assert group not in ward.patient.state.episodes
    assert group not in {
        each.group for each in (*ward.tick(200), *ward.send(201, (201, "battery", "5")))
    }


def test_law_3_a_high_alert_of_values_is_not() -> None:
    ward = Ward()
    ward.judge = Judge(grave(), ward.registry)
    (alert,) = ward.now("glucose", "50", 0)
    assert ward.act("resolve", alert.id, 1, reason="she is fine")[-1].state == "acknowledged"
