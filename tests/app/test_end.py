"""A part of a stage ends when somebody asks for it, or the process ends with it: none lives on
without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from rpm_stream.app.kafka import broker_time, layout
from rpm_stream.app.kafka.broker_time import BrokerTime
from rpm_stream.app.kafka.layout import watch_counts
from rpm_stream.app.runtime import end
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.end import asked_to_end, guarded
from rpm_stream.app.runtime.settings import Settings


class Died(BaseException):
    """The process would have ended."""


@pytest.fixture(autouse=True)
def deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    def died(event: str, *_: Any, **facts: Any) -> None:
        raise Died(f"{event} {facts}")

    monkeypatch.setattr(end, "die", died)


async def raised() -> None:
    raise asyncio.CancelledError


async def lost() -> None:
    """An answer that a client gave up, as aiokafka does when its connection breaks."""
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(answer.cancel)
    await answer


async def child() -> None:
    task = asyncio.create_task(asyncio.sleep(3600))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


async def timed() -> None:
    """A timeout of its own has passed before: that leaves no request behind."""
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
    except TimeoutError:
        await lost()


@pytest.mark.parametrize("work", [raised, lost, child, timed])
def test_a_cancellation_that_nobody_asked_for_ends_the_process(
    work: Callable[[], Awaitable[None]],
) -> None:
    async def story() -> None:
        with pytest.raises(Died, match=r"stage\.task_cancelled .*judging"):
            await asyncio.create_task(guarded(work, "judging"))

    asyncio.run(story())


def test_one_that_somebody_asked_for_ends_the_part_alone() -> None:
    async def story() -> bool:
        task = asyncio.create_task(guarded(lambda: asyncio.sleep(3600), "judging"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(story())


@pytest.mark.parametrize("part", ["partitions", "time"])
def test_what_looks_again_and_again_looks_again(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that drops an answer only delays; and it ends when it is asked to."""
    looks = 0

    async def look(*_: Any) -> None:
        nonlocal looks
        looks += 1
        try:
            await lost()
        finally:
            if asked_to_end():  # a client that cannot say goodbye
                raise KafkaConnectionError

    monkeypatch.setattr(layout, "_watch", look)
    monkeypatch.setattr(layout, "LOOK_SECONDS", 0)
    monkeypatch.setattr(broker_time, "make_topic", look)
    monkeypatch.setattr(broker_time, "EVERY_SECONDS", 0)
    following = BrokerTime(Settings(), Clock(), "judge")
    works: dict[str, Callable[[], Awaitable[None]]] = {
        "partitions": lambda: watch_counts("kafka:9092", "judge", {}),
        "time": following.run,
    }

    async def story() -> bool:
        task = asyncio.create_task(guarded(works[part], part))
        async with asyncio.timeout(10):
            while looks < 5:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(story())
