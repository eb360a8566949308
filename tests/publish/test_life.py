"""An alert's life in words, read from histories that the judge wrote."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ward_for_tests import Ward, after

from rpm_stream.publish import life
from rpm_stream.records import Alert, Direction
from rpm_stream.words import assigned_in, assigned_words, snoozed_in, snoozed_words


def medium() -> tuple[Ward, Alert]:
    """A patient with an open medium alert."""
    ward = Ward()
    (alert,) = ward.now("glucose", "65", 0)
    return ward, alert


def said(alert: Alert) -> list[tuple[str | None, str, str]]:
    """Who, what and why of each step but the first."""
    return [(step.who, step.what, step.why) for step in life.steps(alert)[1:]]


def test_each_step_says_who_what_and_why() -> None:
    ward, alert = medium()
    ward.act("comment", alert.id, 1, reason="calling: no answer")
    ward.act("assign", alert.id, 2, to="dr-7", reason="knows her")
    ward.act("snooze", alert.id, 3, until=after(63), direction="low", reason="eating")
    ward.tick(63)
    ward.act("acknowledge", alert.id, 64, reason="assigned to nobody")
    ward.act("new_normal", alert.id, 65, reason="as ever")
    ward.act("snooze", alert.id, 66)
    ward.now("glucose", "50", 70)
    (last,) = ward.act("withdraw", alert.id, 71, reason="her husband: he wore it")
    assert life.steps(last)[0].what == "Opened at medium priority"
    assert said(last) == [
        ("nurse", "Comment", "calling: no answer"),
        ("nurse", "Assigned to dr-7", "knows her"),
        ("nurse", "Snoozed for 60 minutes, low values only", "eating"),
        (None, "Opened again", "the snooze is over"),
        ("nurse", "Acknowledged", "assigned to nobody"),
        ("nurse", "New normal: learning resumes; the limits stay as they are", "as ever"),
        ("nurse", "Snooze refused", "it does not say until when"),
        (None, "Raised to high and opened again", last.history[-2].reason),
        ("nurse", "Withdrawn", "her husband: he wore it"),
    ]
    assert [step.at for step in life.steps(last)] == [step.at for step in last.history]


def test_what_time_and_readings_do_has_no_person() -> None:
    ward = Ward()
    ward.now("glucose", "50", 0)
    ward.now("glucose", "260", 10)
    (last,) = ward.tick(45)
    assert said(last)[0][:2] == (None, "A further finding")
    assert said(last)[-1] == (None, "Escalated", "nobody has acknowledged it for 30 minutes")


def test_the_last_assignment_holds_and_free_text_assigns_nothing() -> None:
    ward, alert = medium()
    (told,) = ward.act("acknowledge", alert.id, 1, reason="assigned to Mallory")
    assert life.assignee(told) is None
    (told,) = ward.act("comment", alert.id, 2, reason="assigned to Mallory")
    assert life.assignee(told) is None
    ward.act("assign", alert.id, 3, to="M. Keller")
    (told,) = ward.act("assign", alert.id, 4, to="Dr: A: Hart", reason="to: nobody")
    assert life.assignee(told) == "Dr A Hart"
    (told,) = ward.now("glucose", "50", 5)
    assert life.assignee(told) == "Dr A Hart"


@settings(max_examples=20)  # each makes a ward
@example(1, 30.0, None)  # half a minute
@given(st.integers(1, 72 * 60 - 1), st.floats(0, 59), st.sampled_from([None, "low", "high"]))
def test_the_end_of_a_snooze_is_read_back_to_the_minute(
    minutes: int, seconds: float, direction: Direction | None
) -> None:
    ward, alert = medium()
    (told,) = ward.act("snooze", alert.id, 1 - seconds / 60 + 1, until=after(minutes + 2), direction=direction)
    (noted,) = ward.act("comment", alert.id, 1.9, reason="snoozed for 1 minutes")
    for each in (told, noted):
        sleep = life.sleep(each)
        assert sleep is not None
        assert (sleep.until, sleep.direction) == (after(minutes + 2), direction)


def test_what_is_awake_does_not_sleep() -> None:
    ward, alert = medium()
    ward.act("snooze", alert.id, 1, until=after(40))
    (woken,) = ward.tick(40)
    assert life.sleep(woken) is None
    assert life.acknowledgement(woken) is None


@given(st.text(min_size=1, max_size=128), st.text(max_size=50))
def test_an_assigned_name_is_read_back_whatever_it_is(name: str, reason: str) -> None:
    words = assigned_words(name)
    if words:
        assert assigned_in(f"{words}: {reason}" if reason else words) == " ".join(name.replace(":", " ").split())
    else:
        assert not name.replace(":", " ").strip()


@pytest.mark.parametrize("text", ["", "comment: assigned to x", "Assigned to x", "snoozed for x minutes", "snoozed"])
def test_other_words_say_neither(text: str) -> None:
    assert assigned_in(text) is None
    assert snoozed_in(text) is None


@given(st.integers(1, 10_000), st.sampled_from([None, "low", "high"]))
def test_snooze_words_are_read_back(minutes: int, direction: Direction | None) -> None:
    assert snoozed_in(snoozed_words(minutes, direction)) == (minutes, direction)
