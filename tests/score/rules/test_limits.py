"""Limits through the replay: the shipped ones, the query bound, a patient's own, and how long
they must last.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.frames import frame, measurement, stamp, worn
from support.replaying import alerts, of_type, replay_frames, replay_values

BP_HIGH = "Systolic blood pressure high"


def own(**limit: Any) -> list[dict[str, Any]]:
    given = {"priority": "medium", "unit": "/min", "owner": "dr", "vital": "heart_rate", **limit}
    return [{"v": 1, "patient": "p", "limits": [given]}]


def test_first_red_is_medium_and_the_second_in_a_row_high() -> None:
    output = replay_values([(0, "heart_rate", "131"), (5, "heart_rate", "40")])
    assert [priority for _, priority, _, _ in alerts(output)] == ["medium", "high"]


def test_a_value_between_breaks_the_row() -> None:
    output = replay_values(
        [(0, "heart_rate", "131"), (2, "heart_rate", "80"), (4, "heart_rate", "131")]
    )
    assert {priority for _, priority, _, _ in alerts(output)} == {"medium"}


def test_amber_is_low_and_stays_low() -> None:
    output = replay_values([(0, "heart_rate", "112"), (5, "heart_rate", "115")])
    assert alerts(output) == [("vital_signs", "low", "open", "Heart rate high")]


@pytest.mark.parametrize(
    ("vital", "value"),
    [
        ("heart_rate", "29"),
        ("heart_rate", "221"),
        ("respiratory_rate", "5"),
        ("respiratory_rate", "51"),
        ("oxygen_saturation", "69"),
        ("systolic", "69"),
        ("systolic", "251"),
        ("diastolic", "39"),
        ("diastolic", "151"),
        ("body_temperature", "33.9"),
        ("body_temperature", "41.6"),
        ("glucose", "39"),
        ("glucose", "401"),
    ],
)
def test_beyond_the_query_bound_is_high_at_once_and_flagged(vital: str, value: str) -> None:
    output = replay_values([(0, vital, value)])
    assert alerts(output)[0][1:3] == ("high", "open")
    assert "query" in of_type(output, "reading")[0]["flags"]


@pytest.mark.parametrize(
    ("vital", "value"),
    [
        ("heart_rate", "30"),
        ("respiratory_rate", "50"),
        ("oxygen_saturation", "70"),
        ("body_temperature", "41.5"),
    ],
)
def test_at_the_query_bound_one_value_is_not_high(vital: str, value: str) -> None:
    assert "high" not in {
        priority for _, priority, _, _ in alerts(replay_values([(0, vital, value)]))
    }


def test_what_the_device_doubts_is_said_and_not_silenced() -> None:
    """Law 3: no artefact filter keeps a high alert from the feed. 2A5F, SpO2 60 %, sensor
    status: poor signal.
    """
    entry = {"at": stamp(0), "characteristic": "2A5F", "payload": "083c004800100000"}
    output = replay_frames([frame([entry], 0)], [worn()])
    (alert,) = [alert for alert in of_type(output, "alert") if alert["priority"] == "high"]
    assert "the device doubts it" in alert["why"][0]


@pytest.mark.parametrize(
    ("value", "unit", "priority"),
    [
        ("53", "mg/dL", "high"),
        ("54", "mg/dL", "medium"),
        ("69", "mg/dL", "medium"),
        ("70", "mg/dL", None),
        ("250", "mg/dL", None),
        ("251", "mg/dL", "medium"),
        ("2.9", "mmol/L", "high"),
        ("3.0", "mmol/L", "medium"),  # 52.2, 54.05 mg/dL
        ("3.88", "mmol/L", "medium"),
        ("3.9", "mmol/L", None),  # 69.9, 70.3
        ("13.87", "mmol/L", None),
        ("13.88", "mmol/L", "medium"),  # 249.9, 250.06
    ],
)
def test_glucose_limits_are_compared_in_the_unit_of_the_limit(
    value: str, unit: str, priority: str | None
) -> None:
    found = {each for _, each, _, _ in alerts(replay_values([(0, "glucose", value, unit)]))}
    assert found == ({priority} if priority else set())


@pytest.mark.parametrize(("systolic", "diastolic"), [("181", "100"), ("170", "121")])
def test_severe_pressure_asks_for_a_repeat_and_is_high_when_repeated(
    systolic: str, diastolic: str
) -> None:
    once = [(0, "systolic", systolic), (0, "diastolic", diastolic)]
    twice = [*once, (5, "systolic", systolic), (5, "diastolic", diastolic)]
    first, second = of_type(replay_values(twice), "alert")
    assert (first["priority"], second["priority"]) == ("medium", "high")
    assert "repeat in 5 minutes" in first["why"][0]


@pytest.mark.parametrize(
    ("first", "second", "repeated"),
    [
        # one of either, then one of the other: one pressure twice
        (("184", "110"), ("178", "122"), True),
        (("178", "122"), ("184", "110"), True),
        (("184", "122"), ("178", "118"), False),  # both at once are one measurement
        (("184", "110"), ("178", "118"), False),
    ],
)
def test_either_pressure_of_the_next_measurement_repeats_the_other(
    first: tuple[str, str], second: tuple[str, str], repeated: bool
) -> None:
    values = [
        (minute, *row)
        for minute, cuff in ((0, first), (5, second))
        for row in zip(("systolic", "diastolic"), cuff, strict=True)
    ]
    assert ("high" in {priority for _, priority, _, _ in alerts(replay_values(values))}) is repeated
    late = [
        frame(
            [measurement(minute, "systolic", cuff[0]), measurement(minute, "diastolic", cuff[1])],
            9 + seq,
            seq,
        )
        for seq, (minute, cuff) in enumerate(((5, second), (0, first)))
    ]
    assert (
        "high" in {priority for _, priority, _, _ in alerts(replay_frames(late, [worn()]))}
    ) is repeated


def test_a_measurement_between_breaks_the_row_of_both_pressures() -> None:
    cuffs = [(0, "184", "110"), (5, "150", "90"), (10, "178", "122")]
    values = [
        row for at, high, low in cuffs for row in ((at, "systolic", high), (at, "diastolic", low))
    ]
    assert {priority for _, priority, _, _ in alerts(replay_values(values))} == {"medium"}


@pytest.mark.parametrize(("value", "stays"), [("75", True), ("79", True), ("80", False)])
def test_glucose_ends_its_alert_at_a_distance_from_the_limit(value: str, stays: bool) -> None:
    low = [(0, "glucose", "65"), (15, "glucose", value), (30, "glucose", value)]
    assert ("resolved" not in {state for _, _, state, _ in alerts(replay_values(low))}) is stays


@pytest.mark.parametrize(("value", "stays"), [("240", True), ("226", True), ("225", False)])
def test_high_glucose_too(value: str, stays: bool) -> None:
    high = [(0, "glucose", "260"), (15, "glucose", value), (30, "glucose", value)]
    assert ("resolved" not in {state for _, _, state, _ in alerts(replay_values(high))}) is stays


def test_pressure_at_the_limit_is_quiet() -> None:
    assert alerts(replay_values([(0, "systolic", "180"), (0, "diastolic", "120")])) == []


@pytest.mark.parametrize(
    ("absent", "priority", "title"), [("LO", "high", "low"), ("HI", "medium", "high")]
)
def test_a_meter_that_shows_no_number_means_it(absent: str, priority: str, title: str) -> None:
    sfloat = {"LO": "0208", "HI": "fe07"}[absent]  # -INF and +INF
    entry = {"at": stamp(1), "characteristic": "2A18", "payload": f"020100ea070301080000{sfloat}11"}
    output = replay_frames([frame([entry], 1)], [worn()])
    (reading,) = of_type(output, "reading")
    assert reading["value"] is None
    assert alerts(output) == [("glucose", priority, "open", f"Glucose {title}")]


@pytest.mark.parametrize("bound", ["100", 100, 100.0])
def test_own_limits_take_numbers_and_text(bound: object) -> None:
    output = replay_values([(0, "heart_rate", "100"), (1, "heart_rate", "100.5")], own(high=bound))
    assert alerts(output) == [("vital_signs", "medium", "open", "Heart rate high")]
    assert "limit set by dr" in of_type(output, "alert")[0]["why"][0]


def test_an_own_limit_takes_the_place_of_the_shipped_one_for_its_side() -> None:
    lenient = own(high=150)
    assert (
        alerts(replay_values([(0, "heart_rate", "140"), (1, "heart_rate", "140")], lenient)) == []
    )
    low = replay_values([(0, "heart_rate", "38"), (1, "heart_rate", "38")], lenient)
    assert [priority for _, priority, _, _ in alerts(low)] == ["medium", "high"]
    # query bound
    assert alerts(replay_values([(0, "heart_rate", "225")], own(high=250)))[0][1] == "high"


def test_an_own_limit_must_last_for_its_minutes_of_device_time() -> None:
    entries = own(high=100, **{"for": 30})
    values = [(minute, "heart_rate", "110") for minute in (0, 10, 20, 29)]
    assert alerts(replay_values(values, entries)) == []
    (alert,) = of_type(replay_values([*values, (30, "heart_rate", "110")], entries), "alert")
    assert alert["opened_at"] == stamp(30)
    interrupted = [*values[:2], (15, "heart_rate", "90"), *values[2:], (30, "heart_rate", "110")]
    assert alerts(replay_values(interrupted, entries)) == []


def test_a_lasting_limit_hides_no_other() -> None:
    limits = [
        {
            "vital": "heart_rate",
            "high": 100,
            "for": 60,
            "priority": "high",
            "unit": "/min",
            "owner": "dr",
        },
        {"vital": "heart_rate", "high": 90, "priority": "low", "unit": "/min", "owner": "dr"},
    ]
    entries = [{"v": 1, "patient": "p", "limits": limits}]
    output = replay_values([(0, "heart_rate", "110")], entries)
    assert [priority for _, priority, _, _ in alerts(output)] == ["low"]
    grazing = [(minute, "heart_rate", "95") for minute in range(0, 60, 10)]
    moment = replay_values([*grazing, (60, "heart_rate", "110")], entries)
    assert "high" not in {priority for _, priority, _, _ in alerts(moment)}


def test_a_limit_over_days_counts_days() -> None:
    entries = own(vital="weight", unit="kg", high=90, **{"for": 3 * 1440})
    days = [(day * 1440, "weight", "91.0") for day in range(4)]
    assert alerts(replay_values(days[:3], entries)) == []
    assert alerts(replay_values(days, entries)) == [
        ("weight", "medium", "open", "Body weight high")
    ]


def test_own_limits_are_compared_in_their_own_unit() -> None:
    entries = own(vital="glucose", unit="mmol/L", low="4.0", priority="high")
    assert alerts(replay_values([(0, "glucose", "72")], entries))[0][1] == "high"  # 3.997 mmol/L
    assert alerts(replay_values([(0, "glucose", "73")], entries)) == []  # 4.05


def test_a_limit_holds_from_its_time_on_and_a_later_one_takes_its_place() -> None:
    both = [
        {
            "vital": "heart_rate",
            "high": 100,
            "priority": "low",
            "unit": "/min",
            "owner": "a",
            "valid_from": stamp(10),
        },
        {
            "vital": "heart_rate",
            "high": 120,
            "priority": "low",
            "unit": "/min",
            "owner": "b",
            "valid_from": stamp(20),
        },
    ]
    entries = [{"v": 1, "patient": "p", "limits": both}]
    assert alerts(replay_values([(9, "heart_rate", "105")], entries)) == []
    assert len(alerts(replay_values([(10, "heart_rate", "105")], entries))) == 1
    assert alerts(replay_values([(20, "heart_rate", "105")], entries)) == []


def test_a_number_beside_the_meters_low_mark_is_the_low_mark() -> None:
    """Some meters send 0 with "result too low": a reject would hide the most urgent value that
    they know.
    """
    # flags: concentration in kg/L, status; concentration 0; status: result too low
    entry = {
        "at": stamp(1),
        "characteristic": "2A18",
        "payload": "0a0100ea070301080000000011" + "4000",
    }
    output = replay_frames([frame([entry], 1)], [worn()])
    assert [reading["absent"] for reading in of_type(output, "reading")] == ["negative-infinity"]
    assert alerts(output) == [("glucose", "high", "open", "Glucose low")]


@pytest.mark.parametrize(
    ("recover", "resolved_at"), [(None, "100"), (90, "90"), ({"high": 85}, "85")]
)
def test_it_recovers_inside_its_recovery_limit_for_ten_minutes(
    recover: object, resolved_at: str
) -> None:
    entries = own(high=100, recover=recover)
    just_above = str(int(resolved_at) + 1)
    breach = (0, "heart_rate", "110")
    stays = replay_values(
        [breach, (5, "heart_rate", just_above), (15, "heart_rate", just_above)], entries
    )
    assert "resolved" not in {state for _, _, state, _ in alerts(stays)}
    early = replay_values(
        [breach, (5, "heart_rate", resolved_at), (14.9, "heart_rate", resolved_at)], entries
    )
    assert "resolved" not in {state for _, _, state, _ in alerts(early)}
    ends = replay_values(
        [breach, (5, "heart_rate", resolved_at), (15, "heart_rate", resolved_at)], entries
    )
    assert alerts(ends)[-1][2] == "resolved"


def test_a_limit_in_a_unit_that_its_vital_has_not_leaves_the_shipped_ones_in_force() -> None:
    output = replay_values([(0, "heart_rate", "135")], own(high=200, unit="kg"))
    assert alerts(output) == [
        ("vital_signs", "medium", "open", "Heart rate high"),
        ("settings", "low", "open", "A limit that cannot be used"),
    ]
