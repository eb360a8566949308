"""Signs of a bad signal, each from both sides: told in a group of its own, said beside what else
is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from support.frames import frame, measurement, notified, worn
from support.replaying import alerts, last_alerts, of_type, replay_frames, replay_values
from support.ward import Ward

from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient

Values = Sequence[tuple[float, str, str, str]]
KINDS = ("device:unit", "device:step", "device:disagreement", "device:clock", "device:refused")


def frames_of(values: Iterable[Sequence[Any]], device: str = "d") -> list[dict[str, Any]]:
    """One frame a value: (minutes, vital, value[, unit])."""
    return [
        frame([measurement(*value)], value[0], seq=number, frame=f"{device}{number}", device=device)
        for number, value in enumerate(values)
    ]


def replayed(frames: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Frames of any devices of one patient, in the order of their sending."""
    devices = sorted({each["device"] for each in frames})
    return replay_frames(
        sorted(frames, key=lambda each: each["sent_at"]), [worn(device=name) for name in devices]
    )


def told(frames: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    found = [each for each in alerts(replayed(frames)) if each[0] in KINDS]
    return [(group, priority, state) for group, priority, state, _ in found]


def why(frames: list[dict[str, Any]], group: str) -> str:
    """The words of the last record of the group's last alert."""
    found = [alert for alert in last_alerts(replayed(frames)).values() if alert["group"] == group]
    return " | ".join(found[-1]["why"])


# --- a value that fits this person in another unit only -------------------------------------------

GLUCOSE = [
    (hour * 60, "glucose", value, "mg/dL") for hour, value in enumerate(("110", "125", "98", "140"))
]
WEIGHTS = [
    (day * 1440, "weight", value, "kg")
    for day, value in enumerate(("80.2", "80.0", "79.8", "80.4"))
]
TEMPERATURES = [
    (day * 720, "body_temperature", value, "Cel")
    for day, value in enumerate(("36.6", "36.8", "37.1"))
]
PRESSURES = [
    (day * 1440, "systolic", value, "mm[Hg]") for day, value in enumerate(("128", "131", "125"))
]


def test_millimoles_sent_as_milligrams_are_told_and_the_red_one_too() -> None:
    """Law 10: 12 mg/dL is judged as 12 mg/dL. Law 3: told at high, with the doubt beside it."""
    found = frames_of([*GLUCOSE, (300, "glucose", "12", "mg/dL")])
    assert ("device:unit", "low", "open") in told(found)
    reds = [alert for alert in last_alerts(replayed(found)).values() if alert["group"] == "glucose"]
    assert [alert["priority"] for alert in reds] == ["high"]
    assert "would in mmol/L: is the device's unit set right?" in " ".join(reds[0]["why"])
    assert [reading["value"] for reading in of_type(replayed(found), "reading")][-1] == "12"


@pytest.mark.parametrize(
    ("usual", "value"),
    [
        (WEIGHTS, (6500, "weight", "177", "kg")),  # pounds
        (WEIGHTS, (6500, "weight", "80", "[lb_av]")),  # kilograms
        (GLUCOSE, (6500, "glucose", "50", "mmol/L")),  # milligrams
    ],
)
def test_every_other_unit_of_the_vital_is_thought_of(
    usual: Values, value: tuple[float, str, str, str]
) -> None:
    assert ("device:unit", "low", "open") in told(frames_of([*usual, value]))


@pytest.mark.parametrize(
    ("usual", "value"),
    [
        (GLUCOSE, (6500, "glucose", "42", "mg/dL")),  # a true low: 42 mmol/L would fit nobody
        (GLUCOSE, (6500, "glucose", "390", "mg/dL")),
        (GLUCOSE, (6500, "glucose", "6.1", "mmol/L")),  # the same person, another unit
        (WEIGHTS, (6500, "weight", "88", "kg")),
        (WEIGHTS, (6500, "weight", "177", "[lb_av]")),
        (WEIGHTS[:2], (6500, "weight", "177", "kg")),  # not known well enough yet
    ],
)
def test_what_a_body_may_do_is_no_unit(usual: Values, value: tuple[float, str, str, str]) -> None:
    assert told(frames_of([*usual, value])) == []


def test_it_is_over_when_the_unit_is_right_again_and_a_real_change_becomes_usual() -> None:
    mended = frames_of([*WEIGHTS, (6500, "weight", "177", "kg"), (9000, "weight", "80.1", "kg")])
    assert told(mended) == [("device:unit", "low", "open"), ("device:unit", "low", "resolved")]
    stays = [(6500 + day * 2000, "weight", "177", "kg") for day in range(8)]
    assert told(frames_of([*WEIGHTS, *stays])) == [
        ("device:unit", "low", "open"),
        ("device:unit", "low", "resolved"),
    ]


@pytest.mark.parametrize(
    ("usual", "value", "unit"),
    [
        (TEMPERATURES, (6500, "body_temperature", "98.4", "Cel"), "°F"),
        (TEMPERATURES, (6500, "body_temperature", "36.9", "[degF]"), "°C"),
        (PRESSURES, (6500, "systolic", "17.1", "mm[Hg]"), "kPa"),
        (PRESSURES, (6500, "systolic", "128", "kPa"), "mmHg"),
        (GLUCOSE, (6500, "glucose", "5.6", "mg/dL"), "mmol/L"),
    ],
)
def test_a_refused_value_that_another_unit_would_explain_is_told_at_once(
    usual: Values, value: tuple[float, str, str, str], unit: str
) -> None:
    """It stays refused: no reading, no Observation; the alert's evidence is its reject."""
    found = frames_of([*usual, value])
    assert told(found) == [("device:refused", "low", "open")]
    assert f"it would fit this person in {unit}, is the device's unit set right?" in why(
        found, "device:refused"
    )
    output = replayed(found)
    (reject,), readings = of_type(output, "reject"), of_type(output, "reading")
    (alert,) = (alert for alert in of_type(output, "alert") if alert["group"] == "device:refused")
    assert reject["reason"] == "implausible"
    assert alert["evidence"] == [reject["id"]]
    assert len(readings) == len(usual)
    assert len(of_type(output, "observation")) == len(usual)


def test_refused_values_without_explanation_are_told_when_they_last_and_over_with_a_good_one() -> (
    None
):
    def sent(*values: tuple[float, str]) -> list[dict[str, Any]]:
        return frames_of([(at, "oxygen_saturation", value, "%") for at, value in values])

    opened, over = ("device:refused", "low", "open"), ("device:refused", "low", "resolved")
    assert told(sent((0, "127"))) == []
    assert told(sent(*((at, "127") for at in range(9)))) == []
    assert told(sent((0, "127"), (5, "97"), (11, "127"))) == []
    assert told(sent((0, "127"), (10, "127"))) == [opened]
    assert told(sent((0, "127"), (10, "127"), (11, "127"), (12, "97"))) == [opened, over]
    assert "oxygen saturation 127 % was refused" in why(
        sent((0, "127"), (10, "127")), "device:refused"
    )


# --- jumps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vital", "unit", "before", "after", "minutes"),
    [
        ("weight", "kg", "80", "85.1", 1400),
        ("systolic", "mm[Hg]", "120", "181", 4),
        ("diastolic", "mm[Hg]", "70", "111", 4),
        ("body_temperature", "Cel", "36.6", "39.2", 14),
        ("glucose", "mg/dL", "110", "265", 14),
        ("glucose_interstitial", "mg/dL", "110", "175", 5),
    ],
)
def test_a_jump_that_no_body_makes_is_told_and_over_with_the_next_value_beside_it(
    vital: str, unit: str, before: str, after: str, minutes: float
) -> None:
    jump = [(0, vital, before, unit), (minutes, vital, after, unit)]
    opened = ("device:step", "low", "open")
    assert told(frames_of(jump)) == [opened]
    assert f"a jump from {before} " in why(frames_of(jump), "device:step")
    again = (minutes + 1, vital, after, unit)
    assert told(frames_of([*jump, again])) == [opened, ("device:step", "low", "resolved")]
    back = (minutes + 1, vital, before, unit)
    assert told(frames_of([*jump, back])) == [opened, ("device:step", "low", "resolved")]
    slowly = [(0, vital, before, unit), (minutes + 1801, vital, after, unit)]
    assert told(frames_of(slowly)) == []


