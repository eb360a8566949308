"""The order and the words of the feed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alerts import alert_of, history_of

from rpm_stream.knowledge import shipped
from rpm_stream.publish import time_words
from rpm_stream.publish.feed import rows as feed
from rpm_stream.publish.latest import short_unit
from rpm_stream.records import (
    Alert,
    AlertState,
    Event,
    Now,
    PatientEntry,
    Priority,
    Sample,
    Transition,
    Trend,
)

NOW = datetime(2026, 7, 14, 7, 2, 11, tzinfo=UTC)


def alert(
    key: str = "a",
    priority: Priority = "high",
    state: AlertState = "open",
    *,
    opened: timedelta = timedelta(minutes=30),
    updated: timedelta = timedelta(minutes=1),
    **marks: Any,
) -> Alert:
    """An alert that was opened and updated so long before NOW; ``marks`` are historical, stale,
    late, over, now.
    """
    history = history_of(priority, state, NOW - opened, NOW - updated)
    times = {"opened_at": NOW - opened, "updated_at": NOW - updated}
    return alert_of(
        key,
        NOW - timedelta(minutes=3),
        priority=priority,
        state=state,
        evidence=("r",),
        history=history,
        **times,
        **marks,
    )


alerts = st.builds(
    alert,
    st.uuids().map(str),
    st.sampled_from(["high", "medium", "low"]),
    st.sampled_from(["open", "acknowledged", "snoozed", "resolved"]),
    opened=st.timedeltas(timedelta(minutes=2), timedelta(days=9)),
    historical=st.booleans(),
    stale=st.booleans(),
    late=st.booleans(),
    over=st.booleans(),
)


def test_priority_then_unacknowledged_then_newest() -> None:
    day, hour = timedelta(days=1), timedelta(hours=1)
    wanted = [
        alert("high new", opened=hour),
        alert("high old", opened=day),
        alert("high acknowledged", state="acknowledged", opened=timedelta(minutes=2)),
        alert("medium new", "medium", opened=hour),
        alert("medium snoozed", "medium", "snoozed", opened=timedelta(minutes=2)),
        alert("low", "low", opened=timedelta(minutes=1)),
    ]
    assert [each.id for each in feed.ranked(reversed(wanted))] == [each.id for each in wanted]


def test_a_high_alert_that_is_over_stands_below_those_that_go_on_and_above_what_is_lower() -> None:
    wanted = [
        alert("high old", opened=timedelta(days=1)),
        alert("high acknowledged", state="acknowledged"),
        alert("high over", opened=timedelta(minutes=2), over=True),
        alert("medium new", "medium", opened=timedelta(minutes=1)),
    ]
    assert [each.id for each in feed.ranked(reversed(wanted))] == [each.id for each in wanted]


@given(st.lists(alerts, unique_by=lambda each: each.id))
def test_ranking_loses_nothing_and_no_lower_priority_stands_above_a_higher(
    found: list[Alert],
) -> None:
    ranked = feed.ranked(found)
    assert sorted(each.id for each in ranked) == sorted(each.id for each in found)
    order = [feed.PRIORITIES.index(each.priority) for each in ranked]
    assert order == sorted(order)


@given(alerts)
def test_law_3_only_a_resolved_alert_leaves_the_list(found: Alert) -> None:
    """No mark, age or acknowledgement takes an alert off the list."""
    assert feed.listed(found) == (found.state != "resolved")


@given(st.lists(alerts))
def test_counts_are_of_what_is_listed(found: list[Alert]) -> None:
    counted = feed.counts(found)
    assert list(counted) == ["high", "medium", "low"]
    assert sum(counted.values()) == sum(each.state != "resolved" for each in found)


@pytest.mark.parametrize(("hours", "shown"), [(23.9, True), (24.0, True), (24.1, False)])
def test_resolved_is_shown_for_a_day(hours: float, shown: bool) -> None:
    done = alert(state="resolved", opened=timedelta(days=3), updated=timedelta(hours=hours))
    assert feed.recently_resolved(done, NOW) is shown


def test_a_listed_alert_is_not_among_the_resolved() -> None:
    assert not feed.recently_resolved(alert(), NOW)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_lengths_in_words(length: timedelta, words: str) -> None:
    assert time_words.duration_words(length) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=30), "just now"),
        (timedelta(seconds=-30), "just now"),
        (timedelta(minutes=12), "12 minutes ago"),
        (timedelta(minutes=-5), "5 minutes ahead of this clock"),
    ],
)
def test_moments_in_words(before: timedelta, words: str) -> None:
    assert time_words.ago_words(NOW - before, NOW) == words


def test_a_row_says_who_since_when_and_why() -> None:
    entry = PatientEntry(patient="p", display="Amelia Hart", born="1948-07-15")
    shown = feed.row(alert(state="acknowledged"), entry, "ref", NOW)
    assert (shown.name, shown.age, shown.since_words) == ("Amelia Hart", 77, "30 minutes")
    assert shown.measured_words == "3 minutes ago"
    assert shown.acknowledged_by == "N. Adeyemi"
    assert shown.acknowledged_at == NOW - timedelta(minutes=1)
    assert shown.why == ("Oxygen saturation 90 % is at or below 91 %.",)


def test_an_alert_that_opened_again_is_not_shown_as_acknowledged() -> None:
    """A rise in priority puts an acknowledged alert back to open: the old acknowledgement no
    longer counts.
    """
    before = alert(state="acknowledged")
    again = Transition(at=NOW, state="open", priority="high", who="", reason="NEWS2 rose")
    opened = msgspec.structs.replace(before, state="open", history=(*before.history, again))
    assert feed.row(opened, PatientEntry(patient="p"), "ref", NOW).acknowledged_by is None


def test_a_further_finding_does_not_take_the_place_of_who_acknowledged() -> None:
    before = alert(state="acknowledged")
    further = Transition(
        at=NOW, state="acknowledged", priority="high", who="rpm-stream", reason="pulse high"
    )
    after = msgspec.structs.replace(before, history=(*before.history, further))
    assert feed.row(after, PatientEntry(patient="p"), "ref", NOW).acknowledged_by == "N. Adeyemi"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("limit.patient.oxygen_saturation.below_88_%", "A limit set for this patient"),
        (
            "limit.news2_red.oxygen_saturation@1",
            "A single vital on the NEWS2 chart, as shipped with the service",
        ),
        (
            "limit.maternity_red.systolic@1",
            "A single vital in the chart for pregnancy, as shipped with the service",
        ),
        (
            "limit.child_amber.heart_rate@1",
            "A single vital in the chart for children of this age, as shipped with the service",
        ),
        ("news2@2017", "NEWS2, the score of all vital signs together, as shipped with the service"),
        ("detector.personal.heart_rate@1", "Learned: unusual for this person"),
        ("something.new", "Another rule"),
    ],
)
def test_a_rule_in_words(rule: str, words: str) -> None:
    assert feed.rule_words(rule) == words


def test_each_mark_is_a_word_with_its_meaning() -> None:
    shown = feed.row(alert(stale=True, late=True), PatientEntry(patient="p"), "ref", NOW)
    assert [mark.word for mark in shown.marks] == ["No new data", "Arrived late"]
    assert all(mark.meaning.endswith(".") for mark in shown.marks)
    assert (shown.historical, shown.stale, shown.late) == (False, True, True)


@pytest.mark.parametrize(("times", "words"), [(1, "once"), (2, "twice"), (3, "3 times")])
def test_an_escalated_alert_is_marked_until_somebody_takes_it_on(times: int, words: str) -> None:
    (mark,) = feed.row(alert(escalation=times), PatientEntry(patient="p"), "ref", NOW).marks
    assert (mark.word, mark.meaning) == (
        "Escalated",
        f"Nobody acknowledged it in time: escalated {words}.",
    )
    taken = alert(state="acknowledged", escalation=times)
    assert feed.row(taken, PatientEntry(patient="p"), "ref", NOW).marks == ()


def seen(found: Alert, *who_and_event: tuple[str, Event]) -> Alert:
    """The alert after these steps, each of which leaves its state."""
    steps = [
        Transition(
            at=NOW, state=found.state, priority=found.priority, who=who, reason="", event=event
        )
        for who, event in who_and_event
    ]
    return msgspec.structs.replace(found, history=(*found.history, *steps))


@given(st.booleans(), st.booleans(), st.integers(0, 3))
def test_what_is_over_says_that_values_are_back_and_that_nobody_has_looked(
    historical: bool, stale: bool, times: int
) -> None:
    """And no other mark says less of it, or otherwise."""
    found = alert(over=True, historical=historical, stale=stale, escalation=times)
    shown = feed.row(found, PatientEntry(patient="p"), "ref", NOW)
    first, *others = shown.marks
    assert (first.word, first.meaning) == ("Over, not seen", feed.OVER[1].format(back=feed.BACK))
    assert "back inside" in first.meaning and "until somebody has looked" in first.meaning
    assert "Values are back" not in [mark.word for mark in others]
    assert shown.over and feed.counts([found])["high"] == 1


def test_what_somebody_has_looked_at_is_not_said_to_be_unseen() -> None:
    found = seen(alert(over=True), ("N. Adeyemi", "seen"), ("M. Keller", "commented"))
    shown = feed.row(found, PatientEntry(patient="p"), "ref", NOW)
    assert shown.seen_by == ("N. Adeyemi",)
    assert [mark.word for mark in shown.marks] == ["Over"]
    assert "N. Adeyemi" in shown.marks[0].meaning


def test_a_resolved_alert_is_not_over() -> None:
    shown = feed.row(alert(state="resolved", over=True), PatientEntry(patient="p"), "ref", NOW)
    assert not shown.over and shown.marks == ()


def vital(
    name: str,
    newest: str | None,
    worst: str,
    unit: str = "%",
    *,
    minutes: float = 4,
    trend: Trend | None = None,
) -> Now:
    """What is so now of a vital: measured so many minutes ago, the worst 20 minutes before."""
    at = NOW - timedelta(minutes=minutes)
    absent = None if newest is not None else "positive-infinity"
    return Now(
        vital=name,
        newest=Sample(value=newest, unit=unit, measured_at=at, absent=absent),  # type: ignore[arg-type]
        worst=Sample(value=worst, unit=unit, measured_at=at - timedelta(minutes=20)),
        trend=trend,
    )


def test_the_newest_values_are_said_with_unit_age_worst_and_trend() -> None:
    found = alert(
        now=(
            vital("oxygen_saturation", "93", "84", trend="rising"),
            vital("glucose", None, "400", "mg/dL"),
            vital("consciousness", "1", "3", "{ACVPU}"),
            vital("never_heard_of", "1", "2", "{beats}/min"),
        )
    )
    shown = feed.row(found, PatientEntry(patient="p"), "ref", NOW, shipped().vitals).now
    assert [(each.name, each.value, each.unit, each.worst_words) for each in shown] == [
        ("Oxygen saturation", "93", "%", "84 %"),
        ("Blood glucose", "above what the device can show", "", "400 mg/dL"),
        ("Consciousness", "new confusion", "", "responds to pain"),
        ("Never heard of", "1", "/min", "2 /min"),
    ]
    assert (shown[0].age_words, shown[0].trend_words, shown[1].trend_words) == (
        "4 minutes ago",
        "rising",
        "",
    )
    assert not any(each.is_old for each in shown)


@pytest.mark.parametrize(
    ("stale", "hours", "old"), [(True, 1, True), (False, 1, False), (False, 48, True)]
)
def test_a_value_that_may_have_changed_is_said_to_be_old(
    stale: bool, hours: float, old: bool
) -> None:
    found = alert(stale=stale, now=(vital("weight", "84.1", "86", "kg", minutes=60 * hours),))
    assert [each.is_old for each in feed.row(found, PatientEntry(patient="p"), "ref", NOW).now] == [
        old
    ]


@pytest.mark.parametrize(
    ("unit", "words"), [("{beats}/min", "/min"), ("mm[Hg]", "mmHg"), ("1", ""), ("kg", "kg")]
)
def test_units_are_short_beside_a_large_number(unit: str, words: str) -> None:
    assert short_unit(unit) == words


filters = st.builds(
    feed.Filter,
    priorities=st.frozensets(st.sampled_from(feed.PRIORITIES)),
    only_open=st.booleans(),
    patient=st.sampled_from(["", "x", "hart", "p"]),
    group=st.sampled_from([None, "glucose", "vital_signs"]),
    person=st.sampled_from([None, "", "N. Adeyemi", "nobody"]),
)


@given(filters, alerts)
def test_law_3_no_filter_and_no_section_hides_a_high_alert(
    wanted: feed.Filter, found: Alert
) -> None:
    shown = feed.row(found, PatientEntry(patient="p", display="Amelia Hart"), "ref", NOW)
    if found.priority == "high" and feed.listed(found):
        assert feed.kept(wanted, shown)
    if found.priority == "high":
        assert shown.section == "now"
    if shown.over:
        assert shown.section == "now"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (feed.Filter(), ["Amelia Hart", "Boris"]),
        (feed.Filter(patient=" hART "), ["Amelia Hart"]),
        (feed.Filter(patient="MRN-2"), ["Boris"]),
        (feed.Filter(group="glucose"), ["Amelia Hart"]),
        (feed.Filter(priorities=frozenset({"low"})), ["Boris"]),
        (feed.Filter(only_open=True), ["Amelia Hart"]),
        (feed.Filter(person="n. adeyemi "), ["Boris"]),
    ],
)
def test_a_filter_keeps_what_it_asks_for(wanted: feed.Filter, names: list[str]) -> None:
    first = msgspec.structs.replace(alert("a", "medium"), patient="MRN-1", group="glucose")
    second = msgspec.structs.replace(alert("b", "low", "acknowledged"), patient="MRN-2")
    people = {"MRN-1": "Amelia Hart", "MRN-2": "Boris"}
    shown = [
        feed.row(each, PatientEntry(patient=each.patient, display=people[each.patient]), "r", NOW)
        for each in (first, second)
    ]
    assert [row.name for row in shown if feed.kept(wanted, row)] == names


@pytest.mark.parametrize(
    ("found", "section"),
    [
        (alert(priority="medium", historical=True), "back"),
        (alert(priority="medium", state="snoozed", historical=True), "snoozed"),
        (alert(priority="low"), "now"),
        (alert(priority="high", historical=True), "now"),
    ],
)
def test_what_sleeps_and_what_is_back_stands_apart_unless_it_is_high(
    found: Alert, section: str
) -> None:
    assert feed.row(found, PatientEntry(patient="p"), "ref", NOW).section == section


@pytest.mark.parametrize(
    ("group", "words"),
    [("vital_signs", "Vital signs"), ("device:not_judged", "Device: not judged")],
)
def test_a_group_in_words(group: str, words: str) -> None:
    assert feed.group_words(group) == words


def test_a_patient_without_a_name_is_shown_by_number() -> None:
    shown = feed.row(alert(), PatientEntry(patient="p"), "ref", NOW)
    assert (shown.name, shown.age) == ("p", None)


@given(st.text(min_size=1), st.binary(min_size=1))
def test_the_opaque_name_is_stable_and_does_not_hold_the_number(patient: str, key: bytes) -> None:
    ref = feed.patient_ref(patient, key)
    assert ref == feed.patient_ref(patient, key)
    assert len(ref) == 16 and set(ref) <= set("0123456789abcdef")
    assert ref != feed.patient_ref(patient + "x", key)
    assert ref != feed.patient_ref(patient, b"x" + key)
