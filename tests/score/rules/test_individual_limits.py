"""Limits that people have set: whose come first, since when and until when, and how long they
must be broken.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import alerts, of_type, replay_frames, replay_values

from rpm_stream.knowledge import shipped
from rpm_stream.score.rules.entry_faults import faults
from rpm_stream.score.rules.limits_in_force import in_force

PATIENT = {"v": 1, "patient": "p", "panel": "heart-failure", "programme": "ward"}


def limit(high: float | None = 100, **fields: Any) -> dict[str, Any]:
    given = {"vital": "heart_rate", "unit": "/min", "priority": "medium", "owner": "Dr A", **fields}
    return given if high is None else {"high": high, **given}


def panel(*limits: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "panel": "heart-failure", "limits": list(limits)}


def programme(*limits: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "programme": "ward", "limits": list(limits)}


def whys(values: list[tuple[Any, ...]], entries: list[dict[str, Any]]) -> list[str]:
    return [
        why for alert in of_type(replay_values(values, entries), "alert") for why in alert["why"]
    ]


@pytest.mark.parametrize(
    ("entries", "value", "said"),
    [
        ([PATIENT, panel(limit(100)), programme(limit(95))], "97", None),  # the panel's comes first
        (
            [PATIENT, panel(limit(100)), programme(limit(95))],
            "101",
            "limit set by Dr A for the panel heart-failure",
        ),
        ([PATIENT, programme(limit(95))], "97", "limit set by Dr A for the programme ward"),
        # the patient's before the panel's
        ([{**PATIENT, "limits": [limit(110)]}, panel(limit(100))], "105", None),
        ([{**PATIENT, "limits": [limit(110)]}, panel(limit(100))], "111", "(limit set by Dr A)"),
        # by side
        (
            [PATIENT, panel(limit(None, low=60)), programme(limit(95))],
            "97",
            "for the programme ward",
        ),
        # a panel's limit takes the place of the shipped one
        ([PATIENT, panel(limit(150))], "135", None),
        # a panel without an entry sets nothing
        ([PATIENT], "135", "NEWS2 chart with 3 points (shipped)"),
    ],
)
def test_patient_before_panel_before_programme_before_shipped(
    entries: list[dict[str, Any]], value: str, said: str | None
) -> None:
    found = whys([(0, "heart_rate", value)], entries)
    assert bool(found) is (said is not None)
    assert said is None or said in found[0]


def test_the_rule_names_level_and_group() -> None:
    (alert,) = of_type(
        replay_values([(0, "heart_rate", "101")], [PATIENT, panel(limit())]), "alert"
    )
    assert alert["rule"] == "limit.panel.heart-failure.heart_rate.above_100_/min"


def test_a_limit_ends_and_a_late_reading_is_judged_by_what_held_then() -> None:
    """History: what ended stays listed."""
    history = [limit(100, until=stamp(60)), limit(120, owner="Dr B", valid_from=stamp(60))]
    entries = [worn(), {**PATIENT, "limits": history}]
    in_order = [
        frame([measurement(10, "heart_rate", "110")], 10, 0),
        frame([measurement(70, "heart_rate", "110")], 70, 1),
    ]
    late = [
        frame([measurement(70, "heart_rate", "110")], 70, 0),
        frame([measurement(10, "heart_rate", "110")], 71, 1),
        frame([measurement(72, "heart_rate", "121")], 72, 2),
    ]
    assert [
        alert["why"][0][-23:] for alert in of_type(replay_frames(in_order[:1], entries), "alert")
    ] == ["a minute (limit set by Dr A)"[-23:]]
    assert of_type(replay_frames(in_order[1:], entries), "alert") == []
    said = [
        alert["history"][-1]["reason"] for alert in of_type(replay_frames(late, entries), "alert")
    ]
    assert any("Dr A" in each for each in said)
    assert any("Dr B" in each for each in said)


@pytest.mark.parametrize(("minute", "strikes"), [(9, False), (10, True), (19, True), (20, False)])
def test_a_limit_holds_from_its_beginning_to_before_its_end(minute: int, strikes: bool) -> None:
    entries = [{**PATIENT, "limits": [limit(100, valid_from=stamp(10), until=stamp(20))]}]
    assert bool(alerts(replay_values([(minute, "heart_rate", "105")], entries))) is strikes


def test_when_the_later_one_ends_the_earlier_one_holds_again() -> None:
    entries = [
        {**PATIENT, "limits": [limit(100), limit(140, valid_from=stamp(10), until=stamp(20))]}
    ]
    values = [(minute, "heart_rate", "105") for minute in (5, 15, 25)]
    assert [bool(alerts(replay_values([value], entries))) for value in values] == [
        True,
        False,
        True,
    ]


# --- k of the last n ------------------------------------------------------------------------------

THREE_OF_FOUR = limit(100, of={"count": 3, "last": 4, "within": 240})


@pytest.mark.parametrize(
    ("values", "strikes"),
    [
        (["105", "105"], False),
        (["105", "105", "105"], True),
        (["105", "80", "105", "105"], True),
        (["105", "80", "80", "105", "105"], False),
        (["105", "80", "105", "80", "105"], False),
    ],
)
def test_three_of_the_last_four(values: list[str], strikes: bool) -> None:
    readings = [(10 * number, "heart_rate", value) for number, value in enumerate(values)]
    output = replay_values(readings, [{**PATIENT, "limits": [THREE_OF_FOUR]}])
    assert bool(alerts(output)) is strikes
    if strikes:
        assert "in 3 of the last 4 readings" in of_type(output, "alert")[0]["why"][0]


@pytest.mark.parametrize(("gap", "strikes"), [(120, True), (121, False)])
def test_the_readings_must_lie_within_the_time(gap: int, strikes: bool) -> None:
    readings = [(gap * number, "heart_rate", "105") for number in range(3)]
    assert (
        bool(alerts(replay_values(readings, [{**PATIENT, "limits": [THREE_OF_FOUR]}]))) is strikes
    )


def test_k_of_n_over_days() -> None:
    """Daily weights: the history is kept for as long as the limit looks back."""
    weight = limit(90, vital="weight", unit="kg", of={"count": 3, "last": 4, "within": 4 * 1440})
    days = [
        (0, "weight", "91"),
        (1440, "weight", "89"),
        (2880, "weight", "91"),
        (4320, "weight", "91"),
    ]
    assert alerts(replay_values(days[:3], [{**PATIENT, "limits": [weight]}])) == []
    assert alerts(replay_values(days, [{**PATIENT, "limits": [weight]}])) == [
        ("weight", "medium", "open", "Body weight high")
    ]


def test_a_late_reading_completes_them() -> None:
    sent = [0, 20, 10]  # the middle one comes last
    frames = [
        frame([measurement(at, "heart_rate", "105")], 30 + seq, seq) for seq, at in enumerate(sent)
    ]
    output = replay_frames(frames, [worn(), {**PATIENT, "limits": [THREE_OF_FOUR]}])
    assert len(of_type(output, "alert")) == 1


def test_with_both_forms_the_cadence_decides() -> None:
    """A strap (2A37) is a stream: minutes count.

    A typed value is a spot reading: its number counts.
    """
    both = limit(100, **{"for": 30, "of": {"count": 2, "last": 2, "within": 240}})
    spot = replay_values(
        [(0, "heart_rate", "105"), (10, "heart_rate", "105")], [{**PATIENT, "limits": [both]}]
    )
    assert len(alerts(spot)) == 1
    stream = [
        frame([{"at": stamp(at), "characteristic": "2A37", "payload": "0069"}], at, seq)
        for seq, at in enumerate((0, 10, 29))
    ]
    entries = [worn(), {**PATIENT, "limits": [both]}]
    assert alerts(replay_frames(stream, entries)) == []
    last = frame([{"at": stamp(30), "characteristic": "2A37", "payload": "0069"}], 30, 9)
    assert len(alerts(replay_frames([*stream, last], entries))) == 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["80", "105"]), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_law_2b_what_order_opens_at_high_any_order_opens(values: list[str], chance: Any) -> None:
    high = {**THREE_OF_FOUR, "priority": "high"}
    frames = [
        frame([measurement(10 * seq, "heart_rate", value)], 10 * seq, seq)
        for seq, value in enumerate(values)
    ]
    entries = [worn(), {**PATIENT, "limits": [high]}]
    if alerts(replay_frames(frames, entries)):
        assert alerts(replay_frames(chance.sample(frames, len(frames)), entries))


# --- what cannot be used --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (limit(100, unit="kg"), "heart rate is not measured in 'kg'; it may be /min, {beats}/min"),
        (limit(100, vital="mood"), "there is no vital 'mood'"),
        (limit(None), "has neither low nor high"),
        (limit(50, low=60), "a low that is not below its high"),
        (
            limit(100, of={"count": 4, "last": 3, "within": 60}),
            "wants more readings than the last 3",
        ),
        (limit(100, valid_from=stamp(5), until=stamp(5)), "ends before it begins"),
        (
            limit(100.4, vital="body_temperature", unit="Cel"),
            (
                "the limit of body_temperature has a high of 100.4 °C, which no body has: is the"
                " unit right?"
            ),
        ),
        (limit(None, low=3.9, vital="glucose", unit="mg/dL"), "has a low of 3.9 mg/dL"),
        (limit(180, vital="systolic", unit="kPa"), "has a high of 180 kPa"),
        (limit(None, low=50, recover=400), "has a recover of 400 a minute"),
        (limit(120, low=50, recover={"low": 0}), "has a recover of 0 a minute"),
        (limit(None, low=50, recover=45), "recovers at 45, on the wrong side of its low"),
        (limit(100, recover=105), "recovers at 105, on the wrong side of its high"),
        (
            limit(120, low=50, recover=100),
            "has two sides and one recover: write recover with low and high",
        ),
        (
            limit(120, low=50, recover={"low": 90, "high": 80}),
            "recovers where no value is inside both sides",
        ),
        (limit(60, low=50, recover={"low": 65}), "recovers where no value is inside both sides"),
    ],
)
def test_a_limit_that_cannot_be_used_is_named_and_leaves_the_others_in_force(
    wrong: dict[str, Any], said: str
) -> None:
    for entry in (panel(limit(), wrong), programme(wrong), {**PATIENT, "limits": [wrong]}):
        (only,) = registry_of([entry]).entries()
        (fault,) = faults(only, shipped())
        assert said in fault
    assert alerts(
        replay_values([(0, "heart_rate", "105")], [{**PATIENT, "limits": [wrong, limit(100)]}])
    )


@pytest.mark.parametrize(
    "born", ["01.05.2017", "", "2017-13", "20170501", "2017-05-01T00:00:00Z", "2017-02-30", " 2017"]
)
def test_a_date_of_birth_that_cannot_be_read_is_a_fault(born: str) -> None:
    (entry,) = registry_of([{"v": 1, "patient": "p", "born": born}]).entries()
    (fault,) = faults(entry, shipped())
    assert fault.startswith("born is not YYYY, YYYY-MM or YYYY-MM-DD")


@pytest.mark.parametrize("born", [None, "2017", "2017-05", "2017-05-01"])
def test_a_date_of_birth_that_can_be_read_is_none(born: str | None) -> None:
    (entry,) = registry_of([{"v": 1, "patient": "p", "born": born}]).entries()
    assert faults(entry, shipped()) == []


@pytest.mark.parametrize("born", ["2062-05-01", "2026-03-04", "2026-04", "9999-12-31"])
def test_who_is_not_born_yet_has_a_date_of_birth_that_cannot_be_read(born: str) -> None:
    """A 2062 for 1962 must make nobody a newborn, whose limits are far from an adult's."""
    entry = {"v": 1, "patient": "p", "born": born}
    (known,) = registry_of([entry]).entries()
    assert faults(known, shipped(), START) == [
        "born is in the future, so it is not known whether this is a child"
    ]
    found = of_type(replay_values([(0, "heart_rate", "175")], [entry]), "alert")
    assert [alert["title"] for alert in found][:1] == ["No limits for this person"]