def test_a_jump_between_two_units_is_one_and_the_same_weight_is_none() -> None:
    kilograms = (0, "weight", "82.2", "kg")
    assert told(frames_of([kilograms, (1440, "weight", "164.4", "[lb_av]")])) == [
        ("device:step", "low", "open")
    ]
    assert told(frames_of([kilograms, (1440, "weight", "181.2", "[lb_av]")])) == []


def test_another_cuff_is_no_neighbour() -> None:
    found = [*frames_of([(0, "systolic", "120")], "d"), *frames_of([(2, "systolic", "185")], "e")]
    assert told(found) == []


def test_one_jump_of_a_rate_is_no_news_and_the_third_is() -> None:
    def rates(jumps: int) -> list[dict[str, Any]]:
        values = ["72", "140"] * (jumps // 2 + 1)
        return frames_of(
            [(at * 5 / 60, "heart_rate", value) for at, value in enumerate(values[: jumps + 1])]
        )

    assert told(rates(1)) == []
    assert told(rates(2)) == []
    assert told(rates(3)) == [("device:step", "low", "open")]


def test_a_red_value_after_a_jump_is_told_at_once_with_the_jump_beside_it() -> None:
    found = frames_of([(0, "heart_rate", "72"), (0.1, "heart_rate", "230")])
    (alert,) = last_alerts(replayed(found)).values()
    assert (alert["group"], alert["priority"]) == ("vital_signs", "high")
    assert (
        "a jump from 72 a minute 6 seconds before that hardly any body makes: measure again"
        in alert["why"][0]
    )


# --- two sensors of one rhythm --------------------------------------------------------------------


def strap_and_oximeter(heart: int, pulse: int, minutes: int) -> list[dict[str, Any]]:
    """2A37 and 2A5F once a minute."""
    strap = notified("2A37", ((at, f"06{heart:02X}") for at in range(minutes)), device="strap")
    oximeter = notified(
        "2A5F", ((at + 0.1, f"006100{pulse:02X}00") for at in range(minutes)), device="oximeter"
    )
    return strap + oximeter


def test_a_pulse_that_is_not_the_hearts_is_told_with_both_sensors_named() -> None:
    assert told(strap_and_oximeter(80, 110, 30)) == []
    assert told(strap_and_oximeter(80, 111, 3)) == []
    assert told(strap_and_oximeter(80, 111, 4)) == [("device:disagreement", "low", "open")]
    said = why(strap_and_oximeter(74, 37, 10), "device:disagreement")
    assert said.startswith(
        "pulse 37 a minute from the oximeter, heart rate 74 a minute from the strap: "
    )


def test_they_must_speak_of_the_same_minute() -> None:
    strap = notified("2A37", ((at, "0650") for at in range(0, 60, 6)), device="strap")
    oximeter = notified(
        "2A5F", ((at + 3, "0061007800") for at in range(0, 60, 6)), device="oximeter"
    )
    assert told(strap + oximeter) == []


def test_agreement_ends_it() -> None:
    apart, together = (
        strap_and_oximeter(80, 120, 6),
        notified("2A5F", [(6, "0061005200")], device="oximeter"),
    )
    strap = notified("2A37", [(6, "0650")], device="strap")
    for number, each in enumerate((*together, *strap), start=100):
        each["seq"] = number
    opened = ("device:disagreement", "low", "open")
    assert told(apart + strap + together) == [opened, ("device:disagreement", "low", "resolved")]


# --- movement and the device's own doubts ---------------------------------------------------------


def walking(cadence: int, ago: float, rate: str = "06A0") -> dict[str, Any]:
    """The alert of 160 a minute (or another payload of 2A37), so many minutes after steps of
    2A53.
    """
    pod = notified("2A53", [(10 - ago, f"000001{cadence:02X}")], device="pod")  # 1 m/s
    strap = notified("2A37", [(10, rate)], device="strap")
    (alert,) = last_alerts(replayed(pod + strap)).values()
    return alert


def test_a_fast_heart_of_somebody_who_walks_is_told_and_says_so() -> None:
    alert = walking(cadence=120, ago=1)
    assert (alert["group"], alert["priority"]) == ("vital_signs", "medium")
    assert alert["why"][0].endswith("while moving: 120 steps a minute")
    assert walking(cadence=20, ago=1)["why"][0].endswith("while moving: 1 m/s")


def test_old_steps_and_slow_hearts_have_nothing_to_do_with_each_other() -> None:
    assert "moving" not in walking(cadence=120, ago=3)["why"][0]
    assert "moving" not in walking(cadence=120, ago=1, rate="0623")["why"][0]


def test_a_value_that_its_device_doubts_asks_for_a_repeat() -> None:
    # 220/110, body movement, cuff too loose
    loose = notified("2A35", [(0, "10DC006E0092000300")], device="cuff")
    (alert,) = (
        each for each in last_alerts(replayed(loose)).values() if each["group"] == "vital_signs"
    )
    asked = [line for line in alert["why"] if "the device doubts it" in line]
    assert asked and all("body movement, cuff too loose" in line for line in asked)
    assert all("measure again" in line or "repeat" in line for line in asked)


def test_a_strap_without_contact_is_judged_and_says_so() -> None:
    (alert,) = last_alerts(replayed(notified("2A37", [(0, "04A0")], device="strap"))).values()
    assert (alert["priority"], alert["why"][0].endswith("; no contact")) == ("medium", True)


# --- stored values that come as new ---------------------------------------------------------------

FIVE = ("110", "145", "98", "176", "132")


def test_stored_values_under_new_times_are_told_and_over_with_a_new_one() -> None:
    again = [*FIVE, "120", *FIVE]
    values = [(number * 200, "glucose", value) for number, value in enumerate(again)]
    assert told(frames_of(values)) == [("device:clock", "low", "open")]
    assert "the last 5 values of blood glucose came in the same order before" in why(
        frames_of(values), "device:clock"
    )
    ended = [*values, (5000, "glucose", "101")]
    assert told(frames_of(ended)) == [
        ("device:clock", "low", "open"),
        ("device:clock", "low", "resolved"),
    ]


@pytest.mark.parametrize(
    "again", [("110", "145", "98", "176", "133"), ("110", "145", "98", "132", "176")]
)
def test_nearly_the_same_is_not_the_same(again: Sequence[str]) -> None:
    values = [(number * 200, "glucose", value) for number, value in enumerate([*FIVE, *again])]
    assert told(frames_of(values)) == []


def test_a_low_among_stored_values_is_told_all_the_same() -> None:
    low = ["110", "145", "50", "176", "132"]
    output = replay_values(
        [(number * 200, "glucose", value) for number, value in enumerate(low + low)]
    )
    steps = [step["event"] for alert in last_alerts(output).values() for step in alert["history"]]
    assert [event for event in steps if event in ("opened", "returned")].count("returned") == 1


def test_what_is_compared_survives_a_restart() -> None:
    """State of the rules is restored exactly and stays small."""
    ward, twin = Ward(), Ward()
    for number, value in enumerate([*FIVE, "120", *FIVE]):
        sent = ward.now("glucose", value, number * 200)
        ward.patient = unpack_patient(pack_patient(ward.patient), "p")
        assert sent == twin.now("glucose", value, number * 200)
    assert pack_patient(ward.patient) == pack_patient(twin.patient)
