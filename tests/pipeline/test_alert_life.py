"""What people and time do to an alert: snooze, assign, comment, withdraw, new normal,
escalation.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from support.frames import stamp
from support.replaying import replay_values
from support.ward import Ward, after

from rpm_stream.records import Alert


def last_step(alert: Alert) -> tuple[str, str | None, str, str]:
    """The state, the event, who, and in which words."""
    step = alert.history[-1]
    return alert.state, step.event, step.who, step.reason


def of_glucose(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """Those of the vital: from one side to the other within minutes also tells of the device."""
    return tuple(alert for alert in alerts if alert.group == "glucose")


def medium() -> tuple[Ward, Alert]:
    """A patient with an open medium alert: low glucose."""
    ward = Ward()
    (alert,) = ward.now("glucose", "65", 0)
    assert (alert.priority, alert.state) == ("medium", "open")
    return ward, alert


def high() -> tuple[Ward, Alert]:
    ward = Ward()
    (alert,) = ward.now("glucose", "50", 0)
    assert (alert.priority, alert.state) == ("high", "open")
    return ward, alert


def test_a_snooze_ends_by_time_at_its_end_whenever_that_is_noticed() -> None:
    for noticed in (40, 90):
        ward, alert = medium()
        (snoozed,) = ward.act("snooze", alert.id, 10, until=after(40), reason="eating")
        assert last_step(snoozed) == ("snoozed", "snoozed", "nurse", "eating")
        assert (snoozed.history[-1].until, snoozed.history[-1].direction) == (after(40), None)
        assert ward.tick(39) == ()
        (woken,) = ward.tick(noticed)
        assert last_step(woken) == ("open", "snooze_ended", "rpm-stream", "")
        assert (woken.history[-1].at, woken.updated_at) == (after(40), after(40))
        assert ward.tick(200) == ()


def test_a_reading_notices_the_end_too_so_that_no_tick_is_needed() -> None:
    ward, alert = medium()
    ward.act("snooze", alert.id, 10, until=after(40))
    woken, newer = ward.now("glucose", "66", 50)
    assert (newer.state, newer.now[0].newest.value) == ("open", "66")
    assert (woken.state, woken.history[-1].at) == ("open", after(40))


def test_the_same_again_lets_it_sleep() -> None:
    ward, alert = medium()
    ward.act("snooze", alert.id, 10, until=after(40))
    assert ward.now("glucose", "66", 20) == ()


@pytest.mark.parametrize(
    ("value", "state", "priority"),
    [("50", "open", "high"), ("260", "open", "medium"), ("420", "open", "high")],
)
def test_a_rise_or_the_other_side_opens_a_snoozed_one_at_once(
    value: str, state: str, priority: str
) -> None:
    ward, alert = medium()
    ward.act("snooze", alert.id, 1, until=after(60))
    (told,) = of_glucose(ward.now("glucose", value, 10))
    assert (told.id, told.state, told.priority) == (alert.id, state, priority)
    assert [each.history[-1].reason for each in ward.tick(29)] == []


def both_sides() -> tuple[Ward, Alert]:
    """An open medium alert that has a low and a high glucose."""
    ward, _ = medium()
    (alert,) = of_glucose(ward.now("glucose", "260", 1))
    assert len(alert.why) == 2
    return ward, alert


def test_the_other_side_opens_it_also_when_it_was_known_before() -> None:
    ward, alert = both_sides()
    (snoozed,) = ward.act("snooze", alert.id, 2, until=after(60), direction="low")
    assert (snoozed.history[-1].until, snoozed.history[-1].direction) == (after(60), "low")
    assert [each.state for each in of_glucose(ward.now("glucose", "66", 3))] == ["snoozed"]
    (told,) = of_glucose(ward.now("glucose", "261", 4))
    assert (told.state, told.priority, told.history[-1].event) == ("open", "medium", "reopened")


def test_a_snooze_without_direction_covers_the_sides_that_were_seen() -> None:
    ward, alert = both_sides()
    ward.act("snooze", alert.id, 2, until=after(60))
    assert of_glucose(ward.now("glucose", "261", 3)) == ()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "it does not say until when"),
        ({"until": after(10)}, "its end is past"),
        ({"until": after(10 + 72 * 60 + 1)}, "it would last over 72 hours"),
    ],
)
def test_a_snooze_that_cannot_be_is_refused_with_its_reason(
    fields: dict[str, Any], why: str
) -> None:
    ward, alert = medium()
    (refused,) = ward.act("snooze", alert.id, 10, **fields)
    assert last_step(refused) == ("open", "refused", "nurse", f"snooze refused: {why}")


def test_a_high_alert_cannot_be_snoozed_also_when_it_is_acknowledged() -> None:
    ward, alert = high()
    ward.act("acknowledge", alert.id, 1)
    (refused,) = ward.act("snooze", alert.id, 2, until=after(60))
    assert last_step(refused) == (
        "acknowledged",
        "refused",
        "nurse",
        "snooze refused: high alerts cannot be snoozed",
    )


def test_notes_leave_the_state_and_the_clock_as_they_are() -> None:
    ward, alert = high()
    (assigned,) = ward.act("assign", alert.id, 1, to="dr-7", reason="knows her")
    (said,) = ward.act("comment", alert.id, 2, reason="no answer")
    assert last_step(assigned) == ("open", "assigned", "nurse", "knows her")
    assert assigned.history[-1].assignee == "dr-7"
    assert last_step(said) == ("open", "commented", "nurse", "no answer")
    (escalated,) = ward.tick(31)
    assert escalated.escalation == 1


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("assign", "assign refused: it does not say to whom"),
        ("comment", "comment refused: it says nothing"),
        ("withdraw", "withdraw refused: it does not say why"),
    ],
)
def test_a_note_that_says_nothing_is_refused_aloud(action: str, why: str) -> None:
    ward, alert = high()
    (refused,) = ward.act(action, alert.id, 1)
    assert last_step(refused) == ("open", "refused", "nurse", why)


def test_withdrawing_ends_it_and_says_why() -> None:
    ward, alert = high()
    (ended,) = ward.act("withdraw", alert.id, 1, reason="her husband wore it")
    assert last_step(ended) == ("resolved", "withdrawn", "nurse", "her husband wore it")
    (again,) = ward.now("glucose", "50", 2)
    assert again.id != alert.id


def test_words_without_end_do_not_fill_the_state() -> None:
    ward, alert = high()
    records = [ward.act("comment", alert.id, 1, reason="x" * 1000) for _ in range(30)]
    assert [bool(found) for found in records[:10]] == [True] * 10
    (full,) = next(
        found for found in records if found and found[0].history[-1].reason.startswith("refused")
    )
    assert "no more room" in full.history[-1].reason
    assert records[-1] == ()
    (ended,) = ward.act("withdraw", alert.id, 2, reason="she is fine")
    assert ended.state == "resolved"
    assert sum(len(step.reason) for step in ended.history) < 20_000


@pytest.mark.parametrize(
    ("action", "fields", "why"),
    [
        ("resolve", {}, "not been back inside"),
        ("snooze", {"until": after(99)}, "high alerts cannot be snoozed"),
        ("withdraw", {}, "it does not say why"),
        ("new_normal", {"seen": "medium"}, "it has become high since it was seen"),
    ],
)
def test_a_refusal_is_said_once_however_often_it_is_pressed(
    action: str, fields: dict[str, Any], why: str
) -> None:
    """Said each time it took the room that is kept for people's words."""
    ward, alert = high()
    first, *others = [ward.act(action, alert.id, 1 + press / 100, **fields) for press in range(150)]
    assert why in first[-1].history[-1].reason
    assert others == [()] * 149
    (said,) = ward.act("comment", alert.id, 3, reason="no answer")
    assert last_step(said)[1:] == ("commented", "nurse", "no answer")
    (again,) = ward.act(action, alert.id, 4, **fields)
    assert why in again.history[-1].reason


