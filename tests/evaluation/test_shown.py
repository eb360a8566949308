"""What the feed shows: shares by hand, noise by name, and the sums of events."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labelled import coarse_scores, labels, make_stay

from rpm_stream.evaluation.alarms import alarms
from rpm_stream.evaluation.assess import assess
from rpm_stream.evaluation.cohort import Cohort
from rpm_stream.evaluation.report import Evaluation, ShownResult, ShownRow, encode
from rpm_stream.evaluation.shown import red_rules, shares
from rpm_stream.evaluation.stays import ShownEvent, Stay, StayLabel, Traits
from rpm_stream.evaluation.tables import text_of
from rpm_stream.knowledge import load

BELL = "limit.bell@1"
USEFUL = "limit.useful@1"


def event(hour: int, rule: str, **other: object) -> ShownEvent:
    return ShownEvent(**{"hour": hour, "rule": rule, "priority": "medium", **other})


def ward() -> list[Stay]:
    """Ten onsets in hour 20, reached by the useful rule; the bell rings for the other 30."""
    sick = [make_stay(f"s{n}", 30, 20, events=[event(15, USEFUL)]) for n in range(10)]
    well = [
        make_stay(f"w{n}", 30, events=[event(12, BELL), *([event(12, USEFUL)] if n < 3 else [])])
        for n in range(30)
    ]
    return [*well, *sick]


@cache
def shown() -> ShownResult:
    return assess(ward(), {}, load(None)).shown


def row(name: str) -> ShownRow:
    found = shown()
    return next(each for each in (*found.rules, *found.selections) if each.name == name)


def test_a_rule_before_onsets_is_a_signal() -> None:
    found = row(USEFUL)
    assert (found.reached, found.before_onset, found.otherwise) == (10, 1.0, pytest.approx(0.1))
    assert found.ratio == pytest.approx(10)
    assert found.lead == 5
    assert found.verdict == "signal"
    assert found.events == 13
    assert found.per_day == pytest.approx(13 / ((10 * 21 + 30 * 30) / 24))


def test_a_rule_that_rings_elsewhere_is_named_noise() -> None:
    found = row(BELL)
    assert (found.before_onset, found.otherwise, found.ratio) == (0.0, 1.0, 0.0)
    assert found.verdict == "noise"
    result = Evaluation(
        part="all",
        window_hours=12,
        carried_hours=12,
        draws=1000,
        hourly=assess(ward(), {}, load(None)),
    )
    line = next(each for each in text_of(result).splitlines() if each.startswith(BELL))
    assert "noise" in line


def test_the_sums_have_their_events() -> None:
    counts = {each.name: each.events for each in shown().selections}
    assert counts == {
        "high alone": 0,
        "medium alone": 43,
        "low alone": 0,
        "all": 43,
        "medium and high": 43,
        "medium and high without single red values": 43,
    }
    assert all(each.random is not None for each in shown().selections if each.events)


def test_a_single_red_value_is_left_out_until_it_is_repeated() -> None:
    red = min(red_rules(load(None)))
    stays = [
        make_stay(
            "a",
            30,
            events=[event(3, red), event(4, red, priority="high"), event(9, BELL, priority="low")],
        )
    ]
    found = {each.name: each.events for each in assess(stays, {}, load(None)).shown.selections}
    assert found["medium and high"] == 2
    assert found["medium and high without single red values"] == 1
    assert found["all"] == 3


@given(labels(), st.integers(0, 1000))
def test_the_shares_are_those_of_a_plain_loop(found: list[StayLabel], seed: int) -> None:
    cohort = Cohort(found)
    rung = alarms(coarse_scores(cohort, seed), 4, 4)
    before, otherwise = shares(cohort, rung)
    columns = [place for place, label in enumerate(found) if label.onset is not None]
    for place, column in enumerate(columns):
        onset = found[column].onset
        assert onset is not None
        window = slice(max(onset - 11, 0), onset + 1)
        assert before[place] == rung[window, column].any()
        others = [
            rung[window, other].any()
            for other, label in enumerate(found)
            if label.onset is None and label.hours > onset
        ]
        if others:
            assert otherwise[place] == pytest.approx(np.mean(others))
        else:
            assert np.isnan(otherwise[place])


def test_events_after_the_onset_do_not_count() -> None:
    stays = [make_stay("a", 30, 10, events=[event(11, BELL)]), make_stay("b", 30)]
    assert assess(stays, {}, load(None)).shown.rules == ()


def test_subgroups_add_up() -> None:
    people = {stay.label.patient: Traits(age=70, sex="female") for stay in ward()}
    people["s0"] = Traits(age=30, sex="male")
    stays = [
        msgspec.structs.replace(
            stay,
            series={
                "news2": tuple(hour % 7.0 for hour in range(30)),
            },
        )
        for stay in ward()
    ]
    stays[0] = msgspec.structs.replace(stays[0], series={**stays[0].series, "rare": (1.0,) * 9})
    result = assess(stays, people, load(None))
    assert {each.score for each in result.subgroups} == {"news2"}, "rare has too few alarms"
    found = {each.group: each for each in result.subgroups if each.score == "news2"}
    assert {name: (each.stays, each.onsets) for name, each in found.items()} == {
        "age 0 to 49": (1, 1),
        "age 65 to 79": (39, 9),
        "female": (39, 9),
        "male": (1, 1),
    }


def test_the_order_of_the_stays_changes_nothing() -> None:
    def encoded(stays: list[Stay]) -> bytes:
        return encode(
            Evaluation(
                part="all",
                window_hours=12,
                carried_hours=12,
                draws=1000,
                hourly=assess(stays, {}, load(None)),
            )
        )

    assert encoded(ward()) == encoded(ward()[::-1])
