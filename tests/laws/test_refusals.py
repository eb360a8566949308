"""Each cause of a refusal has one code.

A record of an older release, which has only the sentence, gives the code too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from rpm_stream.alert.refusals import FULL, SENTENCES, refused_words, refuses
from rpm_stream.app.agents.hold_notices import STAYS
from rpm_stream.publish.old_life import typed
from rpm_stream.records import ActionName, Cause, Priority, Transition

AT = datetime(2026, 3, 1, tzinfo=UTC)
DECISIONS: tuple[ActionName, ...] = tuple(
    name for name in get_args(ActionName) if name not in ("void", "adopt")
)
# Every cause with its sentence; two have no line in the table.
ALL: dict[Cause, str] = {**SENTENCES, "ends_by_itself": STAYS}


def refused(reason: str, asked: ActionName | None = None, cause: Cause | None = None) -> Transition:
    return Transition(
        at=AT,
        state="open",
        priority="high",
        who="nurse",
        reason=reason,
        event="refused",
        asked=asked,
        cause=cause,
    )


def test_every_cause_has_a_sentence() -> None:
    assert {*ALL, "no_room"} == set(get_args(Cause))


@pytest.mark.parametrize("asked", DECISIONS)
@pytest.mark.parametrize("cause", ALL)
def test_an_old_sentence_gives_its_code(asked: ActionName, cause: Cause) -> None:
    for priority in get_args(Priority):
        words = refused_words(asked, ALL[cause].format(priority=priority, hours=8))
        opened = Transition(
            at=AT, state="open", priority="high", who="", reason="low", event="opened"
        )
        (_, step) = typed((opened, refused(words)))
        assert (step.asked, step.cause, step.reason) == (asked, cause, words)


def test_a_full_history_refuses_whatever_is_asked() -> None:
    steps = typed((refused(FULL),))
    assert steps[0].cause == "no_room"
    assert all(refuses(steps, asked) for asked in DECISIONS)


def test_a_persons_words_are_no_refusal() -> None:
    """A person's words are never parsed, even if they are the service's own sentence."""
    words = refused_words("resolve", SENTENCES["no_reason"])
    step = Transition(
        at=AT, state="open", priority="high", who="nurse", reason=words, event="commented"
    )
    assert typed((step,)) == (step,)
    assert not refuses((step,), "resolve")


def test_a_typed_step_is_not_read() -> None:
    """The code counts, whatever the sentence is: it may be reworded or translated."""
    step = refused("zu spät", "snooze", "end_past")
    assert typed((step,)) == (step,)
    assert refuses((step,), "snooze") and not refuses((step,), "resolve")