@pytest.mark.parametrize("born", ["2026", "2026-03", "2026-03-01", "2026-03-02"])
def test_a_birthday_of_today_is_one_also_where_it_is_tomorrow_already(born: str) -> None:
    (known,) = registry_of([{"v": 1, "patient": "p", "born": born}]).entries()
    assert faults(known, shipped(), START) == []


REJECTS = [
    (name, side, bound)
    for name, vital in sorted(shipped().vitals.items())
    for side, bound in (("low", vital.reject.below), ("high", vital.reject.above))
    if bound is not None
]


@pytest.mark.parametrize(("vital", "side", "bound"), REJECTS)
def test_a_limit_on_the_edge_of_what_a_body_can_have_cannot_ring_and_is_refused(
    vital: str, side: str, bound: Decimal
) -> None:
    """What lies beyond it is rejected: it would only take the place of a limit that rings."""
    own = {
        "vital": vital,
        side: float(bound),
        "unit": shipped().vitals[vital].unit,
        "owner": "Dr A",
        "priority": "low",
    }
    (known,) = registry_of([{"v": 1, "patient": "p", "limits": [own]}]).entries()
    (fault,) = faults(known, shipped())
    assert fault.endswith("which no value of a body can be beyond")


def test_a_side_on_the_edge_sets_nothing_and_the_other_side_of_its_limit_rings() -> None:
    """``high: 100`` is how people write that there is none."""
    saturation = {"vital": "oxygen_saturation", "unit": "%", "owner": "Dr A", "priority": "high"}
    entry = {"v": 1, "patient": "p", "limits": [{**saturation, "low": 94, "high": 100}]}
    assert faults(next(registry_of([entry]).entries()), shipped()) == []
    alert, *_ = of_type(replay_values([(0, "oxygen_saturation", "93")], [entry]), "alert")
    assert (alert["priority"], alert["group"]) == ("high", "vital_signs")
    least = shipped().vitals["oxygen_saturation"].reject.below or 0
    ends = registry_of(
        [{"v": 1, "patient": "p", "limits": [{**saturation, "low": float(least), "high": 100}]}]
    )
    (fault,) = faults(next(ends.entries()), shipped())
    assert fault.endswith("which no value of a body can be beyond")


