"""Trends over days through the replay: weight, heart rate and saturation against this person's
own days.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import UNITS, frame, measurement, registry_of, stamp, worn
from support.replaying import (
    alerts,
    csv_lines,
    new_replay,
    of_type,
    replay_csv,
    replay_frames,
    replay_values,
)
from support.ward import Ward

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.score.memory.days import Days
from rpm_stream.score.rules.entry_faults import faults

DAY = 1440
BREATH = ("breathlessness", "{score}")
UNITS.setdefault("breathlessness", "{score}")

Value = tuple[Any, ...]


def weights(*numbers: float, start: int = 0) -> list[Value]:
    """One a day."""
    return [((start + day) * DAY, "weight", f"{number:.1f}") for day, number in enumerate(numbers)]


STEADY = (80.0, 80.2, 79.9, 80.1, 80.0, 79.8, 80.1, 80.0, 80.2, 79.9)


def trends(
    values: list[Value], entries: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The alerts that a trend has opened or raised."""
    output = replay_values(sorted(values, key=lambda row: row[0]), entries or [])
    return [alert for alert in of_type(output, "alert") if alert["rule"].startswith("trend.")]


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ((80.9, 81.0, 81.0), False),  # 0.9 to 1.0 above 80: the mean is just below
        ((81.0, 81.1, 81.1), True),
        ((81.5,), False),  # one day is not two
        ((80.0, 82.4), False),  # of three days
        ((81.0, 82.6), True),
    ],
)
def test_weight_above_its_own_days_before(last: tuple[float, ...], told: bool) -> None:
    found = trends(weights(*STEADY, *last))
    assert bool(found) is told
    if told:
        assert (found[0]["group"], found[0]["priority"], found[0]["title"]) == (
            "weight",
            "low",
            "Body weight rising",
        )
        assert "of the 28 days before" in found[0]["why"][0]


def test_a_week_of_days_is_needed() -> None:
    rising = (82.0, 82.5, 83.0)
    assert trends(weights(*STEADY[:6], *rising[:1])) == []
    assert trends(weights(*STEADY[:6], *rising)) == []  # six days before
    assert trends(weights(*STEADY[:7], *rising)) != []


def test_a_restless_weight_needs_a_larger_rise() -> None:
    restless = (80.0, 82.0, 79.0, 81.5, 79.5, 81.8, 79.2, 81.0, 79.0, 81.6)
    assert trends(weights(*restless, 81.8, 81.9, 82.0)) == []
    assert trends(weights(*restless, 83.5, 83.6, 83.8)) != []


def test_the_rule_of_thumb_alone_tells_nothing() -> None:
    """3 lb in a day, 5 lb in a week: PPV 6 to 7 %."""
    assert trends(weights(*STEADY, 81.9)) == []
    assert alerts(replay_values(weights(*STEADY, 81.9))) == []


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([1, 1, 1, 3], True),
        ([1, 1, 1, 2], False),
        ([4], True),
        ([3], False),
        ([5, 5, 5, 5], False),
        ([], False),
    ],
)
def test_with_breathlessness_above_usual_it_is_medium(answers: list[int], told: bool) -> None:
    """The rule of thumb and the answer of the same day; without a usual answer 4 of 10 counts."""
    last = len(STEADY)
    said = [
        ((last - len(answers) + 1 + day) * DAY - 10, *BREATH[:1], str(answer))
        for day, answer in enumerate(answers)
    ]
    said = [(minutes + 5, vital, value) for minutes, vital, value in said]
    found = trends([*weights(*STEADY, 81.2), *said, ((last) * DAY + 200, "weight", "81.2")])
    assert bool(found) is told
    if told:
        assert found[0]["priority"] == "medium"
        assert "breathlessness" in found[0]["why"][0]
        assert "rule of thumb" in found[0]["why"][0]


def pulses(*numbers: int) -> list[Value]:
    return [(day * DAY + 60, "heart_rate", str(number)) for day, number in enumerate(numbers)]


def test_with_a_heart_rate_above_usual_it_is_medium() -> None:
    steady, fast = [70, 71, 69, 70, 72, 70, 69, 71, 70, 70], [80, 82, 81]
    both = [*weights(*STEADY, 81.2, 81.4, 81.5), *pulses(*steady, *fast)]
    assert "medium" in {alert["priority"] for alert in trends(both) if alert["group"] == "weight"}
    calm = [*weights(*STEADY, 81.2, 81.4, 81.5), *pulses(*steady, 72, 71, 72)]
    assert {alert["priority"] for alert in trends(calm)} == {"low"}


