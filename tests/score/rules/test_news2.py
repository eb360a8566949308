"""NEWS2 through the replay: the chart's edges, rounding, units, scale 2, and whom it does not
apply to.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.frames import Record, frame, measurement, stamp, worn
from support.replaying import (
    Output,
    alerts,
    news2_scores,
    of_type,
    replay_frames,
    replay_values,
)

CHART = [
    (
        "respiratory_rate",
        [("8", 3), ("9", 1), ("11", 1), ("12", 0), ("20", 0), ("21", 2), ("24", 2), ("25", 3)],
    ),
    (
        "oxygen_saturation",
        [("91", 3), ("92", 2), ("93", 2), ("94", 1), ("95", 1), ("96", 0), ("100", 0)],
    ),
    (
        "systolic",
        [
            ("90", 3),
            ("91", 2),
            ("100", 2),
            ("101", 1),
            ("110", 1),
            ("111", 0),
            ("219", 0),
            ("220", 3),
        ],
    ),
    (
        "heart_rate",
        [
            ("40", 3),
            ("41", 1),
            ("50", 1),
            ("51", 0),
            ("90", 0),
            ("91", 1),
            ("110", 1),
            ("111", 2),
            ("131", 3),
        ],
    ),
    ("pulse_rate", [("130", 2), ("131", 3)]),
    ("consciousness", [("0", 0), ("1", 3), ("2", 3), ("3", 3), ("4", 3)]),
    (
        "body_temperature",
        [("35.0", 3), ("35.1", 1), ("36.0", 1), ("36.1", 0), ("38.0", 0), ("38.1", 1), ("39.1", 2)],
    ),
]
CODED = {"consciousness": ("{ACVPU}",), "oxygen_flow": ("L/min",)}
ROUNDED = [
    ("body_temperature", "35.04", "Cel", 3),
    ("body_temperature", "35.05", "Cel", 1),
    ("body_temperature", "38.04", "Cel", 0),
    ("body_temperature", "38.05", "Cel", 1),
    ("body_temperature", "95.09", "[degF]", 1),  # 35.05 Cel exactly
    # 38.05 Cel exactly
    ("body_temperature", "95.08", "[degF]", 3),
    ("body_temperature", "100.49", "[degF]", 1),
    ("body_temperature", "100.48", "[degF]", 0),
    ("oxygen_saturation", "95.5", "%", 0),
    ("oxygen_saturation", "95.49", "%", 1),
    ("systolic", "90.5", "mm[Hg]", 2),
    ("respiratory_rate", "20.5", "/min", 2),
    ("respiratory_rate", "8.4", "/min", 3),
    ("respiratory_rate", "8.5", "/min", 1),
    ("systolic", "219.4", "mm[Hg]", 0),
    ("systolic", "219.5", "mm[Hg]", 3),
    ("heart_rate", "40.4", "/min", 3),
    ("heart_rate", "40.5", "/min", 1),
    ("body_temperature", "39.04", "Cel", 1),
    ("body_temperature", "39.05", "Cel", 2),
    ("systolic", "12", "kPa", 3),
    ("systolic", "14", "kPa", 1),  # 90.007 and 105.009 mm[Hg]
    ("respiratory_rate", "11.49", "/min", 1),
    ("respiratory_rate", "11.5", "/min", 0),
    ("respiratory_rate", "24.49", "/min", 2),
    ("respiratory_rate", "24.5", "/min", 3),
    ("oxygen_saturation", "91.49", "%", 3),
    ("oxygen_saturation", "91.5", "%", 2),
    ("oxygen_saturation", "93.49", "%", 2),
    ("oxygen_saturation", "93.5", "%", 1),
    ("systolic", "100.49", "mm[Hg]", 2),
    ("systolic", "100.5", "mm[Hg]", 1),
    ("systolic", "110.49", "mm[Hg]", 1),
    ("systolic", "110.5", "mm[Hg]", 0),
    ("heart_rate", "50.49", "/min", 1),
    ("heart_rate", "50.5", "/min", 0),
    ("heart_rate", "90.49", "/min", 0),
    ("heart_rate", "90.5", "/min", 1),
    ("heart_rate", "110.49", "/min", 1),
    ("heart_rate", "110.5", "/min", 2),
    ("heart_rate", "130.49", "/min", 2),
    ("heart_rate", "130.5", "/min", 3),
    ("body_temperature", "36.049", "Cel", 1),
    ("body_temperature", "36.05", "Cel", 0),
]
WHOLE = [  # rate, saturation, oxygen, systolic, pulse, consciousness, temperature; the sum
    (("17", "97", "0", "128", "72", "0", "36.9"), 0),
    (("32", "82", "3", "84", "145", "3", "34.6"), 20),
    (("14", "99", "0", "134", "39", "0", "37.2"), 3),
    (("15", "96", "0", "122", "101", "0", "36.8"), 1),
    (("21", "97", "0", "108", "95", "0", "38.3"), 5),
    (("23", "96", "0", "97", "115", "0", "38.6"), 7),
    (("18", "89", "0", "125", "80", "0", "37.1"), 3),
    (("16", "98", "2", "118", "66", "0", "36.6"), 2),
]


def last_news2(output: Output) -> Record:
    """The last record of the score, without those of detectors."""
    return [each for each in of_type(output, "score") if each["detector"] == "news2"][-1]


def at_once(*values: str | None) -> list[tuple[Any, ...]]:
    """Return a set of values of one minute, in the order of WHOLE. None is not known."""
    vitals = ("respiratory_rate", "oxygen_saturation", "oxygen_flow", "systolic", "heart_rate")
    given = zip((*vitals, "consciousness", "body_temperature"), values, strict=True)
    return [(0, vital, value, *CODED.get(vital, ())) for vital, value in given if value]


@pytest.mark.parametrize(
    ("vital", "value", "points"), [(v, value, p) for v, row in CHART for value, p in row]
)
def test_points_of_the_chart(vital: str, value: str, points: int) -> None:
    assert news2_scores(replay_values([(0, vital, value, *CODED.get(vital, ()))]))[0][0] == points


@pytest.mark.parametrize(("vital", "value", "unit", "points"), ROUNDED)
def test_values_are_rounded_half_up_in_the_units_of_the_chart(
    vital: str, value: str, unit: str, points: int
) -> None:
    assert news2_scores(replay_values([(0, vital, value, unit)]))[0][0] == points


@pytest.mark.parametrize(
    ("on_oxygen", "value", "points"),
    [
        (False, "83", 3),
        (False, "84", 2),
        (False, "86", 1),
        (False, "88", 0),
        (False, "97", 0),
        (True, "92", 0),
        (True, "93", 1),
        (True, "95", 2),
        (True, "97", 3),
        (None, "97", 0),
    ],
)
def test_scale_2_scores_high_saturation_only_on_oxygen(
    on_oxygen: bool | None, value: str, points: int
) -> None:
    entry = {"v": 1, "patient": "p", "oxygen_scale": 2, "on_oxygen": on_oxygen}
    output = replay_values([(0, "oxygen_saturation", value)], [entry])
    assert of_type(output, "score")[0]["contributions"]["oxygen_saturation"] == points


def test_what_is_not_known_widens_the_range_and_is_named() -> None:
    score = of_type(replay_values([(0, "heart_rate", "135")]), "score")[0]
    assert (score["score_min"], score["score_max"]) == (3, 20)
    assert set(score["missing"]) == {
        "respiratory_rate",
        "oxygen_saturation",
        "systolic",
        "body_temperature",
        "oxygen",
        "consciousness",
    }


def test_oxygen_counts_two_where_the_registry_says_so() -> None:
    entry = {"v": 1, "patient": "p", "on_oxygen": True}
    assert news2_scores(replay_values([(0, "heart_rate", "80")], [entry])) == [(2, 17)]


@pytest.mark.parametrize(
    "entry", [{"born": "2015-03-02"}, {"pregnant": True}, {"born": "02.03.2015"}]
)
def test_children_and_pregnant_patients_have_no_score_and_not_the_charts_bands(
    entry: dict[str, object],
) -> None:
    """A pulse of 115 is amber on the NEWS2 chart, and inside the charts for pregnancy and for
    children of eleven.
    """
    output = replay_values(
        [(0, "heart_rate", "115"), (5, "heart_rate", "115")], [{"v": 1, "patient": "p", **entry}]
    )
    assert news2_scores(output) == []
    assert [alert for alert in alerts(output) if alert[0] == "vital_signs"] == []


@pytest.mark.parametrize(
    ("born", "applies"), [("2010-03-01", True), ("2010-03-02", False), ("1950", True)]
)
def test_sixteen_is_an_adult_from_the_birthday_on(born: str, applies: bool) -> None:
    output = replay_values([(0, "heart_rate", "80")], [{"v": 1, "patient": "p", "born": born}])
    assert bool(news2_scores(output)) is applies


def test_five_is_medium_and_seven_high_on_the_known_parts() -> None:
    calm = [(0, "body_temperature", "37.0"), (0, "systolic", "120")]
    five = replay_values(
        [
            *calm,
            (1, "respiratory_rate", "22"),
            (1, "heart_rate", "112"),
            (1, "oxygen_saturation", "95"),
        ]
    )
    assert ("vital_signs", "medium", "open", "NEWS2 at least 5") in alerts(five)
    seven = replay_values(
        [
            *calm,
            (1, "respiratory_rate", "22"),
            (1, "heart_rate", "112"),
            (1, "oxygen_saturation", "91"),
        ]
    )
    assert ("vital_signs", "high", "open", "NEWS2 at least 7") in alerts(seven)


def test_a_vital_that_is_not_on_the_chart_neither_opens_nor_joins_the_score() -> None:
    """A glucose between two observations once opened NEWS2 as a high alert of the group glucose."""
    ill = [
        (0, "body_temperature", "38.4"),
        (1, "heart_rate", "135"),
        (2, "oxygen_saturation", "88"),
    ]
    output = replay_values([*ill, (3, "glucose", "110"), (4, "diastolic", "70")])
    assert {alert["group"] for alert in of_type(output, "alert")} == {"vital_signs"}
    scores = [score for score in of_type(output, "score") if score["detector"] == "news2"]
    assert [score["measured_at"] for score in scores] == [stamp(0), stamp(1), stamp(2)]


def test_a_part_counts_twelve_hours() -> None:
    first = [(0, "respiratory_rate", "24"), (0, "oxygen_saturation", "92")]
    assert news2_scores(replay_values([*first, (720, "heart_rate", "111")]))[-1][0] == 6
    assert news2_scores(replay_values([*first, (720.1, "heart_rate", "111")]))[-1][0] == 2


def test_a_late_reading_is_scored_as_of_its_time() -> None:
    """The late breath belongs to 10:00, where pulse and saturation were bad; now they are well
    again.
    """
    values = [
        (0, "heart_rate", "131"),
        (0, "oxygen_saturation", "92"),
        (60, "heart_rate", "80"),
        (60, "oxygen_saturation", "98"),
        (61, "heart_rate", "80"),
        (1, "respiratory_rate", "24"),
    ]
    found = of_type(replay_values(values), "alert")
    assert any(alert["priority"] == "high" and alert["rule"].startswith("news2") for alert in found)


# --- what a check-in says -------------------------------------------------------------------------

FLOW, SHARE = ("oxygen_flow", "L/min"), ("inspired_oxygen", "%")


def check_in(minutes: float, what: tuple[str, str], value: str) -> tuple[float, str, str, str]:
    return (minutes, what[0], value, what[1])


@pytest.mark.parametrize(
    ("what", "value", "points"),
    [
        *((FLOW, value, points) for value, points in (("0", 0), ("0.5", 2), ("2", 2))),
        *((SHARE, value, 0) for value in ("20.9", "21")),
        *((SHARE, value, 2) for value in ("22", "28")),
    ],
)
def test_air_or_oxygen_from_a_check_in(what: tuple[str, str], value: str, points: int) -> None:
    output = replay_values([check_in(0, what, value), (1, "heart_rate", "80")])
    score = last_news2(output)
    assert (score["contributions"]["oxygen"], score["missing"].count("oxygen")) == (points, 0)
    assert alerts(output) == []  # oxygen is a treatment, no alert by itself


@pytest.mark.parametrize(("registry", "value", "points"), [(True, "0", 0), (False, "2", 2)])
def test_a_fresh_check_in_wins_over_the_registry_and_the_newest_over_an_older_one(
    registry: bool, value: str, points: int
) -> None:
    entry = {"v": 1, "patient": "p", "on_oxygen": registry}
    other = "2" if value == "0" else "0"
    # within the hour: both
    values = [check_in(0, FLOW, other), check_in(61, FLOW, value), (62, "heart_rate", "80")]
    assert last_news2(replay_values(values, [entry]))["contributions"]["oxygen"] == points


@pytest.mark.parametrize(("minutes", "points"), [(720, 2), (721, 0)])
def test_a_check_in_counts_for_twelve_hours(minutes: int, points: int) -> None:
    entry = {"v": 1, "patient": "p", "on_oxygen": False}
    output = replay_values([check_in(0, FLOW, "2"), (minutes, "heart_rate", "80")], [entry])
    assert last_news2(output)["contributions"]["oxygen"] == points


@pytest.mark.parametrize(("values", "total"), WHOLE)
def test_the_parts_of_a_whole_set_are_added(values: tuple[str, ...], total: int) -> None:
    score = last_news2(replay_values(at_once(*values)))
    assert (score["score_min"], score["score_max"], score["missing"]) == (total, total, [])


def test_on_scale_2_the_range_holds_the_answer_that_is_not_known() -> None:
    """97 % and more is nothing on air, and three points and two for the oxygen where there is
    some.
    """
    values = at_once("15", "98", None, "126", "68", "0", "36.7")
    entry = {"v": 1, "patient": "p", "oxygen_scale": 2}
    score = last_news2(replay_values(values, [entry]))
    assert (score["score_min"], score["score_max"], score["missing"]) == (0, 5, ["oxygen"])


def test_a_complete_score_is_no_range() -> None:
    values = at_once("16", "97", "0", "120", "80", "0", "37.0")
    score = last_news2(replay_values(values))
    assert (score["score_min"], score["score_max"], score["missing"]) == (0, 0, [])


@pytest.mark.parametrize(("flow", "points"), [("0", 0), ("2", 3)])
def test_scale_2_follows_the_check_in(flow: str, points: int) -> None:
    """97 % is too much for somebody on oxygen with a target of 88 to 92, and good on air."""
    entry = {"v": 1, "patient": "p", "oxygen_scale": 2, "on_oxygen": flow == "0"}
    output = replay_values([check_in(0, FLOW, flow), (1, "oxygen_saturation", "97")], [entry])
    assert last_news2(output)["contributions"]["oxygen_saturation"] == points


def test_a_check_in_that_comes_late_counts_from_its_own_time() -> None:
    """Law 2b: 5 points and then 2 for oxygen that was given before are 7, in any order."""
    ill = [
        measurement(1, "respiratory_rate", "22"),
        measurement(1, "heart_rate", "112"),
        measurement(1, "body_temperature", "38.5"),
    ]
    sent = [frame(ill, 1, 0), frame([measurement(0, "oxygen_flow", "2", "L/min")], 5, 1)]
    for order in (sent, sent[::-1]):
        assert ("vital_signs", "high") in {
            (group, priority) for group, priority, _, _ in alerts(replay_frames(order, [worn()]))
        }


def test_new_confusion_is_red_in_words() -> None:
    output = replay_values([(0, "consciousness", "1", "{ACVPU}")])
    (alert,) = of_type(output, "alert")
    assert (alert["priority"], alert["title"]) == (
        "medium",
        "Level of consciousness: new confusion",
    )
    assert alert["why"] == [
        "consciousness: new confusion: red on the NEWS2 chart with 3 points (shipped)"
    ]


@pytest.mark.parametrize(
    ("entry", "said"), [({"born": "2015-03-02"}, "under 16"), ({"pregnant": True}, "pregnant")]
)
def test_where_the_score_does_not_apply_the_alert_says_so(
    entry: dict[str, object], said: str
) -> None:
    output = replay_values([(0, "oxygen_saturation", "68")], [{"v": 1, "patient": "p", **entry}])
    assert of_type(output, "alert")[0]["why"][0].endswith(f"; NEWS2 does not apply ({said})")