def test_where_a_side_on_the_edge_sets_nothing_the_next_one_holds() -> None:
    edge = limit(float(shipped().vitals["heart_rate"].reject.above or 0), low=45)
    entries = [{**PATIENT, "limits": [edge]}, panel(limit(110, low=30))]
    assert "for the panel heart-failure" in whys([(0, "heart_rate", "115")], entries)[0]
    assert whys([(0, "heart_rate", "44")], entries)[0].endswith("(limit set by Dr A)")


def test_of_one_priority_the_later_limit_holds_and_other_tiers_stay() -> None:
    """Whoever set it: the later valid_from, then the later in the list."""
    tiers = [
        limit(100, priority="low"),
        limit(120, priority="high", valid_from=stamp(-60)),
        limit(110, priority="low", owner="Dr B"),
        limit(130, priority="high", owner="Dr B", valid_from=stamp(-30)),
        limit(115, priority="medium", valid_from=stamp(-90)),
    ]
    registry = registry_of([{**PATIENT, "limits": tiers}])
    rows = in_force(registry, shipped(), registry.patient("p"), START)
    found = {
        row.priority: str(row.bound)
        for row in rows
        if (row.vital, row.side) == ("heart_rate", "high")
    }
    assert found == {"low": "110", "medium": "115", "high": "130"}


