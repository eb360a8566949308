"""Every decision ends in an answer: the alert shows it, or the row says within seconds what
became of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from support.feed.page import Kept
from support.feed.records import alert

from rpm_stream.alert.refusals import FULL
from rpm_stream.app.feed import answers
from rpm_stream.app.feed.progress import Progress
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import Decision, View
from rpm_stream.pipeline.held import hold, opened
from rpm_stream.records import Alert, Transition

KEY = "00000000-0000-4000-8000-000000000001"
OPEN = alert(KEY, "p", "high", title="Oxygen low")
LOOKS = 12  # of two seconds each; PENDING_FOR is over then


class Watched(Kept):
    """The feed, and a watcher that looks every two seconds.

    ``behind``: what waits has waited for so long.
    """

    def __init__(self, *alerts: Alert) -> None:
        super().__init__(*alerts)
        self.behind: timedelta | None = timedelta()

    def progress(self) -> Progress:
        now = self.now()
        upto = None if self.behind is None else now - self.behind
        return Progress(
            status="current", judged_up_to=upto, checked_at=now, lag={}, workers={"g": 1}
        )

    def decide(self, kind: ActionKind, **fields: Any) -> None:
        decision = Decision(action=kind, who="N. Adeyemi", reason="looked at", **fields)

        async def decide() -> None:
            await self.service.decide(KEY, decision)
            await asyncio.sleep(0)  # the broker's answer is noted

        asyncio.run(decide())

    def look(self, times: int = 1) -> View:
        for _ in range(times):
            self.ahead += timedelta(seconds=2)
            answers.look(self.state, self.progress())
        return self.service.view(self.state.alerts[KEY])

    def come(self, **step: Any) -> None:
        """A record of the alert comes from the judge."""
        before = self.state.alerts[KEY]
        given = {
            "at": self.now(),
            "state": before.state,
            "priority": before.priority,
            "reason": "",
            **step,
        }
        changed = msgspec.structs.replace(
            before,
            state=given["state"],
            updated_at=given["at"],
            history=(*before.history, Transition(**given)),
        )
        self.state.put_alert(changed)


def test_one_that_the_judge_knows_nothing_of_is_told_and_can_be_ended() -> None:
    kept = Watched(OPEN)
    kept.decide("acknowledge")
    assert (kept.look().answer, kept.look().unconfirmed) == (None, False)
    view = kept.look(LOOKS)
    assert view.answer is not None
    assert ("keeps nothing of this alert" in view.answer, view.unconfirmed) == (True, False)
    assert kept.actions[-1].listed is None
    kept.decide("resolve")
    assert kept.actions[-1].listed == OPEN
    kept.come(state="resolved", who="N. Adeyemi", event="resolved")
    assert (kept.look().pending, kept.state.unkept) == (None, set())


def test_what_the_judge_carries_out_is_confirmed_and_nothing_else_is_said() -> None:
    kept = Watched(OPEN)
    kept.decide("acknowledge")
    kept.look(2)
    kept.come(state="acknowledged", who="N. Adeyemi", event="acknowledged")
    view = kept.look(LOOKS)
    assert (view.pending, view.answer, kept.state.unkept) == (None, None, set())


@pytest.mark.parametrize("behind", [timedelta(minutes=5), None])
def test_nothing_is_said_of_what_may_not_have_been_judged_yet(behind: timedelta | None) -> None:
    """A dead or slow worker has not refused anything; the page says that it is behind, and this
    is unconfirmed.
    """
    kept = Watched(OPEN)
    kept.behind = behind
    kept.decide("acknowledge")
    view = kept.look(LOOKS * 2)
    assert (view.answer, view.unconfirmed, kept.state.unkept) == (None, True, set())
    kept.behind = timedelta()
    assert kept.look(LOOKS).answer is not None


def test_each_step_waits_for_the_one_before() -> None:
    """Ingest has passed it on first; the judge has to come to where that stood, not only to
    where the decision did.
    """
    kept = Watched(OPEN)
    kept.decide("acknowledge")
    kept.look()
    pending = kept.state.pending[KEY]
    assert (pending.forwarded_at is not None, pending.answer) == (True, None)
    # the judge stands at what was there then
    kept.behind = kept.now() - (pending.forwarded_at or kept.now())
    kept.ahead += timedelta(seconds=60)
    kept.behind += timedelta(seconds=60)
    answers.look(kept.state, kept.progress())
    assert kept.state.pending[KEY].judged_at is None


def test_a_refusal_that_the_history_says_already_is_an_answer() -> None:
    kept = Watched(OPEN)
    kept.come(
        who="N. Adeyemi", event="refused", reason="resolve refused: its values have not been back"
    )
    kept.decide("resolve")
    view = kept.look(LOOKS)
    assert view.answer == answers.WORDS["refused"]
    assert kept.state.unkept == set()


RESOLVE, SNOOZE = (
    "resolve refused: its values have not been back",
    "snooze refused: a high alert stays",
)


@pytest.mark.parametrize(
    ("steps", "is_answer"),
    [
        ([("M. Keller", "refused", RESOLVE)], True),  # the judge says it once, to whomever
        ([("N. Adeyemi", "refused", RESOLVE), ("M. Keller", "refused", SNOOZE)], True),
        ([("N. Adeyemi", "refused", RESOLVE), ("rpm-stream", "raised", "")], True),
        ([("M. Keller", "refused", FULL)], True),
        ([("N. Adeyemi", "refused", SNOOZE)], False),
        ([("N. Adeyemi", "commented", RESOLVE)], False),
        ([("N. Adeyemi", "refused", RESOLVE), ("M. Keller", "commented", "looked at")], False),
    ],
)
def test_a_refusal_of_something_else_is_no_answer(
    steps: list[tuple[str, Any, str]], is_answer: bool
) -> None:
    kept = Watched(OPEN)
    for who, event, reason in steps:
        kept.come(who=who, event=event, reason=reason)
    kept.decide("resolve")
    assert kept.look(LOOKS).answer == answers.WORDS["refused" if is_answer else "unkept"]
    assert kept.state.unkept == (set() if is_answer else {KEY})


def test_of_a_patient_who_is_held_it_is_kept_and_answered_when_that_is_mended() -> None:
    kept = Watched(OPEN)
    held = opened("p", 0, hold(7, OPEN.opened_at, "damaged", b""))
    kept.state.put_alert(held)
    kept.decide("acknowledge")
    view = kept.look(LOOKS)
    assert (view.answer, kept.state.unkept) == (answers.WORDS["kept"], set())
    kept.state.put_alert(msgspec.structs.replace(held, state="resolved"))
    assert kept.look().answer is None
    kept.come(state="acknowledged", who="N. Adeyemi", event="acknowledged")
    assert kept.look(LOOKS).pending is None


def test_the_alert_that_says_so_itself_is_answered_at_once_and_never_kept() -> None:
    held = opened("p", 0, hold(7, OPEN.opened_at, "damaged", b""))
    assert not answers.is_held(held, [held, OPEN])
    assert answers.is_held(OPEN, [held, OPEN])
    assert not answers.is_held(msgspec.structs.replace(OPEN, patient="q"), [held])


def test_a_decision_that_the_broker_has_not_taken_has_no_answer() -> None:
    kept = Watched(OPEN)
    kept.decide("acknowledge")
    pending = replace(kept.state.pending[KEY], stored_at=None)
    assert answers.after(pending, OPEN, kept.progress(), held=False) is pending
