"""A decision is about the alert as it was seen: what has become worse since is looked at again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from support.feed.page import Kept, answer_of, asked, opened, until, until_seen
from support.feed.records import alert
from support.ward import Ward

from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import Decision, Seen, Worse
from rpm_stream.records import Action, Alert, Event, Transition

KEY = "00000000-0000-4000-8000-000000000001"
MEDIUM = alert(KEY, "p", "medium", title="Glucose low")
HIGH = alert(KEY, "p", "high", title="Oxygen low", why=("Oxygen 84 %.", *MEDIUM.why))
FURTHER = msgspec.structs.replace(MEDIUM, why=(*MEDIUM.why, "Pulse 118 /min."))
SEEN = Seen(priority="medium", why=MEDIUM.why)
FINAL: tuple[ActionKind, ...] = (
    "see",
    "acknowledge",
    "snooze",
    "new_normal",
    "resolve",
    "withdraw",
)


def decided(now: Alert, kind: ActionKind, seen: Seen | None) -> list[str]:
    """What was sent after a decision on what was seen, about an alert that reads as it does now."""
    kept = Kept(now)
    until = kept.now() + timedelta(hours=1)
    decision = Decision(
        action=kind, who="N. Adeyemi", reason="calling", until=until, to="M. Keller", seen=seen
    )
    asyncio.run(kept.service.decide(KEY, decision))
    return [action.action for action in kept.actions]


@pytest.mark.parametrize("kind", FINAL)
@pytest.mark.parametrize(("now", "said"), [(HIGH, "become high"), (FURTHER, "further reason")])
def test_law_3_nothing_worse_than_what_was_seen_is_decided_on(
    now: Alert, said: str, kind: ActionKind
) -> None:
    with pytest.raises(Worse, match=said):
        decided(now, kind, SEEN)


@pytest.mark.parametrize("kind", ["comment", "assign"])
def test_a_word_about_it_always_passes(kind: ActionKind) -> None:
    assert decided(HIGH, kind, SEEN) == [kind]


@pytest.mark.parametrize(
    ("now", "seen"),
    [
        (MEDIUM, SEEN),
        (HIGH, None),
        (HIGH, Seen(priority="high")),
        (FURTHER, Seen(priority="medium")),
        (MEDIUM, Seen(priority="high", why=(*MEDIUM.why, "more"))),
    ],
)
def test_what_is_no_worse_than_what_was_seen_is_decided_on(now: Alert, seen: Seen | None) -> None:
    assert decided(now, "resolve", seen) == ["resolve"]


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        ({"priority": "medium"}, 409),
        ({"priority": "high", "why": [*HIGH.why]}, 202),
        (None, 202),
        ({}, 422),
    ],
)
def test_a_client_may_say_what_it_has_seen(seen: dict[str, object] | None, status: int) -> None:
    kept = Kept(HIGH)
    body = {"who": "N. Adeyemi", "seen": seen}
    assert (
        asyncio.run(answer_of(kept, f"/api/alerts/{KEY}/acknowledge", body)).status_code == status
    )
    assert len(kept.actions) == (status == 202)


def changed(event: Event, minutes: float) -> Alert:
    """The high alert, with a step so many minutes after the record that somebody saw."""
    at = HIGH.updated_at + timedelta(minutes=minutes)
    step = Transition(
        at=at, state="open", priority="high", who="rpm-stream", reason="Oxygen 79 %.", event=event
    )
    return msgspec.structs.replace(HIGH, history=(*HIGH.history, step), updated_at=at)


@pytest.mark.parametrize("kind", FINAL)
@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("worse", "got worse"),
        ("returned", "there again"),
        ("raised", "become high"),
        ("joined", "further reason"),
        ("reopened", "further reason"),
    ],
)
def test_law_3_a_record_that_got_worse_since_is_not_decided_on(
    event: Event, said: str, kind: ActionKind
) -> None:
    kept = Kept(changed(event, 1))
    decision = Decision(action=kind, who="N. Adeyemi", reason="calling", record=HIGH.updated_at)
    with pytest.raises(Worse, match=said):
        asyncio.run(kept.service.decide(KEY, decision))
    assert kept.actions == []


@pytest.mark.parametrize(
    ("event", "minutes", "kind"),
    [
        ("worse", 0, "resolve"),
        ("escalated", 1, "resolve"),
        ("over", 1, "see"),
        ("worse", 1, "comment"),
    ],
)
def test_a_record_that_is_no_worse_is_decided_on_and_named(
    event: Event, minutes: float, kind: ActionKind
) -> None:
    """Not worse: what the record says already, and what changes nothing."""
    kept = Kept(changed(event, minutes))
    decision = Decision(action=kind, who="N. Adeyemi", reason="calling", record=HIGH.updated_at)
    asyncio.run(kept.service.decide(KEY, decision))
    assert [(action.action, action.record) for action in kept.actions] == [(kind, HIGH.updated_at)]


@pytest.mark.parametrize("value", ["255", "150"])
@pytest.mark.parametrize("kind", FINAL)
def test_a_value_that_got_better_since_is_no_further_reason(value: str, kind: ActionKind) -> None:
    """The lines of an alert name the newest values: other words, and nothing worse."""
    ward = Ward()
    (seen,) = ward.now("glucose", "280", 0)
    better = ward.now("glucose", value, 40)[-1]
    assert better.why != seen.why
    kept = Kept(better)
    shown = Seen(priority=seen.priority, why=seen.why)
    decision = Decision(
        action=kind, who="N. Adeyemi", reason="calling", seen=shown, record=seen.updated_at
    )
    decision = msgspec.structs.replace(decision, until=kept.now() + timedelta(hours=1))
    asyncio.run(kept.service.decide(better.id, decision))
    assert [action.action for action in kept.actions] == [kind]


def test_law_3_a_rule_that_joined_since_is_looked_at_first() -> None:
    ward = Ward()
    (seen,) = ward.now("heart_rate", "115", 0)
    joined = ward.now("respiratory_rate", "23", 10)[-1]
    assert (joined.id, joined.priority, joined.history[-1].event) == (
        seen.id,
        seen.priority,
        "joined",
    )
    decision = Decision(action="acknowledge", who="N. Adeyemi", record=seen.updated_at)
    with pytest.raises(Worse, match="further reason"):
        asyncio.run(Kept(joined).service.decide(joined.id, decision))


def test_a_client_may_name_the_record_that_it_has_seen() -> None:
    kept = Kept(changed("worse", 1))
    for record, status in ((HIGH.updated_at, 409), (HIGH.updated_at + timedelta(minutes=1), 202)):
        body = {"who": "N. Adeyemi", "record": record.isoformat()}
        assert asyncio.run(answer_of(kept, f"/api/alerts/{KEY}/see", body)).status_code == status
    bare = {"who": "N. Adeyemi", "record": "2026-07-14T07:00:00"}
    assert asyncio.run(answer_of(kept, f"/api/alerts/{KEY}/see", bare)).status_code == 422
    assert [action.action for action in kept.actions] == ["see"]


def test_law_3_the_dialog_shows_what_an_alert_has_become_before_it_is_resolved() -> None:
    async def resolve() -> list[Action]:
        kept = Kept(MEDIUM)
        async with opened(kept) as user:
            press = await asked(user, "Glucose low", "Acknowledge", "Medium: Glucose low, p")
            kept.state.put_alert(HIGH)
            press()
            await until_seen(user, "High: Oxygen low, p")
            await user.should_see("It has become high since you looked; please look again")
            assert kept.actions == []
            press()
            await until(lambda: bool(kept.actions))
        return kept.actions

    sent = asyncio.run(resolve())
    assert [(action.action, action.record) for action in sent] == [("acknowledge", HIGH.updated_at)]


def test_a_comment_that_was_applied_is_not_shown_as_unconfirmed_whatever_the_clocks_say() -> None:
    """The feed's clock is a minute ahead of the broker's, of which the history has the time."""
    kept = Kept(MEDIUM)
    kept.ahead = timedelta(minutes=1)
    asyncio.run(
        kept.service.decide(KEY, Decision(action="comment", who="N. Adeyemi", reason="calling"))
    )
    assert kept.service.view(kept.state.alerts[KEY]).pending == "comment"
    stamped = kept.actions[0].at - kept.ahead
    step = Transition(
        at=stamped,
        state="open",
        priority="medium",
        who="N. Adeyemi",
        reason="calling",
        event="commented",
    )
    kept.state.put_alert(msgspec.structs.replace(MEDIUM, history=(*MEDIUM.history, step)))
    assert kept.service.view(kept.state.alerts[KEY]).pending is None