# --- whatever the registry holds ------------------------------------------------------------------

UNITS_OF = {
    name: shipped().vitals[name].units for name in sorted(shipped().limits.beyond_query.vitals)
}
NUMBERS = st.one_of(st.none(), st.integers(-10, 500), st.decimals(-10, 500, places=1).map(str))


def limits_of(vital: str) -> st.SearchStrategy[dict[str, Any]]:
    """Limits of all kinds, also such as cannot be used."""
    recover = st.one_of(NUMBERS, st.fixed_dictionaries({"low": NUMBERS, "high": NUMBERS}))
    return st.fixed_dictionaries(
        {
            "vital": st.just(vital),
            "unit": st.sampled_from([*UNITS_OF[vital], "kg"]),
            "owner": st.sampled_from(["Dr A", "Dr B"]),
            "low": NUMBERS,
            "high": NUMBERS,
            "recover": recover,
            "priority": st.sampled_from(["low", "medium", "high"]),
            "for": st.sampled_from([0, 60]),
            "valid_from": st.sampled_from([None, stamp(-60), stamp(60)]),
        }
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_registry_holds_a_value_beyond_the_query_bound_rings_high(
    data: st.DataObject,
) -> None:
    vital = data.draw(st.sampled_from(sorted(UNITS_OF)))
    lists = [data.draw(st.lists(limits_of(vital), max_size=3)) for _ in range(3)]
    born = data.draw(st.sampled_from([None, "1950", "no date"]))
    pregnant = data.draw(st.booleans())
    person = {**PATIENT, "born": born, "pregnant": pregnant, "limits": lists[0]}
    bounds = shipped().vitals[vital].query
    out = [
        str(bound + by)
        for bound, by in ((bounds.below, -1), (bounds.above, 1))
        if bound is not None
    ]
    value = data.draw(st.sampled_from(out))
    found = replay_values([(0, vital, value)], [person, panel(*lists[1]), programme(*lists[2])])
    assert "high" in {alert["priority"] for alert in of_type(found, "alert")}


def test_an_expected_vital_that_there_is_not_is_a_fault() -> None:
    (entry,) = registry_of(
        [{"v": 1, "patient": "p", "expected_every": {"hart_rate": 60}}]
    ).entries()
    assert faults(entry, shipped()) == ["expected_every: there is no vital 'hart_rate'"]


# --- what holds -----------------------------------------------------------------------------------


def test_what_is_in_force_names_level_owner_and_since() -> None:
    own = {**PATIENT, "limits": [limit(None, low=45, valid_from=stamp(0))]}
    registry = registry_of([own, panel(limit(100)), programme(limit(95), limit(None, low=40))])
    rows = list(in_force(registry, shipped(), registry.patient("p"), START + timedelta(minutes=1)))
    found = {
        (row.vital, row.side, str(row.bound)): (row.level, row.group, row.owner, row.since)
        for row in rows
    }
    assert found["heart_rate", "low", "45"] == ("patient", "", "Dr A", START)
    assert found["heart_rate", "high", "100"] == ("panel", "heart-failure", "Dr A", None)
    assert found["systolic", "high", "180"] == ("shipped", "", "shipped", None)
    assert not [key for key in found if key[0] == "heart_rate" and key[2] not in ("45", "100")]
    assert found["pulse_rate", "low", "40"] == ("shipped", "news2_red", "shipped", None)


@pytest.mark.parametrize(
    ("entry", "vital", "bands"),
    [
        (
            {"pregnant": True},
            "systolic",
            {
                "maternity_red <=84 >=95",
                "maternity_amber <=89 >=95",
                "maternity_red >=160 <=154",
            },
        ),
        (
            {"born": "2016-09-14"},
            "respiratory_rate",
            {
                "child_red <=10 >=17",
                "child_amber <=14 >=17",
                "child_amber >=41 <=38",
                "child_red >=51 <=38",
            },
        ),
        (
            {"oxygen_scale": 2, "on_oxygen": True},
            "oxygen_saturation",
            {
                "news2_red <=83 >=87",
                "news2_amber <=85 >=87",
                "news2_amber >=95 <=93",
                "news2_red >=97 <=93",
            },
        ),
    ],
)
def test_the_bands_of_the_chart_that_is_the_patients_are_in_force(
    entry: dict[str, Any], vital: str, bands: set[str]
) -> None:
    registry = registry_of([{"v": 1, "patient": "p", **entry}])
    rows = [
        row
        for row in in_force(registry, shipped(), registry.patient("p"), START)
        if row.vital == vital
    ]
    signs = {"low": ("<=", ">="), "high": (">=", "<=")}
    said = {
        f"{row.group} {signs[row.side][0]}{row.bound} {signs[row.side][1]}{row.recover}"
        for row in rows
    }
    assert said == bands
    assert all(row.including for row in rows)
