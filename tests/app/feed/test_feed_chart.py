"""The chart of a vital around an alert: which limits are drawn, and in which unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from support.alerts import alert_of
from support.readings import message_of, reading

from rpm_stream.app.feed.chart import AROUND, ChartPoint, FeedChart, charts, limit_lines
from rpm_stream.app.feed.page.chart import describe, options
from rpm_stream.app.feed.read_model import FeedState
from rpm_stream.knowledge import shipped
from rpm_stream.records import Alert, Limit, PatientEntry

NOW = datetime(2026, 7, 14, 7, 0, tzinfo=UTC)
ADULT = PatientEntry(patient="p", born="1950")


def lines(vital: str, unit: str, entry: PatientEntry = ADULT) -> list[tuple[str, float, str]]:
    """(side, value, priority) of each limit line, rounded to what a chart can show."""
    found = limit_lines(entry, vital, (unit, NOW), shipped())
    return [(line.side, round(line.value, 2), line.priority) for line in found]


@pytest.mark.parametrize(
    ("vital", "unit", "wanted"),
    [
        ("oxygen_saturation", "%", [("low", 91, "high"), ("low", 93, "medium")]),
        (
            "respiratory_rate",
            "/min",
            [("low", 8, "high"), ("high", 21, "medium"), ("high", 25, "high")],
        ),
        (
            "heart_rate",
            "/min",
            [("low", 40, "high"), ("high", 111, "medium"), ("high", 131, "high")],
        ),
        ("body_temperature", "Cel", [("low", 35.0, "high"), ("high", 39.1, "medium")]),
        ("body_temperature", "[degF]", [("low", 95.0, "high"), ("high", 102.38, "medium")]),
        ("weight", "kg", []),
    ],
)
def test_the_bands_of_the_news2_chart(
    vital: str, unit: str, wanted: list[tuple[str, float, str]]
) -> None:
    """RCP 2017, chart 1: where two and three points begin on either side."""
    assert lines(vital, unit) == wanted


def test_shipped_limits_are_drawn_beside_the_bands() -> None:
    assert lines("systolic", "mm[Hg]") == [
        ("high", 180, "medium"),
        ("low", 90, "high"),
        ("low", 100, "medium"),
        ("high", 220, "high"),
    ]
    assert lines("glucose", "mmol/L") == [
        ("low", 3.0, "high"),
        ("low", 3.89, "medium"),
        ("high", 13.88, "medium"),
    ]


@pytest.mark.parametrize(
    "entry", [PatientEntry(patient="p", born="2020"), PatientEntry(patient="p", pregnant=True)]
)
def test_the_news2_chart_is_for_adults_who_are_not_pregnant(entry: PatientEntry) -> None:
    assert lines("heart_rate", "/min", entry) == []


def test_scale_2_only_where_it_is_prescribed() -> None:
    entry = PatientEntry(patient="p", born="1950", oxygen_scale=2, on_oxygen=True)
    assert lines("oxygen_saturation", "%", entry) == [
        ("low", 83, "high"),
        ("low", 85, "medium"),
        ("high", 95, "medium"),
        ("high", 97, "high"),
    ]


def test_the_patients_own_limits_take_the_place_of_the_shipped_from_when_they_hold() -> None:
    own = Limit(
        vital="oxygen_saturation",
        low="88",
        unit="%",
        owner="Dr. M. Keller",
        priority="high",
        valid_from=NOW,
    )
    entry = PatientEntry(patient="p", born="1950", limits=(own,))
    # it has no high side to cover
    (line,) = limit_lines(entry, "oxygen_saturation", ("%", NOW), shipped())
    assert (line.value, line.owner, line.label) == (88, "Dr. M. Keller", "Limit < 88 %")
    before = list(
        limit_lines(entry, "oxygen_saturation", ("%", NOW - timedelta(seconds=1)), shipped())
    )
    assert {line.owner for line in before} == {"shipped"}


def test_an_own_limit_of_one_side_leaves_the_other_as_shipped() -> None:
    """As the judge does it: otherwise the chart would show lines that nothing is judged by."""
    old = Limit(vital="heart_rate", high="120", unit="/min", owner="ward", priority="medium")
    new = Limit(
        vital="heart_rate", high="140", unit="/min", owner="ward", priority="low", valid_from=NOW
    )
    entry = PatientEntry(patient="p", born="1950", limits=(old, new))
    assert lines("heart_rate", "/min", entry) == [("high", 140, "low"), ("low", 40, "high")]


def test_an_own_limit_in_a_foreign_unit_is_not_drawn() -> None:
    """As the judge passes it over; the registry's check tells of it."""
    odd = Limit(vital="heart_rate", high="120", unit="mm[Hg]", owner="ward")
    assert lines(
        "heart_rate", "/min", PatientEntry(patient="p", born="1950", limits=(odd,))
    ) == lines("heart_rate", "/min")


