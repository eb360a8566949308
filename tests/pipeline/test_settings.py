"""Settings that need a hand are told once, at the first record after they were set, until they
are mended.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest
from support.replaying import Output, of_type, replay_values
from support.ward import Ward

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.registry import parse_entry
from rpm_stream.records import Alert, Limit

FEVER = {"vital": "body_temperature", "high": 100.4, "unit": "Cel", "owner": "dr-a"}
GOOD = {"vital": "body_temperature", "high": 38.5, "unit": "Cel", "owner": "dr-a"}
CALM = [(0, "body_temperature", "37.0"), (10, "body_temperature", "37.1")]


def of_settings(output: Output) -> list[dict[str, Any]]:
    return [alert for alert in of_type(output, "alert") if alert["group"] == "settings"]


def patient(**fields: Any) -> dict[str, Any]:
    return {"v": 1, "patient": "p", **fields}


def test_a_limit_that_cannot_be_used_is_told_once_and_the_chart_holds() -> None:
    values = [*CALM, (20, "body_temperature", "40.6"), (40, "body_temperature", "41.0")]
    output = replay_values(values, [patient(limits=[FEVER])], until=5000)
    (alert,) = of_settings(output)
    assert (alert["priority"], alert["state"], alert["title"]) == (
        "low",
        "open",
        "A limit that cannot be used",
    )
    assert alert["why"] == [
        (
            "a limit of temperature, set by dr-a, is left out and what comes next holds: "
            "it has a high of 100.4 °C, which no body has: is the unit right?"
        )
    ]
    assert (alert["evidence"], alert["opened_at"], alert["stale"]) == (
        [],
        "2026-03-01T08:00:00Z",
        False,
    )
    content = msgspec.json.encode(msgspec.convert(FEVER, Limit)).decode()
    assert alert["id"] == deterministic_id("alert", "p", "settings", "limit", content)
    assert [
        each["priority"] for each in of_type(output, "alert") if each["group"] == "vital_signs"
    ][:1] == ["low"]


@pytest.mark.parametrize("level", ["panel", "programme"])
def test_a_limit_of_a_panel_or_programme_is_told_of_each_patient(level: str) -> None:
    entries = [patient(**{level: "heart"}), {"v": 1, level: "heart", "limits": [FEVER]}]
    (alert,) = of_settings(replay_values(CALM, entries))
    assert f"set by dr-a for the {level} heart, is left out" in alert["why"][0]


def test_nothing_is_told_of_good_settings_or_of_the_unregistered() -> None:
    assert (
        of_settings(
            replay_values(
                CALM, [patient(limits=[GOOD], born="1950", oxygen_scale=2, on_oxygen=False)]
            )
        )
        == []
    )
    assert of_settings(replay_values(CALM)) == []


def test_many_limits_that_cannot_be_used_fit_into_one_alert() -> None:
    limits = [{**FEVER, "high": 100 + number} for number in range(40)]
    last = of_settings(replay_values(CALM, [patient(limits=limits)]))[-1]
    assert len(last["why"]) == 9
    assert "32 further limits are left out, as they cannot be used" in last["why"]


@pytest.mark.parametrize("vital", ["heart_rate", "respiratory_rate", "systolic"])
def test_whose_birth_cannot_be_read_has_no_limits_for_what_goes_by_age(vital: str) -> None:
    (alert, further) = of_settings(
        replay_values(
            [(0, vital, "30" if vital == "respiratory_rate" else "100")],
            [patient(born="01.05.2017")],
        )
    )
    assert (alert["priority"], alert["title"]) == ("medium", "No limits for this person")
    assert "no limits for this person: of " in alert["why"][0]
    assert "the date of birth cannot be read" in further["why"][1]


def test_a_saturation_alone_has_limits_whatever_the_birth() -> None:
    (alert,) = of_settings(
        replay_values([(0, "oxygen_saturation", "97")], [patient(born="01.05.2017")])
    )
    assert (alert["priority"], alert["title"]) == ("low", "Date of birth cannot be read")
    assert "2017" not in " ".join(alert["why"])


def test_an_expected_vital_needs_limits_before_it_comes_and_a_set_limit_is_one() -> None:
    entry = patient(born="no", expected_every={"heart_rate": 60})
    assert (
        of_settings(replay_values([(0, "oxygen_saturation", "97")], [entry]))[0]["priority"]
        == "medium"
    )
    own = {"vital": "heart_rate", "high": 150, "unit": "/min", "owner": "dr-a"}
    (alert,) = of_settings(replay_values([(0, "heart_rate", "90")], [{**entry, "limits": [own]}]))
    assert alert["priority"] == "low"


def test_oxygen_that_nobody_has_said_is_asked_for_on_scale_2_until_it_is_answered() -> None:
    entry = patient(oxygen_scale=2)
    values = [(0, "oxygen_saturation", "90"), (30, "oxygen_saturation", "90")]
    (alert,) = of_settings(replay_values(values, [entry]))
    assert (alert["priority"], alert["title"]) == ("low", "Air or oxygen?")
    answered = of_settings(replay_values([*values, (40, "oxygen_flow", "2", "L/min")], [entry]))
    assert [each["state"] for each in answered] == ["open", "resolved"]
    assert answered[-1]["history"][-1]["reason"] == "answered: on oxygen"
    assert of_settings(replay_values([(0, "heart_rate", "80")], [entry])) == []


def test_oxygen_that_was_told_long_ago_is_asked_for_as_such_and_may_be_set_in_the_registry() -> (
    None
):
    ward = Ward(patient(oxygen_scale=2))
    ward.send(0, (0, "oxygen_flow", "2", "L/min"))
    told = ward.now("oxygen_saturation", "90", 13 * 60)
    assert told[-1].why[0].startswith("nobody has said in the last 12 hours whether")
    put(ward, oxygen_scale=2, on_oxygen=True)
    assert (
        ward.now("oxygen_saturation", "90", 13 * 60 + 5)[-1].history[-1].reason
        == "the setting is mended"
    )


def oxygen_ids(ward: Ward, *messages: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Id and state of each record about the oxygen that these messages give, each of (minutes,
    vital, value, unit).
    """
    return [
        (alert.id, alert.state)
        for minutes, *values in messages
        for alert in ward.send(minutes, *values)
        if alert.group == "settings"
    ]


