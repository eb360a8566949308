"""A stage begins with what it can do without; what it cannot do without ends it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from structlog.testing import capture_logs

from rpm_stream.app.kafka import broker_time
from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.kafka.layout import Layout
from rpm_stream.app.runtime.clock import Clock, wall
from rpm_stream.app.runtime.errors import BrokerAway, UsageError
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.stages import stage


class Begun(Exception):
    """The stage has come as far as its application."""


class Producer:
    """A broker that answers as ``error`` says; without one it stamps that it is an hour later."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def __aenter__(self) -> Producer:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send_and_wait(self, *_: Any, **__: Any) -> Any:
        if isinstance(self._error, TimeoutError):
            await asyncio.sleep(3600)
        if self._error is not None:
            raise self._error
        return type("Answer", (), {"timestamp_type": 1, "timestamp": (time.time() + 3600) * 1000})


def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    """The clock that ``run_agent`` hands to the application."""
    given: list[Clock] = []

    def app(*arguments: Any) -> None:
        given.append(arguments[-1])
        raise Begun

    async def check(*_: Any) -> Any:
        return None, Layout({}, False)

    monkeypatch.setattr(stage, "check", check)
    monkeypatch.setattr(stage, "_begin", lambda *_: None)
    monkeypatch.setattr(stage, "_app", app)
    with pytest.raises(Begun):
        stage.run_agent(Settings(data_dir=tmp_path), "judge")
    return given[0]


@pytest.mark.parametrize("where", ["topic", "message"])
@pytest.mark.parametrize(
    "error",
    [
        UsageError("no right to create"),
        BrokerAway("away"),
        TopicAuthorizationFailedError(),
        KafkaConnectionError(),
        TimeoutError(),
    ],
)
def test_an_agent_begins_whatever_the_broker_says_of_its_clock(
    where: str, error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a right on the topic, or with its leader away: patients are judged all the same,
    and it is told.
    """

    async def make_topic(*_: Any) -> None:
        if where == "topic":
            raise error if isinstance(error, UsageError) else BrokerAway("away")

    monkeypatch.setattr(broker_time, "make_topic", make_topic)
    monkeypatch.setattr(broker_time, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(BrokerTime, "_producer", lambda _: Producer(error))
    with capture_logs() as logs:
        clock = started(monkeypatch, tmp_path)
    assert abs(clock.now() - wall()) < timedelta(seconds=1)
    assert [(one["log_level"], one["stage"]) for one in logs] == [("error", "judge")]
    assert logs[0]["event"] == "clock.broker_time_unknown"
    assert "rpm-clock" in logs[0]["hint"]


def test_an_agent_begins_on_the_brokers_time_where_that_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def make_topic(*_: Any) -> None: ...

    monkeypatch.setattr(broker_time, "make_topic", make_topic)
    monkeypatch.setattr(BrokerTime, "_producer", lambda _: Producer(None))
    clock = started(monkeypatch, tmp_path)
    assert timedelta(minutes=59) < clock.now() - wall() < timedelta(minutes=61)


def test_it_is_asked_again_until_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[BaseException | None] = [
        BrokerAway("x"),
        TopicAuthorizationFailedError(),
        UsageError("x"),
        None,
    ]

    async def make_topic(*_: Any) -> None: ...

    monkeypatch.setattr(broker_time, "make_topic", make_topic)
    monkeypatch.setattr(broker_time, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(
        BrokerTime, "_producer", lambda _: Producer(answers.pop(0) if answers else None)
    )
    clock = Clock()

    async def follow() -> None:
        following = BrokerTime(Settings(), clock, "judge")
        task = asyncio.create_task(following.run())
        async with asyncio.timeout(10):
            await following.known.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(follow())
    assert clock.now() - wall() > timedelta(minutes=59)