@pytest.mark.parametrize(("last", "told"), [((77, 77, 78), False), ((78, 79, 79), True)])
def test_heart_rate_above_its_own_days(last: tuple[int, ...], told: bool) -> None:
    steady = (70, 71, 69, 70, 70, 70, 69, 71, 70, 70)
    assert bool(trends(pulses(*steady, *last))) is told


def test_a_lasting_rise_becomes_usual() -> None:
    """The window moves on: after its own length the new weight is this person's own."""
    found = replay_values(weights(*STEADY, *[83.0] * 40))
    last = of_type(found, "alert")[-1]
    assert (last["state"], last["group"]) == ("resolved", "weight")


def test_the_unit_of_the_scale_does_not_matter() -> None:
    pounds = [
        (at, vital, f"{float(kilos) / 0.45359237:.1f}", "[lb_av]")
        for at, vital, kilos in weights(*STEADY, 82, 82)
    ]
    assert (
        trends(pounds)[0]["why"][0]
        == "weight 180.8 lb; 179.2 lb over the last 3 days, 2.8 above the 176.4 of the 28 days"
        " before; up 4.6 lb within 2 days (rule of thumb) (trend)"
    )


def test_what_the_scale_cannot_name_feeds_no_trend() -> None:
    """A weight of an unknown user of a shared scale (user index 255): 2A9D, kg, user, 82.0 kg
    (16400 steps of 5 g).
    """
    steady = [
        frame([measurement(at, vital, value)], at, seq)
        for seq, (at, vital, value) in enumerate(weights(*STEADY))
    ]
    own, unknown = (
        [
            frame(
                [{"at": stamp_of(day), "characteristic": "2A9D", "payload": f"041040{user}"}],
                day * DAY,
                50 + day,
            )
            for day in (10, 11, 12)
        ]
        for user in ("01", "ff")
    )
    entries = [worn()]
    assert [
        a
        for a in of_type(replay_frames([*steady, *own], entries), "alert")
        if a["rule"].startswith("trend.")
    ]
    assert not [
        a
        for a in of_type(replay_frames([*steady, *unknown], entries), "alert")
        if a["rule"].startswith("trend.")
    ]


def stamp_of(day: int) -> str:
    return measurement(day * DAY, "weight", "1")["at"]


# --- saturation below its usual -------------------------------------------------------------------

USUAL = [(day * DAY, "oxygen_saturation", "98") for day in range(6)]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["95", "95", "95"], True),
        (["95", "95"], False),
        (["96", "96", "96", "96"], False),
        (["95", "97", "95", "95"], True),
        (["95", "97", "97", "95", "95"], False),
    ],
)
def test_saturation_three_below_usual_in_three_of_four(values: list[str], told: bool) -> None:
    last = [
        (6 * DAY + 60 * number, "oxygen_saturation", value) for number, value in enumerate(values)
    ]
    found = trends([*USUAL, *last])
    assert bool(found) is told
    if told:
        assert found[0]["priority"] == "low"
        assert "3 below this person's usual of 98" in found[0]["why"][0]


def test_five_days_make_a_usual() -> None:
    last = [(5 * DAY + 60 * number, "oxygen_saturation", "95") for number in range(4)]
    assert trends([*USUAL[1:5], *last]) == []
    assert trends([*USUAL[:5], *last]) != []


def test_in_a_stream_it_must_last_half_an_hour() -> None:
    """2A5F, normal values alone: flags 0, SpO2 95 %, pulse 72."""
    usual = [frame([measurement(*row)], row[0], seq) for seq, row in enumerate(USUAL)]
    stream = [
        frame(
            [{"at": stamp_at(6 * DAY + minute), "characteristic": "2A5F", "payload": "005f004800"}],
            6 * DAY + minute,
            90 + minute,
        )
        for minute in range(0, 31, 5)
    ]
    entries = [worn()]
    assert not [
        a
        for a in of_type(replay_frames([*usual, *stream[:-1]], entries), "alert")
        if a["rule"].startswith("trend")
    ]
    (alert,) = [
        a
        for a in of_type(replay_frames([*usual, *stream], entries), "alert")
        if a["rule"].startswith("trend")
    ]
    assert "for 30 minutes or longer" in alert["why"][0]


def stamp_at(minutes: int) -> str:
    return measurement(minutes, "weight", "1")["at"]


# --- laws -----------------------------------------------------------------------------------------

days = st.lists(st.floats(78, 84), min_size=8, max_size=16)


@settings(max_examples=12, deadline=None)
@given(days, st.integers(1, 200))
def test_law_4_shifted_by_days(numbers: list[float], by: int) -> None:
    def said(start: int) -> list[tuple[Any, ...]]:
        values = weights(*numbers, start=start)
        found = of_type(replay_values(values), "alert")
        return [
            (alert["priority"], alert["title"], alert["why"], alert["state"]) for alert in found
        ]

    assert said(0) == said(by)


