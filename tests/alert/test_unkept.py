"""An alert of which only the record is left changes by people alone, and can be ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from support.feed.records import alert
from support.tables import rows
from support.ward import Ward, after

from rpm_stream.alert.unkept import decided
from rpm_stream.records import Action, Alert

KEY = "00000000-0000-4000-8000-000000000001"
LISTED = alert(KEY, "p", "high", title="Oxygen low")
KINDS = [
    one for one in get_args(Action.__annotations__["action"]) or () if one not in ("void", "adopt")
]


def act(action: Any, on: Alert = LISTED, **fields: Any) -> Action:
    return Action(
        patient="p", alert=on.id, action=action, who="nurse", at=after(60), reason="seen", **fields
    )


@pytest.mark.parametrize(
    ("kind", "state", "event"),
    rows("""
        acknowledge  acknowledged  acknowledged
        see          open          seen
        comment      open          commented
        assign       open          assigned
        resolve      resolved      resolved
        withdraw     resolved      withdrawn
        snooze       open          refused
        new_normal   open          refused
    """),
)
def test_each_decision_has_an_answer_in_the_record(kind: str, state: str, event: str) -> None:
    changed = decided(LISTED, act(kind, to="M. Keller"), after(60))
    assert changed is not None
    assert (changed.state, changed.history[-1].event, changed.updated_at) == (
        state,
        event,
        after(60),
    )
    assert changed.history[:-1] == LISTED.history
    assert decided(changed, act(kind, to="M. Keller"), after(61)) is None or kind in (
        "comment",
        "assign",
    )


def test_one_that_must_stay_says_why_and_says_it_once() -> None:
    changed = decided(LISTED, act("resolve"), after(60), "it ends by itself")
    assert changed is not None
    assert (changed.state, changed.history[-1].reason) == (
        "open",
        "resolve refused: it ends by itself",
    )
    assert decided(changed, act("resolve"), after(61), "it ends by itself") is None


def test_what_is_over_is_not_over_any_more_when_somebody_has_ended_it() -> None:
    import msgspec

    changed = decided(msgspec.structs.replace(LISTED, over=True), act("resolve"), after(60))
    assert changed is not None
    assert (changed.over, changed.state) == (False, "resolved")


def test_the_judge_ends_an_alert_it_keeps_no_more_by_the_record_that_comes_with_the_decision() -> (
    None
):
    """And by nothing else: without the record, with another one, or with what ends nothing, it
    changes nothing.
    """
    ward = Ward()
    assert ward.act("resolve", KEY) == ()
    [ended] = ward.act("resolve", KEY, listed=LISTED)
    assert (ended.id, ended.state, ended.history[-1].who) == (KEY, "resolved", "nurse")
    assert ward.act("acknowledge", KEY, listed=LISTED) == ()
    assert ward.act("resolve", "another", listed=LISTED) == ()
    assert ward.act("resolve", KEY, listed=alert(KEY, "somebody-else", "high")) == ()


def test_what_the_judge_keeps_is_decided_on_as_it_is_kept() -> None:
    """The record that comes along may be old."""
    ward = Ward()
    [opened] = ward.now("oxygen_saturation", "90", 0)
    [changed] = ward.act(
        "withdraw", opened.id, 5, reason="wrong", listed=alert(opened.id, "p", "low", title="Old")
    )
    assert (changed.title, changed.state) == (opened.title, "resolved")
    assert changed.updated_at - opened.updated_at <= timedelta(minutes=5)
