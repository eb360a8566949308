"""Whom NEWS2 is not made for: the charts for pregnancy and for children, from both sides of each
number.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START
from support.replaying import alerts, news2_scores, of_type, replay_values

UNIT = {"mean_arterial": "mm[Hg]", "consciousness": "{ACVPU}"}
AGES = {  # months: a birthday in the middle of each age
    "0 to 3 months": 1,
    "3 to 12 months": 7,
    "1 to 4 years": 30,
    "4 to 12 years": 96,
    "over 12 years": 160,
}
# Bedside PEWS, table 1: the first value of 2 points and of 4 points, below and above.
VITALS = ("heart_rate", "systolic", "respiratory_rate")
PEWS = {
    "0 to 3 months": ((80, 90, 180, 190), (45, 50, 100, 130), (15, 19, 81, 91)),
    "3 to 12 months": ((70, 80, 170, 180), (60, 70, 120, 150), (15, 19, 71, 81)),
    "1 to 4 years": ((60, 70, 150, 170), (65, 75, 125, 160), (12, 15, 61, 71)),
    "4 to 12 years": ((50, 60, 130, 151), (70, 80, 140, 170), (10, 14, 41, 51)),
    "over 12 years": ((40, 49, 120, 140), (75, 85, 150, 190), (9, 10, 23, 30)),
}


def priorities(vital: str, *values: object, **entry: Any) -> list[str]:
    """Of each alert record about vital signs while ``values`` come five minutes apart."""
    rows = [
        (5 * number, vital, str(value), *([UNIT[vital]] if vital in UNIT else []))
        for number, value in enumerate(values)
    ]
    found = replay_values(rows, [{"v": 1, "patient": "p", **entry}])
    assert news2_scores(found) == []
    return [priority for group, priority, _, _ in alerts(found) if group == "vital_signs"]


def born(months: int) -> str:
    return (date(START.year, START.month, START.day) - timedelta(days=30.44 * months)).isoformat()


@pytest.mark.parametrize(
    ("vital", "inside", "amber", "red"),
    [
        # Mhyre 2014 < 50, > 120; Shields 2016 > 130
        ("heart_rate", (50, 120), (49, 121, 130), (131,)),
        ("pulse_rate", (50, 120), (49, 121, 130), (131,)),
        ("respiratory_rate", (10, 30), (9,), (31,)),
        ("oxygen_saturation", (95, 100), (94, 90), (89, 84)),
        ("systolic", (90, 159), (89, 85), (84, 160, 190)),
        ("diastolic", (100, 60), (101, 109), (110, 125)),
        ("mean_arterial", (55, 120), (), (54,)),
        ("body_temperature", ("36.0", "38.0"), ("35.9", "38.1", "40.5"), ()),
        ("consciousness", (0,), (), (1, 2, 3, 4)),
    ],
)
def test_pregnancy(
    vital: str, inside: tuple[object, ...], amber: tuple[object, ...], red: tuple[object, ...]
) -> None:
    given = [
        (value, first)
        for values, first in ((inside, []), (amber, ["low"]), (red, ["medium"]))
        for value in values
    ]
    for value, first in given:
        assert priorities(vital, value, pregnant=True) == first, (vital, value)
    for value in red:
        assert priorities(vital, value, value, pregnant=True) == ["medium", "high"]


def test_pressure_in_pregnancy_is_repeated_within_15_minutes_and_either_pressure_repeats_it() -> (
    None
):
    entry = [{"v": 1, "patient": "p", "pregnant": True}]
    values = [
        (0, "systolic", "162"),
        (0, "diastolic", "95"),
        (15, "systolic", "150"),
        (15, "diastolic", "111"),
    ]
    found = of_type(replay_values(values, entry), "alert")
    assert [alert["priority"] for alert in found] == ["medium", "high"]
    assert (
        found[0]["why"][0]
        == "systolic 162 mmHg: high, red in the chart for pregnancy (shipped); repeat in 15"
        " minutes; "
        "NEWS2 does not apply (pregnant)"
    )


SCALES = [
    {"oxygen_scale": scale, "on_oxygen": known} for scale in (1, 2) for known in (None, True, False)
]
# who, and what is red of their saturation on scales 1 and 2
PEOPLE: tuple[tuple[dict[str, Any], int, int], ...] = (
    ({"pregnant": True}, 89, 89),
    ({"pregnant": True, "born": "2012"}, 89, 89),
    ({"pregnant": True, "born": "unreadable"}, 89, 89),
    ({"born": "2020"}, 91, 83),
    ({"born": "unreadable"}, 91, 83),
    ({"born": "1950"}, 91, 83),
    ({}, 91, 83),
)
ANSWERS = st.lists(
    st.tuples(st.sampled_from((0, 30, 90, 900)), st.sampled_from(("0", "2"))), max_size=3
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PEOPLE), st.sampled_from(SCALES), ANSWERS, st.data())
def test_a_red_saturation_of_the_persons_chart_rings_whatever_is_said_of_oxygen(
    who: tuple[dict[str, Any], int, int],
    scale: dict[str, Any],
    answers: list[tuple[int, str]],
    data: st.DataObject,
) -> None:
    person, red_on_1, red_on_2 = who
    value = str(data.draw(st.integers(70, red_on_2 if scale["oxygen_scale"] == 2 else red_on_1)))
    values = [(minute, "oxygen_flow", flow, "L/min") for minute, flow in dict(answers).items()]
    values += [(minute, "oxygen_saturation", value) for minute in (60, 70)]
    output = replay_values(sorted(values), [{"v": 1, "patient": "p", **person, **scale}])
    found = [
        each["priority"] for each in of_type(output, "alert") if each["group"] == "vital_signs"
    ]
    assert (found[0], found[-1]) == ("medium", "high")


@pytest.mark.parametrize("on_oxygen", [None, True, False])
def test_pregnancy_has_one_scale_of_saturation(on_oxygen: bool | None) -> None:
    """The chart for pregnancy knows no scale 2: neither a low value is right by it, nor is
    anything asked for it.
    """
    for value, first in ((95, []), (97, []), (90, ["low"]), (89, ["medium"])):
        assert (
            priorities(
                "oxygen_saturation", value, pregnant=True, oxygen_scale=2, on_oxygen=on_oxygen
            )
            == first
        )
    assert priorities("oxygen_saturation", 89, 88, pregnant=True, oxygen_scale=2) == [
        "medium",
        "high",
    ]


@pytest.mark.parametrize(("age", "vital"), [(age, vital) for age in PEWS for vital in VITALS])
def test_children_by_age(age: str, vital: str) -> None:
    """A pressure above 180 is severe at any age, and a rate above 80 is refused as no body's."""
    red_low, amber_low, amber_high, red_high = PEWS[age][VITALS.index(vital)]
    given = [(value, []) for value in (amber_low + 1, amber_high - 1)]
    given += [(value, ["low"]) for value in (amber_low, red_low + 1, amber_high, red_high - 1)]
    given += [(value, ["medium"]) for value in (red_low, red_high)]
    for value, first in given:
        if not (vital == "respiratory_rate" and value > 80):
            is_severe = vital == "systolic" and value > 180
            assert priorities(vital, value, born=born(AGES[age])) == (
                ["medium"] if is_severe else first
            ), value
    assert priorities(vital, red_low, red_low, born=born(AGES[age])) == ["medium", "high"]