@settings(max_examples=12, deadline=None)
@given(days, st.randoms(use_true_random=False))
def test_late_days_take_their_place(numbers: list[float], chance: random.Random) -> None:
    """Whatever order the days came in (within the week in which a duplicate is known), the same
    is kept and holds.
    """
    sent = [frame([measurement(*row)], row[0], seq) for seq, row in enumerate(weights(*numbers))]
    shuffled = [*sent[:-6], *chance.sample(sent[-6:], 6)]

    def kept(order: list[dict[str, Any]]) -> Days:
        run = new_replay([worn()])
        for number, each in enumerate(order):
            list(run.jsonl(msgspec.json.encode(each), number))
        return unpack_patient(run.state_of("p"), "p").state.score.days["weight"]

    assert (kept(shuffled).days, kept(shuffled).risen) == (kept(sent).days, kept(sent).risen)


@settings(max_examples=8, deadline=None)
@given(days)
def test_a_restart_between_every_two_readings_changes_nothing(numbers: list[float]) -> None:
    values = [*weights(*numbers)]
    values += [
        (at + 3, "oxygen_saturation", f"{90 + float(value) % 10:.0f}") for at, _, value in values
    ]
    kept, restarted = Ward(), Ward()
    for at, vital, value in sorted(values):
        assert kept.now(vital, value, at) == restarted.now(vital, value, at)
        restarted.patient = unpack_patient(pack_patient(restarted.patient), "p")
    assert kept.patient.state.score.days == restarted.patient.state.score.days


def test_a_new_normal_begins_the_days_anew() -> None:
    """A person has said that this is the weight from now on: the days before no longer count."""
    ward = Ward()
    opened = [
        alert
        for at, vital, value in weights(*STEADY, 82.0, 82.2, 82.1)
        for alert in ward.now(vital, value, at)
    ]
    told = [alert for alert in opened if alert.rule.startswith("trend.")]
    (ended,) = ward.act("new_normal", told[-1].id, minutes=13 * DAY - 60)
    assert ended.state == "resolved"
    after = [
        alert
        for at, vital, value in weights(*[82.1] * 20, start=13)
        for alert in ward.now(vital, value, at)
    ]
    assert not [alert for alert in after if alert.rule.startswith("trend.")]


def test_weights_that_are_taken_back_leave_the_days() -> None:
    """A visitor stood on the scale: once voided, nothing of it stays for a month."""
    ward = Ward()
    for at, vital, value in weights(*STEADY):
        ward.now(vital, value, at)
    visitor = [
        ward.message(at, (at, vital, value)) for at, vital, value in weights(90.0, 90.0, start=10)
    ]
    for message in visitor:
        ward.judge.step(ward.patient, message)
    readings = tuple(reading for message in visitor for reading in message.readings)
    ward.act("void", "-", minutes=12 * DAY - 60, readings=readings)
    days = ward.patient.state.score.days["weight"]
    assert len(days.days) == len(STEADY)
    assert not days.is_reported


def test_a_weight_that_is_taken_back_takes_no_other_of_its_slot() -> None:
    """A spouse stood on the scale five minutes later, three days in a row: the gain is told as
    if she had not.
    """
    alone, both = Ward(), Ward()
    for at, vital, value in weights(*STEADY, 83.0, 83.0, 83.0):
        for ward in (alone, both):
            ward.now(vital, value, at)
        if value == "83.0":
            spouse = both.message(at + 5, (at + 5, vital, "60.0"))
            both.judge.step(both.patient, spouse)
            both.act("void", "-", minutes=at + 10, readings=spouse.readings)
    days, undisturbed = (ward.patient.state.score.days["weight"] for ward in (both, alone))
    assert (days.days, days.risen) == (undisturbed.days, undisturbed.risen)
    assert days.is_reported


@pytest.mark.parametrize("unit", ["kg", "[lb_av]"])
def test_a_weight_that_is_taken_back_is_known_in_its_slot_by_its_value(unit: str) -> None:
    """In whatever unit it was sent."""
    ward = Ward()
    wrong = ward.message(0, (0, "weight", "150.3", unit))
    ward.judge.step(ward.patient, wrong)
    ward.act("void", "-", minutes=10, readings=wrong.readings)
    assert not ward.patient.state.score.days["weight"].days


def test_the_file_of_a_month_is_deterministic() -> None:
    lines = csv_lines(weights(*STEADY, *[81.5] * 20))
    assert replay_csv(lines) == replay_csv(lines)


