"""From the lines of a replay to a stay: hours, NEWS2's parts, events and the list."""

from __future__ import annotations

import math
from collections.abc import Sequence

from support.labelled import HEADER

from rpm_stream.evaluation.collect import NEEDED, carried, collect
from rpm_stream.evaluation.shown import red_rules
from rpm_stream.evaluation.stays import Stay, StayLabel, Traits, part_of, registry_entry
from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.knowledge import load
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.replay import Replay


def stay_of(values: Sequence[tuple[str, str, object, str]], hours: int = 20) -> Stay:
    """Return the stay of readings (time of day, vital, value, unit)."""
    lines = [f"{HEADER}\n"] + [
        f"p,2026-01-01T{at}:00Z,{vital},{value},{unit}\n" for at, vital, value, unit in values
    ]
    replay = Replay(load(None), Registry([registry_entry("p", None)]), NEEDED)
    found = [line for frame in frames(rows(lines)) for line in replay.csv(frame)]
    return collect(StayLabel(patient="p", hours=hours), [*found, *replay.finish(None)])


def breathing(*rates: int) -> list[tuple[str, str, object, str]]:
    return [(f"{hour:02}:30", "respiratory_rate", rate, "/min") for hour, rate in enumerate(rates)]


def test_the_score_of_an_hour_is_the_last_one_up_to_its_end() -> None:
    stay = stay_of(
        [
            ("01:10", "respiratory_rate", 22, "/min"),
            ("01:50", "respiratory_rate", 26, "/min"),
            ("03:10", "respiratory_rate", 16, "/min"),
        ],
        hours=5,
    )
    assert math.isnan(stay.series["news2"][0])
    assert stay.series["news2"][1:] == (3.0, 3.0, 0.0, 0.0)
    assert stay.series["static"][1:] == (3.1, 3.1, 0.0, 0.0)
    assert stay.red == (False, True, False, False, False)
    assert stay.red_known == (False, True, True, False, False)


def test_a_score_counts_for_12_hours() -> None:
    series = stay_of(breathing(22)).series["news2"]
    assert [math.isnan(value) for value in series] == [False] * 12 + [True] * 8


def test_nothing_is_carried_before_the_first_value() -> None:
    assert [math.isnan(value) for value in carried([math.nan, 1.0])] == [True, False]


def test_openings_and_rises_are_events_and_repeats_are_none() -> None:
    """Amber opens, red raises, a second red raises again; a third and a fourth change nothing."""
    stay = stay_of(breathing(16, 22, 26, 26, 26, 26))
    assert [(each.hour, each.priority) for each in stay.events] == [
        (1, "low"),
        (2, "medium"),
        (3, "high"),
    ]
    assert not any(each.returned for each in stay.events)
    assert len({each.rule for each in stay.events}) == 2


def test_a_red_value_has_a_red_rule_and_an_amber_one_has_not() -> None:
    """The report of single red values knows them by the names that the rules give."""
    rules = red_rules(load(None))
    events = stay_of(breathing(16, 22, 26, 26)).events
    assert [each.rule in rules for each in events] == [False, True, True]
    assert stay_of([("01:00", "systolic", 85, "mm[Hg]")]).events[0].rule in rules


def test_an_alert_is_listed_from_medium_until_its_values_are_back() -> None:
    stay = stay_of(breathing(16, 22, 26, 26, *[16] * 8))
    assert stay.listed[:4] == (False, False, True, True)
    assert not stay.listed[-1]  # it is over: the values are back, and no person has looked


def test_values_that_leave_their_limits_again_are_an_event() -> None:
    stay = stay_of(breathing(26, 26, *[16] * 8, 26))
    assert [each.returned for each in stay.events] == [False, False, True]
    assert stay.events[-1].hour == 10


def test_readings_outside_the_monitored_hours_give_no_score() -> None:
    assert stay_of(breathing(16, 16, 26), hours=2).series["news2"] == (0.0, 0.0)


def test_the_cut_by_person_has_two_halves() -> None:
    parts = [part_of(f"p{number}") for number in range(1000)]
    assert set(parts) == {"fit", "check"}
    assert 450 < parts.count("fit") < 550


def test_a_person_is_born_so_many_years_before_the_start() -> None:
    assert registry_entry("p", Traits(age=67, sex="male")).born == "1959-01-01"
