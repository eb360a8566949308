"""Episodes over time: historical, stale, silence, what people decide, and a step that fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import alerts, of_type, replay_frames, replay_values
from support.ward import Ward

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.judge import Judge, Judged
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.records import Action
from rpm_stream.score.memory.size import forget_vital

EACH = [1, 3, 15]  # seconds between the readings of an oximeter
SILENT = {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}}


def test_what_is_over_when_it_arrives_is_historical() -> None:
    ward = Ward()
    ward.now("heart_rate", "80", 100)
    ward.now("heart_rate", "80", 105)
    (late,) = ward.send(106, (50, "heart_rate", "135"))
    assert (late.historical, late.late, late.state) == (True, True, "open")


def test_a_night_that_arrives_in_the_morning_is_one_alert_until_the_next_reading() -> None:
    ward = Ward()
    for minute in (600, 605, 615):
        ward.now("heart_rate", "80", minute)
    late = [ward.send(616, (minute, "heart_rate", "135")) for minute in range(10, 60, 10)]
    assert [(each.priority, each.state, each.historical) for found in late for each in found] == [
        ("medium", "open", True),
        ("high", "open", True),
        ("high", "open", True),
    ]
    assert [each.over for found in late for each in found] == [False, False, True]
    (over,) = (alert for found in late for alert in found if alert.over)
    assert ward.now("heart_rate", "80", 620) == ()
    *_, ended = ward.act("see", over.id, 621)
    assert (ended.state, ended.historical) == ("resolved", True)


@pytest.mark.parametrize("absent", [None, "error"])
def test_a_late_value_that_no_rule_keeps_ends_nothing(absent: str | None) -> None:
    """An oximeter sends its signal's strength with each value: a late one ends what nobody has
    seen no more.
    """
    ward = Ward()
    for minute in (600, 620):
        ward.now("heart_rate", "80", minute)
    message = ward.message(640, (300, "heart_rate", "135"), (300, "perfusion_index", "9"))
    pulse, signal = sorted(message.readings, key=lambda reading: reading.vital)
    signal = msgspec.structs.replace(signal, value=None if absent else signal.value, absent=absent)
    judged = ward.judge.step(
        ward.patient, msgspec.structs.replace(message, readings=(pulse, signal))
    )
    assert judged is not None
    assert [(each.state, each.historical) for each in judged.alerts] == [("open", True)]


def _oximeter(
    ward: Ward, begins: int, lasts: int, each: int, *values: str
) -> list[tuple[int, str]]:
    """Second of each alert record that ends it, or says that it is over, while ``values`` take
    turns.
    """
    return [
        (second, "over" if alert.over else alert.state)
        for number, second in enumerate(range(begins, begins + lasts, each))
        for alert in ward.now("oxygen_saturation", values[number % len(values)], second / 60)
        if alert.history[-1].event in ("over", "recovered")
    ]


@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("calm", [("96",), ("95", "96"), ("95", "96", "97", "95")])
def test_who_is_well_again_leaves_the_list_however_the_values_change(
    each: int, calm: tuple[str, ...]
) -> None:
    """95 has a point of NEWS2 and 96 none: many short runs, all inside.

    Ten minutes of them are ten minutes.
    """
    ward = Ward()
    assert _oximeter(ward, 0, 60, each, "88") == []
    assert _oximeter(ward, 60, 15 * 60, each, *calm)[:1] == [(60 + 600, "over")]


@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("outside", ["93", "88"], ids=["amber", "red"])
def test_a_reading_outside_begins_the_ten_minutes_anew(each: int, outside: str) -> None:
    ward = Ward()
    _oximeter(ward, 0, 60, each, "88")
    assert _oximeter(ward, 60, 9 * 60, each, "95", "96") == []
    assert _oximeter(ward, 600, each, each, outside) == []
    assert _oximeter(ward, 600 + each, 15 * 60, each, "95", "96")[:1] == [
        (600 + each + 600, "over")
    ]


@pytest.mark.parametrize("values", [("95",), ("85", "95"), ("85", "95", "115")])
def test_a_limit_that_must_last_for_longer_than_a_day_is_told_in_time_however_the_values_change(
    values: tuple[str, ...],
) -> None:
    """Each of them has points of its own on the NEWS2 chart: the day that is kept holds only a
    part of the run.
    """
    own = {
        "vital": "heart_rate",
        "high": "80",
        "unit": "/min",
        "owner": "dr-7",
        "priority": "high",
        "for": 36 * 60,
    }
    ward = Ward({"v": 1, "patient": "p", "limits": [own]})
    told = [
        hour
        for number, hour in enumerate(range(0, 48, 3))
        if ward.now("heart_rate", values[number % len(values)], hour * 60)
    ]
    assert told[:1] == [36]


def test_age_alone_never_silences() -> None:
    (alert,) = Ward().send(5 * 1440, (0, "heart_rate", "135"))
    assert (alert.historical, alert.state) == (False, "open")


def test_a_value_back_inside_in_the_same_message_makes_it_historical() -> None:
    (alert,) = Ward().send(90, (50, "heart_rate", "135"), (60, "heart_rate", "80"))
    assert alert.historical


def test_a_historical_alert_is_of_today_again_with_the_next_breach() -> None:
    ward = Ward()
    ward.now("glucose", "110", 100)
    (late,) = ward.send(101, (50, "glucose", "60"))
    assert late.historical
    (again,) = ward.now("glucose", "60", 102)
    assert (again.id, again.historical) == (late.id, False)


def test_without_data_it_is_stale_and_fresh_again_with_the_next_reading() -> None:
    ward = Ward()
    ward.now("heart_rate", "135", 0)
    assert ward.tick(36 * 60 - 1) == ()
    (stale,) = ward.tick(37 * 60)
    assert (stale.stale, stale.state, stale.updated_at) == (
        True,
        "open",
        START + timedelta(hours=36),
    )
    (fresh,) = ward.now("heart_rate", "100", 38 * 60)
    assert (fresh.stale, fresh.state) == (False, "open")


def test_missing_data_resolves_nothing() -> None:
    output = replay_values([(0, "heart_rate", "135")], until=30 * 1440)
    assert "resolved" not in {state for _, _, state, _ in alerts(output)}


def test_silence_opens_at_the_last_reading_plus_its_limit_whenever_it_is_noticed() -> None:
    early, late = (
        of_type(replay_values([(0, "heart_rate", "70")], [SILENT], until=until), "alert")
        for until in (60, 999)
    )
    assert early == late
    assert [(each["group"], each["opened_at"]) for each in early] == [("device:silence", stamp(60))]
    assert of_type(replay_values([(0, "heart_rate", "70")], [SILENT], until=59), "alert") == []


def test_silence_ends_when_the_vital_is_heard_again_and_may_come_again() -> None:
    output = replay_values([(0, "heart_rate", "70"), (90, "heart_rate", "70")], [SILENT], until=400)
    found = [(each["state"], each["opened_at"]) for each in of_type(output, "alert")]
    assert found == [("open", stamp(60)), ("resolved", stamp(60)), ("open", stamp(150))]


def test_silence_of_a_second_vital_keeps_the_episode_until_both_are_heard() -> None:
    both = {**SILENT, "expected_every": {"heart_rate": 60, "weight": 60}}
    values = [
        (0, "heart_rate", "70"),
        (0, "weight", "80"),
        (90, "heart_rate", "70"),
        (170, "heart_rate", "70"),
    ]
    output = replay_values([*values, (171, "weight", "80")], [both])
    found = of_type(output, "alert")
    assert [alert["state"] for alert in found] == [
        "open",
        "open",
        "open",
        "open",
        "open",
        "resolved",
    ]
    assert {alert["id"] for alert in found} == {found[0]["id"]}
    said = [
        [line.split(" for ")[0].removeprefix("no reading of ") for line in alert["why"]]
        for alert in found[:5]
    ]
    assert said == [
        ["heart rate"],
        ["heart rate", "weight"],
        ["weight"],
        ["heart rate", "weight"],
        ["weight"],
    ]
    assert [alert["title"] for alert in found[1:3]] == [
        "No heart rate reading",
        "No weight reading",
    ]


def test_a_vital_that_is_heard_again_leaves_the_alert_about_silence_as_it_is() -> None:
    """A person who has acknowledged it is not asked again; only its lines change."""
    ward = Ward({**SILENT, "expected_every": {"heart_rate": 60, "weight": 90}})
    ward.now("heart_rate", "70", 0)
    ward.now("weight", "80", 0)
    *_, opened = ward.judge.tick(ward.patient, START + timedelta(minutes=100)).alerts
    ward.act("acknowledge", opened.id, 101)
    (left,) = ward.now("heart_rate", "70", 110)
    assert (left.id, left.state, left.title) == (opened.id, "acknowledged", "No weight reading")
    assert (len(left.why), left.history[-1].event) == (1, "acknowledged")
    assert left.updated_at == START + timedelta(minutes=110)
    assert ward.now("heart_rate", "70", 111) == ()
    (again,) = ward.judge.tick(ward.patient, START + timedelta(minutes=180)).alerts
    assert (again.id, again.state, len(again.why)) == (opened.id, "open", 2)


def test_a_silence_whose_end_is_taken_back_is_told_again() -> None:
    ward = Ward({**SILENT, "expected_every": {"heart_rate": 60, "weight": 60}})
    ward.now("heart_rate", "70", 0)
    ward.now("weight", "80", 0)
    ward.judge.tick(ward.patient, START + timedelta(minutes=70))
    message = ward.message(80, (80, "heart_rate", "75"))
    ward.judge.step(ward.patient, message)
    his = Action(
        patient="p",
        action="void",
        who="nurse",
        at=START + timedelta(minutes=82),
        reason="her husband's",
        readings=message.readings,
    )
    (told,) = ward.judge.act(ward.patient, his).alerts
    assert (told.state, len(told.why)) == ("open", 2)


def test_a_silence_that_a_person_has_ended_is_not_told_again() -> None:
    ward = Ward(SILENT)
    ward.now("heart_rate", "70", 0)
    (opened,) = ward.judge.tick(ward.patient, START + timedelta(minutes=70)).alerts
    ward.act("resolve", opened.id, 71)
    assert ward.judge.tick(ward.patient, START + timedelta(minutes=72)).alerts == ()


def test_only_what_is_expected_is_missed_and_only_while_the_device_is_worn() -> None:
    assert alerts(replay_values([(0, "heart_rate", "70")], until=5000)) == []
    handed_in = worn(assignments=[{"patient": "p", "until": stamp(30)}])
    sent = [frame([measurement(0, "heart_rate", "70")], 0)]
    assert alerts(replay_frames(sent, [handed_in, SILENT], until=5000)) == []


def test_unassigning_the_device_ends_its_silence() -> None:
    ward = Ward(SILENT)
    ward.now("heart_rate", "70", 0)
    (opened,) = ward.judge.tick(ward.patient, START + timedelta(minutes=70)).alerts
    ward.registry.put(
        next(
            iter(
                registry_of(
                    [worn(assignments=[{"patient": "p", "until": stamp(80)}])]
                ).devices.values()
            )
        )
    )
    (ended,) = ward.judge.tick(ward.patient, START + timedelta(minutes=90)).alerts
    assert (ended.id, ended.state) == (opened.id, "resolved")


def test_a_silence_whose_last_reading_is_forgotten_lasts_until_it_is_heard_or_not_expected() -> (
    None
):
    """A full state forgets a vital (pipeline/state_budget.py): nobody knows then that its device
    was handed in.
    """
    for further, ended in ((SILENT | {"expected_every": {}}, "tick"), (SILENT, "heard")):
        ward = Ward(SILENT)
        ward.now("heart_rate", "70", 0)
        (opened,) = ward.tick(70)
        forget_vital(ward.patient.state.score, "heart_rate")
        assert ward.tick(90) == ()
        ward.registry.put(registry_of([further]).patient("p"))
        told = (
            ward.tick(100)
            if ended == "tick"
            else (*ward.tick(100), *ward.now("heart_rate", "70", 101))
        )
        assert [(alert.id, alert.state) for alert in told] == [(opened.id, "resolved")]


def test_a_silence_ends_when_what_was_not_heard_is_no_longer_expected() -> None:
    ward = Ward({**SILENT, "expected_every": {"heart_rate": 60, "glucose": 60}})
    ward.now("heart_rate", "70", 0)
    ward.now("glucose", "110", 0)
    ward.tick(70)
    assert [alert.title for alert in ward.now("heart_rate", "70", 80)] == [
        "No blood glucose reading"
    ]
    ward.registry.put(registry_of([SILENT]).patient("p"))
    assert [alert.state for alert in ward.tick(90)] == ["resolved"]


def test_a_rise_or_a_further_rule_opens_what_was_acknowledged() -> None:
    ward = Ward()
    (first,) = ward.now("heart_rate", "135", 0)
    (seen,) = ward.act("acknowledge", first.id, 1)
    assert (seen.state, seen.history[-1].who) == ("acknowledged", "nurse")
    (risen,) = ward.now("heart_rate", "135", 5)
    assert (risen.state, risen.priority) == ("open", "high")
    ward.act("acknowledge", first.id, 6)
    assert ward.now("heart_rate", "135", 7) == ()
    further, score = ward.now("oxygen_saturation", "65", 8)
    assert (further.state, len(further.why)) == ("open", 3)
    assert score.why[2].startswith("NEWS2 is 6")


def test_low_then_high_glucose_is_a_further_rule() -> None:
    ward = Ward()
    (low,) = ward.now("glucose", "65", 0)
    ward.act("acknowledge", low.id, 1)
    (high,) = ward.now("glucose", "260", 30)
    assert (high.id, high.state) == (low.id, "open")
    assert len(high.why) == 2


def test_priority_never_falls_and_resolving_begins_a_new_episode() -> None:
    ward = Ward()
    (first,) = ward.now("heart_rate", "225", 0)
    (amber,) = ward.now("heart_rate", "112", 5)
    assert (amber.priority, amber.title, len(amber.history)) == ("high", "Heart rate high", 1)
    (stays,) = ward.act("resolve", first.id, 6)[:1]
    assert (stays.priority, stays.state) == ("high", "acknowledged")  # 112 is amber: it is not back
    (ended,) = ward.act("withdraw", first.id, 6, reason="the strap slipped")
    assert (ended.priority, ended.state) == ("high", "resolved")
    (second,) = ward.now("heart_rate", "112", 7)
    assert (second.priority, second.id != first.id) == ("low", True)


def test_an_action_on_what_is_no_more_does_nothing() -> None:
    assert Ward().act("resolve", "nothing") == ()


def test_a_message_is_applied_once() -> None:
    ward = Ward()
    message = ward.message(0, (0, "heart_rate", "135"))
    assert ward.judge.step(ward.patient, message) is not None
    assert ward.judge.step(ward.patient, message) is None


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: a temperature of 40.1 cannot be judged."""
    from rpm_stream.score.rules.limits_and_news2 import LimitJudge

    judged = LimitJudge.limits

    def limits(self: LimitJudge, state: Any, reading: Any, patient: Any) -> Any:
        if reading.value == "40.1":
            raise ZeroDivisionError("the value 40.1 of patient p")
        return judged(self, state, reading, patient)

    monkeypatch.setattr(LimitJudge, "limits", limits)


