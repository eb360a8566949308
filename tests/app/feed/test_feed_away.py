"""With the broker away a decision is kept and told; it is sent once, and its late end disturbs
nobody.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError
from support.feed.page import Kept, answer_of, ask, asked, opened, until, until_seen
from support.feed.records import alert

from rpm_stream.app.feed import service as service_module
from rpm_stream.app.feed.consumer import Actions
from rpm_stream.app.feed.read_model import PENDING_FOR
from rpm_stream.app.feed.service import KEPT, Decision, Unanswered
from rpm_stream.app.kafka import clients
from rpm_stream.records import Action

KEY = "00000000-0000-4000-8000-000000000001"
MEDIUM = alert(KEY, "p", "medium", title="Glucose low")
OTHER = alert("00000000-0000-4000-8000-000000000002", "q", "medium", title="Pulse high")
DECISION = Decision(action="comment", who="N. Adeyemi", reason="calling")
WORDS = f"{KEPT[:1].upper()}{KEPT[1:]}"


@pytest.fixture(autouse=True)
def nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of a test is not five seconds."""
    monkeypatch.setattr(service_module, "ANSWER_S", 0.05)


def away() -> Kept:
    """A service whose broker is away, with two alerts."""
    kept = Kept(MEDIUM, OTHER)
    kept.is_away = True
    return kept


def shown(kept: Kept) -> tuple[str | None, bool]:
    """What the row says to be on its way, and whether it asks to try again."""
    view = kept.service.view(kept.state.alerts[KEY])
    return view.pending, view.unconfirmed


def test_what_the_broker_has_not_taken_is_told_and_asks_nobody_to_try_again() -> None:
    async def decide() -> None:
        kept = away()
        with pytest.raises(Unanswered):
            await kept.service.decide(KEY, DECISION)
        kept.ahead += 2 * PENDING_FOR
        assert shown(kept) == ("comment", False)
        kept.sent.set_result(None)
        await asyncio.sleep(0)
        assert shown(kept) == ("comment", False)
        kept.ahead += PENDING_FOR
        assert shown(kept) == ("comment", True)

    asyncio.run(decide())


def test_what_the_broker_never_takes_asks_to_try_again() -> None:
    async def decide() -> None:
        kept = away()
        with pytest.raises(Unanswered):
            await kept.service.decide(KEY, DECISION)
        kept.sent.set_exception(KafkaError())
        await asyncio.sleep(0)
        assert shown(kept) == ("comment", True)

    asyncio.run(decide())


def test_a_client_is_told_that_it_is_kept() -> None:
    kept = away()
    answer = asyncio.run(
        answer_of(kept, f"/api/alerts/{KEY}/comment", {"who": "N. Adeyemi", "reason": "calling"})
    )
    assert (answer.status_code, answer.json()) == (503, {"detail": KEPT})
    assert len(kept.actions) == 1


def test_a_decision_is_sent_once_however_often_it_is_pressed() -> None:
    async def press() -> list[Action]:
        kept = away()
        async with opened(kept) as user:
            send = await asked(user, "Glucose low", "Acknowledge", "Acknowledge this alert")
            for _ in range(2):
                send()
                user.find("Your name").trigger("keydown.enter")
            await until_seen(user, WORDS)
            send()
            user.find("Your name").trigger("keydown.enter")
            await user.should_see("Close")
        return kept.actions

    assert len(asyncio.run(press())) == 1


def test_the_late_end_of_a_decision_leaves_another_question_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_module, "ANSWER_S", 30.0)

    async def press() -> None:
        kept = away()
        async with opened(kept) as user:
            send = await asked(user, "Glucose low", "Acknowledge", "Acknowledge this alert")
            send()
            await until(lambda: len(kept.actions) == 1)
            await until_seen(user, "Acknowledging for N. Adeyemi…")
            ask(user, "Snooze")
            await until_seen(user, "Snooze this alert")
            kept.sent.set_exception(KafkaError())
            await until_seen(user, "Acknowledging is not confirmed; try again")
            await user.should_not_see("It could not be stored. Please try again.")
            await user.should_see("Snooze this alert")

    asyncio.run(press())


def test_a_broker_that_was_never_there_keeps_nothing_and_says_so() -> None:
    """What is not entered is not sent later: it may be tried again without being there twice."""

    async def send() -> None:
        actions = Actions("127.0.0.1:9", "rpm.actions")
        now = Kept().now()
        action = Action(patient="p", alert=KEY, action="comment", who="n", reason="r", at=now)
        with pytest.raises(KafkaConnectionError):
            await actions.send(action)
        await actions.stop()

    asyncio.run(send())


class Producer:
    """Stands in for aiokafka's: the first that is made loses what it is given, as after a lost
    leader.
    """

    made: ClassVar[list[Producer]] = []

    def __init__(self, **_: Any) -> None:
        self.made.append(self)
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if len(self.made) == 1:
            sent.set_exception(LeaderNotAvailableError())
        else:
            sent.set_result(None)
        return sent


def test_after_a_lost_decision_the_next_goes_out_by_a_new_producer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lost one left a gap in the old one's numbers: the broker refuses all that it sends
    from then on.
    """
    monkeypatch.setattr(clients, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(Producer, "made", [])
    action = Action(patient="p", alert="a", action="acknowledge", who="nurse", at=datetime.now(UTC))

    async def decide() -> None:
        actions = Actions("nowhere:9", "rpm.actions")
        with pytest.raises(LeaderNotAvailableError):
            await (await actions.send(action))
        await asyncio.sleep(0)
        await (await actions.send(action))
        await asyncio.sleep(0)
        assert [producer.stopped for producer in Producer.made] == [True, False]
        await actions.stop()

    asyncio.run(decide())