def test_who_has_looked_is_said_once_for_each_person() -> None:
    ward, alert = high()
    looks = [(who, ward.act("see", alert.id, 1, who=who)) for who in ("nurse", "doctor") * 20]
    assert [who for who, told in looks if told] == ["nurse", "doctor"]
    (escalated,) = ward.tick(31)
    assert escalated.history[-1].event == "escalated"
    assert len(ward.act("see", alert.id, 32, who="doctor")) == 1


def test_presses_in_turns_do_not_fill_a_history_that_is_full() -> None:
    ward, alert = high()
    full_of_words(ward, alert, 1)
    told = [
        ward.act(action, alert.id, 2)
        for _ in range(50)
        for action in ("resolve", "snooze", "comment", "see")
    ]
    resolve, snooze, *others = [found[-1].history[-1].reason for found in told if found]
    assert "not been back inside" in resolve and "no more room" in snooze
    assert others == []


def test_a_resolve_that_cannot_be_is_said_again_when_the_alert_had_opened_again() -> None:
    ward, alert = high()
    assert [each.state for each in ward.act("resolve", alert.id, 1)] == ["acknowledged"] * 2
    assert ward.act("resolve", alert.id, 2) == ()
    assert ward.now("glucose", "34", 20)[-1].history[-1].event == "worse"
    told = ward.act("resolve", alert.id, 21)
    assert [each.history[-1].event for each in told] == ["acknowledged", "refused"]