# --- new patients: the weight at discharge --------------------------------------------------------


def discharged(value: object = 80, unit: str = "kg", day: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "v": 1,
            "patient": "p",
            "target_weight": {"value": value, "unit": unit, "at": stamp(day * DAY)},
        }
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((80.0, 81.0, 82.0), False),  # ESC: more than 2 kg in 3 days
        ((80.0, 81.0, 82.1), True),
        ((83.0,), True),
        ((80.0, 81.0, 81.5, 82.0, 82.2, 82.3), False),  # 2.3 kg in a week
        ((80.0, 81.0, 81.5, 82.0, 82.2, 82.4), True),
        ((80.0, 79.0, 78.5, 78.0, 79.0, 80.5), False),  # after discharge it normally falls first
    ],
)
def test_a_new_patient_is_compared_with_the_weight_at_discharge(
    values: tuple[float, ...], told: bool
) -> None:
    assert bool(trends(weights(*values), discharged())) is told
    assert trends(weights(*values)) == []


def test_above_the_discharge_weight_is_low_alone_and_says_so() -> None:
    (alert,) = trends(weights(80.0, 81.5, 83.0), discharged())
    assert (alert["group"], alert["priority"], alert["rule"]) == (
        "weight",
        "low",
        "trend.discharge.weight@1",
    )
    assert (
        alert["why"][0]
        == "weight 83.0 kg, 3.0 kg above the discharge weight of 80.0 kg; up 3.0 kg within 2 days"
        " (rule of thumb) (trend)"
    )


def test_above_the_discharge_weight_with_breathlessness_is_medium() -> None:
    breath = [(2 * DAY - 5, BREATH[0], "6", BREATH[1])]
    (alert,) = trends([*weights(80.0, 81.5, 83.0), *breath], discharged())
    assert (alert["priority"], alert["rule"]) == ("medium", "trend.joined.weight@1")


def test_own_days_take_the_place_of_the_weight_at_discharge_and_so_does_a_month() -> None:
    steady = weights(*(84.0 + number / 10 % 0.2 for number in range(12)), start=1)
    found = trends(steady, discharged())
    assert [alert["state"] for alert in found[:1]] == ["open"]
    assert trends(weights(84.0, 84.1, start=31), discharged()) == []
    assert trends(weights(84.0, start=0), discharged(day=1)) == []


def test_the_weight_at_discharge_may_be_in_pounds_and_one_that_cannot_be_is_left_out() -> None:
    assert trends(weights(80.0, 83.0), discharged("176.4", "[lb_av]"))
    assert trends(weights(80.0, 83.0), discharged(80, "%")) == []
    assert trends(weights(80.0, 83.0), discharged(80, "g")) == []


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        ("83.0", "kg", "weight 83.0 kg, 3.0 kg above the discharge weight of 80.0 kg (trend)"),
        ("83.14", "kg", "weight 83.14 kg, 3.1 kg above the discharge weight of 80.0 kg (trend)"),
        (
            "183.0",
            "[lb_av]",
            "weight 183.0 lb, 6.6 lb above the discharge weight of 176.4 lb (trend)",
        ),
        ("183", "[lb_av]", "weight 183 lb, 7 lb above the discharge weight of 176 lb (trend)"),
        ("83000", "g", "weight 83.0 kg, 3.0 kg above the discharge weight of 80.0 kg (trend)"),
    ],
)
@pytest.mark.parametrize("target", [("80", "kg"), ("176.37", "[lb_av]")])
def test_all_numbers_are_said_in_the_unit_of_the_scale(
    value: str, unit: str, said: str, target: tuple[str, str]
) -> None:
    """Whatever unit the weight at discharge was written in."""
    (alert,) = trends([(DAY, "weight", value, unit)], discharged(*target))
    assert alert["why"] == [said]


def test_a_day_of_several_weights_is_told_beside_the_reading_that_is_named() -> None:
    (alert,) = trends([(DAY, "weight", "83.0"), (DAY + 240, "weight", "83.6")], discharged())[-1:]
    assert (
        alert["why"][0]
        == "weight 83.6 kg; 83.3 kg on the day, 3.3 kg above the discharge weight of 80.0 kg"
        " (trend)"
    )


@pytest.mark.parametrize(("value", "unit"), [(80, "%"), (80, "g"), (800, "kg")])
def test_a_weight_at_discharge_that_cannot_be_is_refused(value: int, unit: str) -> None:
    (entry,) = registry_of(discharged(value, unit)).entries()
    (fault,) = faults(entry, shipped())
    assert fault.startswith("target_weight")