def test_an_adults_query_bounds_of_pulse_breathing_and_pressure_do_not_hold_for_a_child() -> None:
    assert priorities("heart_rate", 225, born=born(1)) == ["medium"]
    assert priorities("systolic", 65, born=born(1)) == []
    assert priorities("respiratory_rate", 55, born=born(1)) == []
    assert priorities("oxygen_saturation", 69, born=born(1)) == ["high"]
    assert priorities("body_temperature", "41.6", born=born(1)) == ["high"]


def test_saturation_temperature_and_consciousness_of_a_child_are_judged_as_an_adults() -> None:
    for vital, value, first in (
        ("oxygen_saturation", 93, "low"),
        ("oxygen_saturation", 91, "medium"),
        ("body_temperature", "39.1", "low"),
        ("consciousness", 1, "medium"),
    ):
        assert priorities(vital, value, born=born(96)) == [first]
    (alert,) = of_type(
        replay_values(
            [(0, "oxygen_saturation", "93")], [{"v": 1, "patient": "p", "born": born(96)}]
        ),
        "alert",
    )
    assert alert["why"] == [
        (
            "oxygen saturation 93 %: low, amber, as for adults (shipped); NEWS2 does not apply"
            " (under 16)"
        )
    ]


def test_the_words_name_the_age() -> None:
    found = replay_values([(0, "heart_rate", "160")], [{"v": 1, "patient": "p", "born": born(96)}])
    (alert,) = of_type(found, "alert")
    assert alert["why"][0].startswith(
        "heart rate 160 a minute: high, red for a child of 4 to 12 years (shipped)"
    )
    assert alert["rule"].startswith("limit.child_red.heart_rate@")


@pytest.mark.parametrize(
    ("birthday", "words"), [("2025-03-02", "3 to 12 months"), ("2025-03-01", "1 to 4 years")]
)
def test_an_age_begins_on_the_day(birthday: str, words: str) -> None:
    (alert,) = of_type(
        replay_values([(0, "heart_rate", "200")], [{"v": 1, "patient": "p", "born": birthday}]),
        "alert",
    )
    assert words in alert["why"][0]


def test_whoever_sets_a_limit_for_a_child_or_in_pregnancy_sets_it_instead_of_the_chart() -> None:
    own = {"vital": "heart_rate", "high": 150, "unit": "/min", "owner": "dr"}
    assert priorities("heart_rate", 140, pregnant=True, limits=[own]) == []
    assert priorities("heart_rate", 140, born=born(96), limits=[own]) == []
    assert priorities("heart_rate", 48, born=born(96), limits=[own]) == ["medium"]


def test_whose_birth_cannot_be_read_has_what_holds_for_all_ages() -> None:
    unreadable = {"born": "01.05.2017"}
    assert priorities("heart_rate", 135, 135, **unreadable) == []
    assert priorities("oxygen_saturation", 91, **unreadable) == ["medium"]
    assert priorities("body_temperature", "39.5", **unreadable) == ["low"]
    assert priorities("consciousness", 1, **unreadable) == ["medium"]
    assert priorities("heart_rate", 221, **unreadable) == ["high"]