def test_a_high_alert_that_nobody_acknowledges_escalates_three_times_and_no_more() -> None:
    ward, _ = high()
    assert ward.tick(29.9) == ()
    found = ward.tick(700)
    assert [(each.escalation, each.state, each.history[-1].at) for each in found] == [
        (1, "open", after(30)),
        (2, "open", after(60)),
        (3, "open", after(90)),
    ]
    assert last_step(found[0]) == ("open", "escalated", "rpm-stream", "")
    assert ward.tick(719) == ()


def test_what_is_acknowledged_or_not_high_does_not_escalate() -> None:
    ward, alert = high()
    ward.act("acknowledge", alert.id, 29)
    assert ward.tick(500) == ()
    assert medium()[0].tick(500) == ()


def test_the_wait_begins_with_the_rise_and_again_when_it_is_opened_again() -> None:
    ward = Ward()
    (alert,) = ward.now("heart_rate", "135", 0)
    ward.now("heart_rate", "136", 20)
    assert ward.tick(49) == ()
    (first,) = ward.tick(50)
    assert (first.escalation, first.history[-1].at) == (1, after(50))
    ward.act("acknowledge", alert.id, 55)
    ward.now("oxygen_saturation", "65", 100)
    assert ward.tick(129) == ()
    (second,) = ward.tick(130)
    assert (second.escalation, second.history[-1].at) == (2, after(130))


def test_escalation_needs_no_tick_and_is_the_same_with_one() -> None:
    """CONTRACT 3 and 4: the last record is a function of the order of record, however often time
    was noticed.
    """
    lasts = []
    for ticks in ((), (31, 45, 61, 70)):
        ward, _ = high()
        for minute in ticks:
            ward.tick(minute)
        ward.now("glucose", "51", 75)
        lasts.append(ward.patient.state.episodes["glucose"].alert)
    assert lasts[0] == lasts[1]
    assert lasts[0].escalation == 2


def test_a_replay_escalates_at_the_same_moments() -> None:
    found = replay_values([(0, "glucose", "50"), (45, "glucose", "51")], until=70)
    told = [(each["escalation"], each["updated_at"]) for kind, each in found if kind == "alert"]
    # at 45 the newest value is told
    assert told == [(0, stamp(0)), (1, stamp(30)), (1, stamp(45)), (2, stamp(60))]


def shifted() -> tuple[Ward, Alert, int]:
    """A patient whose pulse has moved from 70 to 85, inside every limit, and the learned low
    alert of it.
    """
    ward, draw = Ward(), random.Random(7)
    for hour in range(300):
        ward.now("heart_rate", str(68 + draw.randrange(5)), hour * 60)
    for hour in range(300, 320):
        if found := ward.now("heart_rate", str(88 + draw.randrange(3)), hour * 60):
            return ward, found[0], hour
    raise AssertionError("the shift was not flagged")


def test_new_normal_ends_what_only_a_detector_holds_and_learning_resumes() -> None:
    ward, alert, hour = shifted()
    assert (alert.priority, alert.rule.split(".")[0]) == ("low", "detector")
    (ended,) = ward.act("new_normal", alert.id, hour * 60 + 1, reason="beta blocker stopped")
    assert last_step(ended) == ("resolved", "new_normal", "nurse", "beta blocker stopped")
    told = [
        ward.now("heart_rate", str(88 + minute % 3), (hour + 1 + minute) * 60)
        for minute in range(60)
    ]
    assert told == [()] * 60
    assert ward.patient.detectors.of["heart_rate"].expected()["heart_rate"][0] > 75
    other, unheard, begun = shifted()
    other.act("resolve", unheard.id, begun * 60 + 1)
    for minute in range(60):
        other.now("heart_rate", str(88 + minute % 3), (begun + 1 + minute) * 60)
    assert other.patient.detectors.of["heart_rate"].expected()["heart_rate"][0] < 75


def test_new_normal_of_a_trend_holds_from_the_next_reading_on() -> None:
    """The words of a trend hold until its next kept value: the same alert once came back a
    minute later.
    """
    ward, opened = Ward(), []
    for day in range(12):
        for hour in (0, 3, 6):
            opened += ward.now("heart_rate", "70" if day < 9 else "86", (day * 24 + hour) * 60)
    (alert,) = {each.id: each for each in opened}.values()
    assert alert.rule.startswith("trend.average")
    now = (11 * 24 + 6) * 60
    assert [last_step(each)[0] for each in ward.act("new_normal", alert.id, now + 1)] == [
        "resolved"
    ]
    assert [ward.now("heart_rate", "86", now + later) for later in (2, 170, 200)] == [()] * 3