@pytest.mark.usefixtures("failing")
def test_a_step_that_fails_leaves_the_state_and_tells_a_person() -> None:
    """CONTRACT 2.

    The failing message holds a red pulse, judged before the bug strikes: it is undone.
    """
    ward = Ward()
    for minute in range(150):  # several seals, and something after the last
        ward.now("heart_rate", str(60 + minute % 5), minute)
    before = pack_patient(ward.patient)
    twin = unpack_patient(before, "p")
    ward.now("weight", "80", 150)
    ward.judge.tick(ward.patient, START + timedelta(minutes=151))
    judged = ward.judge.step(
        ward.patient,
        ward.message(152, (151, "heart_rate", "135"), (152, "body_temperature", "40.1")),
    )
    assert judged is not None
    assert [(each.group, each.priority, each.state) for each in judged.alerts] == [
        ("device:not_judged", "medium", "open")
    ]
    assert [(each.reason, each.stage, each.device) for each in judged.rejects] == [
        ("internal_error", "judge", "d")
    ] * 2
    assert {each.detail for each in judged.rejects} == {"ZeroDivisionError"}
    for patient in (ward.patient, twin):
        patient.state.episodes.clear()
        patient.state.now = None
        patient.state.applied.clear()
    judge = Judge(shipped(), ward.registry)
    judge.step(twin, Ward().message(150, (150, "weight", "80")))
    twin.state.applied.clear()
    twin.state.now = None
    assert ward.patient.state.score.histories == twin.state.score.histories
    assert ward.patient.state.score.calm == twin.state.score.calm