SATURATION = (0, "oxygen_saturation", "90")
ANSWER = (60, "oxygen_flow", "2", "L/min")
PULSE = (20 * 60, "heart_rate", "70")


def test_oxygen_that_is_unknown_again_is_another_alert_though_no_saturation_came_since() -> None:
    """An answer counts for 12 hours; then it is asked for again, and the alert that was answered
    keeps its history.
    """
    ward = Ward(patient(oxygen_scale=2))
    first, answered, again = oxygen_ids(ward, (0, SATURATION), (60, ANSWER), (20 * 60, PULSE))
    assert (first[1], answered, again[1]) == ("open", (first[0], "resolved"), "open")
    assert again[0] != first[0]
    _, third = oxygen_ids(ward, (21 * 60, (21 * 60, *ANSWER[1:])), (40 * 60, (40 * 60, *PULSE[1:])))
    assert len({first[0], again[0], third[0]}) == 3


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_same_time_without_an_answer_is_the_same_alert_in_any_order(
    order: tuple[int, ...],
) -> None:
    later = [(19 * 60, "oxygen_saturation", "91"), (18 * 60, "oxygen_saturation", "92"), PULSE]
    ward = Ward(patient(oxygen_scale=2))
    oxygen_ids(ward, (0, SATURATION), (60, ANSWER))
    ((known, _), *_) = oxygen_ids(
        ward, *((20 * 60 + place, later[which]) for place, which in enumerate(order))
    )
    assert known == deterministic_id("alert", "p", "settings", "oxygen", "2026-03-01T21:00:00Z")


# --- the life of it -------------------------------------------------------------------------------


def put(ward: Ward, **fields: Any) -> None:
    ward.registry.put(parse_entry(msgspec.json.encode(patient(**fields))))


def told(ward: Ward, minute: float) -> list[Alert]:
    return [
        each
        for each in ward.send(minute, (minute, "body_temperature", "37.0"))
        if each.group == "settings"
    ]


def test_it_ends_when_it_is_mended_and_begins_anew_when_it_is_wrong_again() -> None:
    ward = Ward()
    assert told(ward, 0) == []
    put(ward, limits=[FEVER])
    (opened,) = told(ward, 10)
    assert told(ward, 20) == []
    put(ward, limits=[FEVER, {**FEVER, "high": 101}])
    (joined,) = told(ward, 30)
    assert (joined.id, len(joined.why)) == (opened.id, 2)
    put(ward, limits=[GOOD])
    (ended,) = told(ward, 40)
    assert (ended.id, ended.state) == (opened.id, "resolved")
    put(ward, limits=[FEVER])
    (again,) = told(ward, 50)
    assert (again.state, again.opened_at > opened.opened_at) == ("open", True)


def test_what_a_person_has_ended_is_not_told_again_before_it_was_mended() -> None:
    ward = Ward()
    put(ward, limits=[FEVER])
    (opened,) = told(ward, 0)
    (ended,) = ward.act("resolve", opened.id, 5)
    assert ended.state == "resolved"
    assert told(ward, 10) == []
    put(ward, limits=[])
    assert told(ward, 20) == []
    put(ward, limits=[FEVER])
    assert len(told(ward, 30)) == 1


def test_a_setting_that_was_mended_ends_its_alert_without_readings_too() -> None:
    ward = Ward()
    put(ward, limits=[FEVER])
    told(ward, 0)
    put(ward, limits=[GOOD])
    (ended,) = ward.tick(30)
    assert ended.state == "resolved"