def test_a_changed_usual_is_no_thing_of_the_past_because_it_lies_inside_the_limits() -> None:
    """It stays among what is to be looked at for as long as it is listed, whatever the rest of
    its frame says.
    """
    draw, ward, told = random.Random(3), Ward(), []
    for day in range(24):
        values = [str((70 if day < 20 else 78) + draw.randrange(3)) for _ in range(24)]
        told += ward.send(
            (day * 24 + 23) * 60,
            *(((day * 24 + h) * 60, "heart_rate", v) for h, v in enumerate(values)),
        )
    assert [(each.rule.split("@")[0], each.state, each.historical) for each in told] == [
        ("detector.drift.heart_rate", "open", False),
        ("detector.drift.heart_rate", "resolved", False),
    ]


def full_of_words(ward: Ward, alert: Alert, minutes: float) -> None:
    """Comments until this patient's alerts have no more room for any."""
    while (
        ward.act("comment", alert.id, minutes, reason="x" * 1000)[0].history[-1].event != "refused"
    ):
        pass


@pytest.mark.parametrize("seen", [None, "low"])
def test_a_new_normal_that_is_refused_changes_nothing_of_what_is_learned(seen: str | None) -> None:
    """Refused because the alert has become more than was seen, or has no more room for words."""
    ward, alert, hour = shifted()
    risen = ward.now("heart_rate", "135", (hour + 1) * 60)[-1]
    assert (risen.id, risen.priority) == (alert.id, "medium")
    if seen is None:
        full_of_words(ward, alert, (hour + 1) * 60 + 1)
        ward.act("comment", alert.id, (hour + 1) * 60 + 1, reason="no room")
    members = set(ward.patient.state.episodes["vital_signs"].members)
    ward.patient.state.score.days["heart_rate"].old_words = ("70 to 88 in 3 days", "trend")
    ward.act("new_normal", alert.id, (hour + 1) * 60 + 2, seen=seen)
    assert ward.patient.state.score.accepted == {}
    assert set(ward.patient.state.episodes["vital_signs"].members) == members
    assert ward.patient.state.score.days["heart_rate"].old_words == ("70 to 88 in 3 days", "trend")


def test_new_normal_never_ends_a_limit() -> None:
    ward, alert, hour = shifted()
    (joined,) = ward.now("heart_rate", "115", (hour + 1) * 60)
    assert len(joined.why) == 2
    (told,) = ward.act("new_normal", alert.id, (hour + 1) * 60 + 1)
    assert last_step(told)[0] == "open"
    assert len(told.why) == 1
    assert "amber" in told.why[0]
    ward, red = high()
    (still,) = ward.act("new_normal", red.id, 1)
    assert (still.state, still.priority, still.why) == ("open", "high", red.why)


def test_what_a_clock_said_before_is_not_taken_back_by_a_message_from_behind_it() -> None:
    """A tick may stand ahead of the next message's receipt: an alert that is told anew is not
    told as older.
    """
    ward = Ward()
    ward.now("glucose", "65", 0)
    (stale,) = ward.tick(37 * 60)
    assert (stale.stale, stale.updated_at) == (True, after(36 * 60))
    (again,) = ward.send(60, (59, "glucose", "50"))
    assert (again.stale, again.updated_at) == (False, after(36 * 60))


# --- what was seen --------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["resolve", "withdraw", "acknowledge", "new_normal"])
def test_a_decision_about_less_than_it_has_become_is_refused_and_said(action: str) -> None:
    """The click was on its way, or waited for the broker, while the alert became high: nobody
    has seen that.
    """
    ward, alert = medium()
    (worse,) = ward.now("glucose", "50", 5)
    assert (worse.id, worse.priority) == (alert.id, "high")
    (refused,) = ward.act(action, alert.id, 6, reason="fine", seen="medium")
    assert (refused.state, refused.priority) == ("open", "high")
    words = f"{action.replace('_', ' ')} refused: it has become high since it was seen"
    assert last_step(refused)[1:] == ("refused", "nurse", words)
    done = ward.act(action, alert.id, 7, reason="fine", seen="high")[0]
    assert "since it was seen" not in done.history[-1].reason


def test_a_comment_and_an_assignment_hold_whatever_was_seen() -> None:
    ward, alert = medium()
    ward.now("glucose", "50", 5)
    (noted,) = ward.act("comment", alert.id, 6, reason="calls her", seen="medium")
    assert last_step(noted) == ("open", "commented", "nurse", "calls her")


def test_what_has_become_less_than_it_was_seen_is_decided() -> None:
    ward, alert = medium()
    (done,) = ward.act("resolve", alert.id, 6, reason="seen to", seen="high")
    assert done.state == "resolved"
