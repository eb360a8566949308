"""An alert describes the present: its title, its first line, its evidence, and whether it is over.

These are laws 3 and 12.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, worn
from support.replaying import Output, last_alerts, of_type, replay_frames, replay_values
from support.ward import Ward, after

from rpm_stream.knowledge import shipped
from rpm_stream.records import Alert

COURSE = {
    "heart_rate": ("70", "104", "112", "135", "28", "225"),
    "oxygen_saturation": ("97", "94", "92", "88", "60"),
    "respiratory_rate": ("15", "19", "22", "26", "5"),
    "systolic": ("120", "104", "95", "85", "185", "255"),
    "body_temperature": ("36.6", "38.9", "39.5"),
    "glucose": ("110", "75", "65", "50", "235", "260", "420"),
}
values = st.sampled_from(sorted(COURSE)).flatmap(
    lambda vital: st.tuples(st.just(vital), st.sampled_from(COURSE[vital]))
)
courses = st.lists(
    st.tuples(st.sampled_from((0, 1, 7, 16, 45, 300)), values), min_size=1, max_size=14
)


def timed(course: Sequence[tuple[int, tuple[str, str]]]) -> list[tuple[int, str, str]]:
    minutes, found = 0, []
    for later, (vital, value) in course:
        minutes += later + 1
        found.append((minutes, vital, value))
    return found


def is_beyond(vital: str, value: str) -> bool:
    """Return whether a single value of an adult raises an alert by itself.

    It has 2 points or more of the chart, or is beyond a shipped limit.
    """
    rows = {
        "heart_rate": lambda x: x <= 40 or x >= 111,
        "oxygen_saturation": lambda x: x <= 93,
        "respiratory_rate": lambda x: x <= 8 or x >= 21,
        "systolic": lambda x: x <= 100 or x > 180,
        "body_temperature": lambda x: x <= 35 or x >= 39.1,
        "glucose": lambda x: x < 70 or x > 250,
    }
    return bool(rows[vital](float(value)))


@settings(max_examples=150, deadline=None)
@given(courses)
def test_law_12_the_lines_name_the_readings_of_the_evidence_in_their_order(
    course: list[Any],
) -> None:
    """Each value in a line is of a reading of the evidence.

    Those of the first line come first. There are eight at most.
    """
    output = replay_values(timed(course))
    of = {reading["id"]: reading for reading in of_type(output, "reading")}
    for alert in of_type(output, "alert"):
        if alert["group"].startswith("device:"):
            continue
        assert 1 <= len(alert["evidence"]) <= 8
        named = [of[each]["value"] for each in alert["evidence"]]
        told = [value for line in alert["why"] for value in _values_of(line)]
        assert set(told) <= set(named), (alert["why"], named)
        first = _values_of(alert["why"][0])
        assert named[: len(first)] == first, "the evidence begins with what the first line names"


def _values_of(line: str) -> list[str]:
    """Return the values that a line gives for a vital.

    They are after a name and before its unit, and before a colon or "now".
    """
    found = []
    for vital, unit in (
        ("heart rate", "a minute"),
        ("oxygen saturation", "%"),
        ("respiratory rate", "a minute"),
        ("systolic", "mmHg"),
        ("body temperature", "°C"),
        ("glucose", "mg/dL"),
    ):
        found += [
            (match.start(), match[1])
            for match in re.finditer(
                rf"{vital} ([0-9.]+) {re.escape(unit)}(?: \(the device[^)]*\))?(?: now|:)", line
            )
        ]
    return [value for _, value in sorted(found)]


@settings(max_examples=150, deadline=None)
@given(courses)
def test_the_last_record_tells_the_newest_value_of_each_vital(course: list[Any]) -> None:
    """``now`` has the newest and the worst value.

    No line before it gives another value of that vital as present.
    """
    ward, newest = Ward(), {}
    for minutes, vital, value in timed(course):
        newest[vital] = value
        told = ward.now(vital, value, minutes)
        # the other lines are of an earlier time
        after_it = {each.id: each for each in told if each.updated_at == after(minutes)}
        for alert in after_it.values():
            for entry in alert.now:
                assert entry.newest.value == newest[entry.vital]
            beyond = [
                entry.vital for entry in alert.now if is_beyond(entry.vital, newest[entry.vital])
            ]
            if beyond and alert.state == "open" and not alert.title.startswith("NEWS2"):
                first = alert.now[0].vital
                assert is_beyond(first, newest[first]), (
                    "a vital that is back stands before one that is not"
                )
                assert f" {newest[first]} " in f"{alert.why[0]} "


@settings(max_examples=200, deadline=None)
@given(courses, st.randoms(use_true_random=False))
def test_historical_is_what_is_over_of_every_member(course: list[Any], chance: Any) -> None:
    """Values may come in any order.

    No alert is called over while the newest value of a vital that raised it is beyond its limit.
    """
    ordered = timed(course)
    sent = chance.sample(ordered, len(ordered))
    ward = Ward()
    for place, (minutes, vital, value) in enumerate(sent):
        known = sent[: place + 1]
        newest = {
            v: max((m, x) for m, w, x in known if w == v)[1] for v in {w for _, w, _ in known}
        }
        for alert in ward.send(5000 + place, (minutes, vital, value)):
            if (
                not alert.historical
                or alert.state == "resolved"
                or alert.group.startswith("device:")
            ):
                continue
            episode = ward.patient.state.episodes.get(alert.group)
            if episode is None or episode.alert.history != alert.history:
                continue  # a record in the middle of a message
            rang = {m.vital for name, m in episode.members.items() if name.startswith("limit:")}
            assert not any(is_beyond(each, newest[each]) for each in rang), (alert.why, newest)
            assert not (alert.over and not alert.historical)


TIME_DRIVEN = ("stale", "updated_at", "escalation", "history")


@settings(max_examples=80, deadline=None)
@given(courses, st.lists(st.integers(0, 400_000), min_size=14, max_size=14))
def test_no_tick_changes_what_a_later_record_tells(course: list[Any], ticks: list[int]) -> None:
    """A worker may be ahead of its data, as with a replay of old recordings into a running service.

    Its records are the same.
    """
    ward, twin = Ward(), Ward()
    for (minutes, vital, value), later in zip(timed(course), ticks, strict=False):
        ward.now(vital, value, minutes)
        twin.now(vital, value, minutes)
        ward.tick(minutes + later)
    assert without_ticks(ward) == without_ticks(twin)


@pytest.mark.parametrize("seed", range(4))
def test_no_tick_changes_what_a_long_history_keeps(seed: int) -> None:
    """An alert that comes back for weeks keeps its newest steps. Escalations do not count."""
    chance = random.Random(seed)
    ward, twin = Ward(), Ward()
    minutes, longest = 0, 0
    for turn in range(200):
        for value in ("50" if turn == 0 else chance.choice(("65", "235", "260")), "110", "110"):
            minutes += chance.choice((20, 45))
            ward.now("glucose", value, minutes)
            twin.now("glucose", value, minutes)
            if chance.random() < 0.3:
                ward.tick(minutes + chance.choice((0, 40, 3_000)))
        steps = without_ticks(ward)["steps"]
        assert steps == without_ticks(twin)["steps"]
        longest = max(longest, *map(len, steps.values()))
    assert longest > 60, "long enough to be shortened"
    assert without_ticks(ward) == without_ticks(twin)


def without_ticks(ward: Ward) -> dict[str, dict[str, Any]]:
    """Return what readings alone decide of each open alert: its record, and its steps."""
    alerts = {
        group: msgspec.to_builtins(episode.alert)
        for group, episode in ward.patient.state.episodes.items()
    }
    return {
        "alert": {
            group: {name: value for name, value in alert.items() if name not in TIME_DRIVEN}
            for group, alert in alerts.items()
        },
        "steps": {
            group: [
                (step["at"], step["event"])
                for step in alert["history"]
                if step["event"] != "escalated"
            ]
            for group, alert in alerts.items()
        },
    }


def test_what_is_due_at_the_very_moment_of_a_message_changes_no_decision_about_it() -> None:
    ward, twin = Ward(), Ward()
    for bench in (ward, twin):
        bench.now("oxygen_saturation", "86", 0)
        bench.now("oxygen_saturation", "85", 5)
    ward.tick(35)  # it escalates
    ward.now("oxygen_saturation", "80", 35)
    (*_, seen) = twin.now("oxygen_saturation", "80", 35)
    assert [step.event for step in seen.history] == ["opened", "raised", "escalated"]
    for bench in (ward, twin):
        (done,) = bench.act("acknowledge", seen.id, 36, record=seen.updated_at)
        assert done.state == "acknowledged"


DECIDED = st.sampled_from(["acknowledge", "see", "new_normal", "snooze", "resolve"])


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("89", "86", "80", "97")), st.booleans(), st.integers(0, 3)),
        max_size=24,
    ),
    st.lists(DECIDED, min_size=24, max_size=24),
)
def test_a_decision_means_the_same_whenever_somebody_ticked(
    course: list[Any], kinds: list[Any]
) -> None:
    """A replay ticks before each record.

    What is due at the very moment of a message is noticed apart from it.
    """
    ward, twin, seen = Ward(), Ward(), list[Alert]()
    for place, ((value, decides, back), kind) in enumerate(zip(course, kinds, strict=False)):
        minutes = place * 5
        ward.tick(minutes)
        ward.now("oxygen_saturation", value, minutes)
        seen += twin.now("oxygen_saturation", value, minutes)
        if decides and seen:
            alert = seen[-1 - min(back, len(seen) - 1)]
            fields = {"record": alert.updated_at, "until": after(minutes + 30)}
            ward.tick(minutes + 2)
            ward.act(kind, alert.id, minutes + 2, **fields)
            seen += twin.act(kind, alert.id, minutes + 2, **fields)
        histories = [
            {group: each.alert.history for group, each in bench.patient.state.episodes.items()}
            for bench in (ward, twin)
        ]
        assert histories[0] == histories[1]


def test_glucose_that_was_high_and_is_low_is_low() -> None:
    ward = Ward()
    ward.now("glucose", "300", 0)
    (alert,) = [each for each in ward.now("glucose", "62", 60) if each.group == "glucose"]
    assert (alert.title, alert.now[0].newest.value, alert.now[0].trend) == (
        "Glucose low",
        "62",
        "falling",
    )
    assert alert.why[0].startswith("glucose 62 mg/dL: below 70")
    assert any(line.startswith("rang first: glucose 300") for line in alert.why)
    (high,) = [each for each in ward.now("glucose", "300", 120) if each.group == "glucose"]
    assert high.title == "Glucose high"


def test_a_low_value_stands_before_a_high_one_of_the_same_weight() -> None:
    """Meter and sensor disagree. A nurse who reads "high" first may give insulin."""
    ward = Ward()
    (alert,) = [
        each
        for each in ward.send(5, (0, "glucose", "260"), (1, "glucose_interstitial", "65"))
        if each.group == "glucose" and len(each.why) > 1
    ]
    assert alert.title == "Interstitial glucose low"


def test_the_worst_is_told_beside_the_newest() -> None:
    ward = Ward()
    for minutes, value in ((0, "89"), (5, "84"), (10, "80"), (25, "86")):
        told = ward.now("oxygen_saturation", value, minutes)
    (entry,) = told[-1].now
    assert (entry.newest.value, entry.worst.value, entry.trend) == ("86", "80", "rising")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["88", "87", "80", "66", "97"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["88", "84", "76", "62", "97"]), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_value_a_tier_worse_is_named_also_where_a_better_one_is_newer(
    before: list[str], batch: list[str], is_late: bool
) -> None:
    """A night comes in the morning, in one message.

    The record names its worst value if that is a tier worse than any before.
    """
    ward = Ward()
    for place, value in enumerate(before):
        ward.now("oxygen_saturation", value, place * 20)
    begin = len(before) * 20 - 35 * is_late
    told = ward.send(
        len(before) * 20 + 10,
        *((begin + place, "oxygen_saturation", v) for place, v in enumerate(batch)),
    )
    worst, known = min(map(int, batch)), min(map(int, before))
    if worst <= known - 3 and worst <= 88:
        record = told[-1]
        assert f"oxygen saturation {worst} %" in " ".join(record.why)
        assert [entry.worst.value for entry in record.now] == [str(worst)]


def test_words_do_not_rise() -> None:
    """A patient who no longer responds does not get "higher".

    Only the code of the answer is a higher number.
    """
    ward = Ward()
    ward.send(0, (0, "consciousness", "2", "{ACVPU}"))
    told = ward.send(20, (20, "consciousness", "4", "{ACVPU}"))
    assert [entry.trend for entry in told[-1].now] == [None]
    assert "rising" not in str(told[-1].why)


@pytest.mark.parametrize(
    ("minutes", "value", "is_told"), [(6, "86", False), (6, "85", True), (20, "87", True)]
)
def test_what_is_so_now_is_told_where_it_is_a_step_worse_or_a_quarter_of_an_hour_has_passed(
    minutes: int, value: str, is_told: bool
) -> None:
    ward = Ward()
    ward.now("oxygen_saturation", "88", 0)
    ward.now("oxygen_saturation", "88", 5)
    assert bool(ward.now("oxygen_saturation", value, minutes)) == is_told


def test_a_value_that_crosses_its_limit_is_told() -> None:
    ward = Ward()
    ward.now("oxygen_saturation", "88", 0)
    ward.now("oxygen_saturation", "88", 5)
    (between,) = ward.now("oxygen_saturation", "94", 6)
    (inside,) = ward.now("oxygen_saturation", "96", 7)
    assert [each.title for each in (between, inside)] == [
        "Oxygen saturation low, now 94 %",
        "Oxygen saturation low, now 96 %",
    ]
    assert len(inside.history) == len(between.history) == 2, "what is so now is no step of its life"


# --- over -----------------------------------------------------------------------------------------


def low() -> tuple[Ward, Alert]:
    """Return a red glucose at night that is back again."""
    ward = Ward()
    (alert,) = ward.now("glucose", "48", 0)
    ward.now("glucose", "96", 60)
    (over,) = ward.now("glucose", "98", 75)
    assert (over.id, over.state, over.over, over.priority) == (alert.id, "open", True, "high")
    return ward, over


def test_what_nobody_saw_waits_and_escalates_no_more() -> None:
    ward, over = low()
    assert over.escalation == 2
    assert [each.over for each in ward.tick(3000)] in ([], [True])  # stale at most
    assert ward.patient.state.episodes["glucose"].alert.escalation == 2


@pytest.mark.parametrize("action", ["see", "acknowledge", "resolve"])
def test_it_ends_when_somebody_has_seen_it(action: str) -> None:
    ward, over = low()
    *_, ended = ward.act(action, over.id, 90)
    assert (ended.state, ended.over) == ("resolved", False)
    assert {"seen", "acknowledged", "resolved"} & {step.event for step in ended.history}


def test_who_saw_it_before_it_was_back_lets_it_end_by_readings() -> None:
    ward = Ward()
    (alert,) = ward.now("glucose", "48", 0)
    (seen,) = ward.act("see", alert.id, 5)
    assert (seen.state, seen.history[-1].event) == ("open", "seen")
    assert [each.escalation for each in ward.tick(31)] == [1], "to see it stops no escalation"
    ward.now("glucose", "96", 60)
    (ended,) = ward.now("glucose", "98", 75)
    assert (ended.state, ended.history[-1].event) == ("resolved", "recovered")


def test_a_return_opens_it_again_and_escalates_from_the_beginning() -> None:
    ward, over = low()
    (back,) = [each for each in ward.now("glucose", "65", 200) if each.group == "glucose"]
    assert (back.id, back.over, back.state, back.escalation) == (over.id, False, "open", 0)
    assert back.history[-1].event == "returned"
    assert [(each.escalation, each.history[-1].at) for each in ward.tick(231)] == [(1, after(230))]


def test_a_late_value_of_what_is_over_changes_nothing_but_is_kept() -> None:
    ward, over = low()
    told = [each for each in ward.send(200, (5, "glucose", "47")) if each.group == "glucose"]
    assert all((each.id, each.over) == (over.id, True) for each in told)
    assert ward.patient.state.episodes["glucose"].alert.over


def test_resolve_of_what_is_not_back_is_an_acknowledgement_that_says_so() -> None:
    ward = Ward()
    (alert,) = ward.now("glucose", "48", 0)
    told = ward.act("resolve", alert.id, 5, reason="gave juice")
    assert told[-1].state == "acknowledged"
    assert [step.event for step in told[-1].history] == ["opened", "acknowledged", "refused"]
    assert told[-1].history[1].reason == "gave juice"
    assert "not been back inside" in told[-1].history[-1].reason


# --- rows and recovery ----------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from((1, 5, 20, 29, 30, 31, 59, 61, 300)), min_size=1, max_size=8),
    st.data(),
)
def test_no_second_red_is_lost_by_the_row(gaps: list[int], data: st.DataObject) -> None:
    """High as soon as two reds of a row are 30 s apart.

    The reds of a row come directly after each other, or at most a minute apart.
    """
    ward, second, reds, calm = Ward(), 0, [0], False
    row_since, last = 0, 0
    high = False
    ward.now("heart_rate", "135", 0)
    for gap in gaps:
        second += gap
        if data.draw(st.booleans()):
            ward.now("heart_rate", "80", second / 60)
            calm = True
            continue
        ward.now("heart_rate", "135", second / 60)
        if calm and second - last > 60:
            row_since = second
        calm, last = False, second
        reds.append(second)
        high = high or second - row_since >= 30
        assert (ward.patient.state.episodes["vital_signs"].alert.priority == "high") == high, (
            reds,
            gaps,
        )


def test_values_that_hover_about_a_band_are_one_alert() -> None:
    values = [
        (15 * number, "oxygen_saturation", ("93", "94", "94")[number % 3]) for number in range(96)
    ]
    assert len(last_alerts(replay_values(values))) == 1


def test_four_hours_without_a_value_beyond_a_band_end_it_though_it_never_was_wholly_back() -> None:
    ward = Ward()
    ward.now("oxygen_saturation", "93", 0)
    assert [each.state for each in ward.now("oxygen_saturation", "94", 239)] == ["open"]
    (ended,) = ward.now("oxygen_saturation", "94", 240)
    assert (ended.state, ended.history[-1].event) == ("resolved", "recovered")


def test_news2_is_over_after_an_hour_below_its_limit() -> None:
    ward = Ward()
    bad = (
        ("heart_rate", "95"),
        ("respiratory_rate", "10"),
        ("oxygen_saturation", "95"),
        ("systolic", "105"),
    )
    good = (
        ("heart_rate", "80"),
        ("respiratory_rate", "15"),
        ("oxygen_saturation", "97"),
        ("systolic", "120"),
    )
    (alert,) = ward.send(0, *((0, *each) for each in (*bad, ("body_temperature", "38.5"))))
    assert (alert.rule.split("@")[0], alert.priority) == ("news2", "medium")
    states = []
    for minutes in (10, 40, 69, 70):
        ward.send(minutes, *((minutes, *each) for each in (*good, ("body_temperature", "37.0"))))
        states.append("vital_signs" in ward.patient.state.episodes)
    assert states == [True, True, True, False]


# --- oxygen on scale 2 ----------------------------------------------------------------------------

SCALE_2 = {"v": 1, "patient": "p", "oxygen_scale": 2}
answers = st.lists(
    st.tuples(st.sampled_from((0, 10, 50, 59, 61, 100, 200)), st.sampled_from(("0", "2"))),
    min_size=0,
    max_size=3,
)
saturations = st.lists(
    st.tuples(
        st.sampled_from((0, 5, 20, 45, 70, 130, 210)),
        st.sampled_from(("97", "95", "93", "90", "86", "84", "82")),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=250, deadline=None)
@given(
    answers, saturations, st.sampled_from((None, True, False)), st.randoms(use_true_random=False)
)
def test_law_2b_the_order_of_oximeter_and_check_in_decides_about_no_red(
    said: list[tuple[int, str]], measured: list[tuple[int, str]], registry: bool | None, chance: Any
) -> None:
    """What is high in the order of measurement is high in any order of delivery.

    The answer may come last.
    """
    entries = [(minute, "oxygen_flow", value, "L/min") for minute, value in dict(said).items()]
    entries += [
        (minute, "oxygen_saturation", value, "%") for minute, value in dict(measured).items()
    ]
    ordered = sorted(entries)
    shuffled = chance.sample(ordered, len(ordered))
    who = {**SCALE_2, "on_oxygen": registry}
    first, second = (_played(each, [worn(), who]) for each in (ordered, shuffled))
    assert _high(first) <= _high(second), (ordered, shuffled)


@pytest.mark.parametrize("registry", [None, True, False])
def test_a_reading_before_an_answer_reaches_is_of_no_row_in_any_order(
    registry: bool | None,
) -> None:
    """The answer of minute 61 holds for the oxygen from minute 1 on.

    Of two saturations only one is in that time.
    """
    entries = [
        (0, "oxygen_saturation", "97", "%"),
        (5, "oxygen_saturation", "97", "%"),
        (61, "oxygen_flow", "2", "L/min"),
    ]
    who = {**SCALE_2, "on_oxygen": registry}
    found = [_high(_played(each, [worn(), who])) for each in permutations(entries)]
    assert found == [{"vital_signs"} if registry else set()] * 6


def test_two_saturations_that_are_too_low_on_air_and_on_oxygen_are_a_row_whatever_is_answered() -> (
    None
):
    entries = [
        (0, "oxygen_saturation", "82", "%"),
        (5, "oxygen_saturation", "82", "%"),
        (61, "oxygen_flow", "0", "L/min"),
    ]
    assert [_high(_played(each, [worn(), SCALE_2])) for each in permutations(entries)] == [
        {"vital_signs"}
    ] * 6


def test_saturations_of_the_time_on_air_are_of_no_row_on_oxygen() -> None:
    """Air at 0, oxygen from 150 on.

    Of three saturations only one is in the time on oxygen, and one value makes no row.
    """
    ordered = [
        (0, "oxygen_flow", "0", "L/min"),
        (5, "oxygen_saturation", "98", "%"),
        (40, "oxygen_saturation", "98", "%"),
        (150, "oxygen_flow", "2", "L/min"),
        (155, "oxygen_saturation", "98", "%"),
    ]
    for order in (ordered, [ordered[place] for place in (3, 1, 4, 2, 0)]):
        assert _high(_played(order, [worn(), SCALE_2])) == set()


def _played(entries: Sequence[tuple[int, str, str, str]], registry: list[dict[str, Any]]) -> Output:
    sent = [
        frame([measurement(minute, vital, value, unit)], 1000 + place, seq=place)
        for place, (minute, vital, value, unit) in enumerate(entries)
    ]
    return replay_frames(sent, registry)


def _high(output: Output) -> set[str]:
    return {alert["group"] for alert in of_type(output, "alert") if alert["priority"] == "high"}


def test_an_answer_a_minute_later_judges_the_saturation_again_and_says_the_scale() -> None:
    """97 % on oxygen is red for a patient who should have 88 to 92.

    No answer had reported oxygen before.
    """
    ward = Ward(SCALE_2)
    for minutes in (0, 5):
        assert [
            each
            for each in ward.now("oxygen_saturation", "97", minutes)
            if each.group == "vital_signs"
        ] == []
    told = ward.send(6, (6, "oxygen_flow", "2", "L/min"))
    (alert,) = {each.id: each for each in told if each.group == "vital_signs"}.values()
    assert (alert.title, alert.now[0].newest.value) == ("Oxygen saturation high", "97")
    assert "on scale 2, on oxygen" in alert.why[0]


def test_points_are_told_with_the_oxygen_of_their_time() -> None:
    """97 % has three points on oxygen and none on air.

    An answer that comes later does not change the words alone.
    """
    ward = Ward({**SCALE_2, "on_oxygen": True})
    for minutes in (0, 10):
        ward.now("oxygen_saturation", "97", minutes)
    told = ward.send(30, (30, "oxygen_flow", "0", "L/min"))[-1]
    (line,) = (each for each in told.why if each.startswith("NEWS2 is"))
    assert "oxygen saturation 3;" in line
    assert "saturation by scale 2, on oxygen when it was measured" in line
    told = ward.now("oxygen_saturation", "97", 40)[-1]
    (line,) = (each for each in told.why if each.startswith("NEWS2 is"))
    assert "oxygen saturation 3" not in line
    assert "saturation by scale 2, on air;" in line


@pytest.mark.parametrize(("answer", "words"), [("0", "on air"), (None, "oxygen not known")])
def test_what_is_now_and_what_was_before_name_their_oxygen(answer: str | None, words: str) -> None:
    """The same number is too high on oxygen and right on air.

    Without the oxygen the two would read alike.
    """
    ward, late = Ward(SCALE_2), 13 * 60
    ward.send(0, (0, "oxygen_flow", "2", "L/min"))
    for minutes in (5, 15):
        ward.now("oxygen_saturation", "97", minutes)
    if answer is not None:
        ward.send(late - 5, (late - 5, "oxygen_flow", answer, "L/min"))
    told = [
        each for each in ward.now("oxygen_saturation", "97", late) if each.group == "vital_signs"
    ][-1]
    assert told.title == f"Oxygen saturation high, now 97 % ({words})"
    now, before = told.why[0].split(" now; before: ")
    assert now == f"oxygen saturation 97 % (scale 2, {words})"
    assert before.startswith("oxygen saturation 97 %: high, red")
    assert "on scale 2, on oxygen" in before


def test_nobody_asked_is_a_range_that_holds_both() -> None:
    values = [
        (0, "systolic", "120"),
        (0, "heart_rate", "70"),
        (0, "respiratory_rate", "16"),
        (0, "body_temperature", "37.0"),
        (0, "consciousness", "0", "{ACVPU}"),
        (0, "oxygen_saturation", "97"),
    ]
    output = replay_values(values, [SCALE_2])
    score = [each for each in of_type(output, "score") if each["detector"] == "news2"][-1]
    assert (score["score_min"], score["score_max"], score["missing"]) == (0, 5, ["oxygen"])
    assert {alert["group"] for alert in of_type(output, "alert")} == {"settings"}


def test_times_of_the_tables_are_those_of_the_contract() -> None:
    limits = shipped().limits
    assert (limits.row_seconds, limits.dense_seconds, limits.recovery_minutes) == (30, 60, 10)
    assert (
        limits.band_recovery_hours,
        limits.news2_recovery_minutes,
        limits.tier_wait_minutes,
    ) == (4, 60, 15)
    assert START + timedelta(minutes=limits.now_every_minutes) == after(15)