@pytest.mark.usefixtures("failing")
def test_after_a_failure_the_next_readings_are_judged_and_the_message_is_not_tried_again() -> None:
    ward = Ward()
    poison = ward.message(0, (0, "body_temperature", "40.1"))
    assert ward.judge.step(ward.patient, poison) is not None
    assert ward.judge.step(ward.patient, poison) is None
    (alert,) = ward.now("heart_rate", "135", 1)
    assert alert.group == "vital_signs"
    assert "device:not_judged" in ward.patient.state.episodes


@pytest.mark.usefixtures("failing")
def test_one_failure_leaves_others_as_they_are() -> None:
    """The same frames with and without the poison: all other lines are equal."""
    good = [
        frame([measurement(minute, "heart_rate", "135")], minute, seq=minute) for minute in range(3)
    ]
    bad = frame([measurement(1, "body_temperature", "40.1")], 1, seq=9)
    alone = replay_frames(good, [worn()])
    mixed = replay_frames([good[0], bad, *good[1:]], [worn()])
    left = [
        (kind, record)
        for kind, record in mixed
        if kind != "reject"
        and record.get("group") != "device:not_judged"
        and record.get("vital") != "body_temperature"
    ]
    assert left == alone
    assert [each["reason"] for each in of_type(mixed, "reject")] == ["internal_error"]


def test_judged_is_empty_by_default() -> None:
    assert Judged() == Judged(scores=(), alerts=(), observations=(), rejects=())