def test_a_unit_that_does_not_convert_draws_no_value() -> None:
    state = state_with(("h1", "heart_rate", "1.2", "Hz"), ("h2", "heart_rate", "80", "/min"))
    (chart,) = charts(state, alert(), shipped(), NOW)
    assert [point.value for point in chart.points] == [None, 80]


def state_with(*values: tuple[str, str, str | None, str]) -> FeedState:
    """Readings of p, ten minutes apart and ending at NOW: (id, vital, value, unit)."""
    state = FeedState()
    for number, (key, vital, value, unit) in enumerate(reversed(values)):
        at = NOW - timedelta(minutes=10 * number)
        absent = None if value else "not-a-number"
        found = reading(
            vital, value, unit, id=key, patient="p", measured_at=at, received_at=at, absent=absent
        )
        state.readings.put(message_of(found))
    return state


def alert(*evidence: str, group: str = "vital_signs") -> Alert:
    """An alert of p, opened at NOW."""
    return alert_of("a", NOW, group=group, evidence=evidence)


def test_the_evidence_chooses_the_vitals_and_is_marked() -> None:
    state = state_with(
        ("h", "heart_rate", "80", "/min"),
        ("o1", "oxygen_saturation", "95", "%"),
        ("o2", "oxygen_saturation", "90", "%"),
    )
    state.put_alert(alert("o2"))
    (chart,) = charts(state, alert("o2"), shipped(), NOW)
    assert (chart.vital, chart.title, chart.unit) == ("oxygen_saturation", "Oxygen saturation", "%")
    assert [(point.value, point.evidence) for point in chart.points] == [(95, False), (90, True)]


def test_without_known_evidence_the_vitals_of_the_group_are_drawn() -> None:
    state = state_with(("g", "glucose", "90", "mg/dL"), ("o", "oxygen_saturation", "90", "%"))
    assert [chart.vital for chart in charts(state, alert("gone"), shipped(), NOW)] == [
        "oxygen_saturation"
    ]


def test_two_units_become_one() -> None:
    state = state_with(("g1", "glucose", "5.0", "mmol/L"), ("g2", "glucose", "100", "mg/dL"))
    (chart,) = charts(state, alert(group="glucose"), shipped(), NOW)
    assert chart.unit == "mg/dL"
    assert [round(point.value or 0, 3) for point in chart.points] == [90.078, 100]


def test_a_chart_does_not_reach_into_the_future() -> None:
    state = state_with(("o", "oxygen_saturation", "90", "%"))
    (now,) = charts(state, alert(), shipped(), NOW)
    (later,) = charts(state, alert(), shipped(), NOW + timedelta(days=2))
    assert (now.since, now.until) == (NOW - AROUND, NOW + timedelta(minutes=1))
    assert later.until == NOW + AROUND


def test_a_reading_without_value_is_a_gap_that_is_told() -> None:
    """Law 8: absence is data, also on the chart."""
    state = state_with(
        ("o1", "oxygen_saturation", "95", "%"), ("o2", "oxygen_saturation", None, "%")
    )
    (chart,) = charts(state, alert(), shipped(), NOW)
    measured = options(chart, NOW)["series"][0]["data"]
    assert [value for _, value in measured] == [95, None]
    assert describe(chart).endswith("1 measurements came without a value.")


def test_the_value_axis_shows_all_values_and_all_limits() -> None:
    state = state_with(
        ("o1", "oxygen_saturation", "84", "%"), ("o2", "oxygen_saturation", "99", "%")
    )
    (chart,) = charts(state, alert(), shipped(), NOW)
    axis = options(chart, NOW)["yAxis"]
    shown = [84, 99, *(line.value for line in chart.limits)]
    assert axis["min"] < min(shown) and axis["max"] > max(shown)


def test_an_unknown_vital_is_drawn_without_limits() -> None:
    point = ChartPoint(at=NOW, value=1.0, absent=None, flags=(), evidence=True)
    chart = FeedChart(
        vital="grip",
        title="grip",
        unit="kg",
        unit_words="kg",
        since=NOW,
        until=NOW,
        points=(point,),
        limits=(),
    )
    assert list(limit_lines(ADULT, "grip", ("kg", NOW), shipped())) == []
    assert msgspec.json.encode(options(chart, NOW))
