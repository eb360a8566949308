"""What a task hears that asks the consumer's thread: an answer, a loss, or nothing in a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from faust.types import TP

from rpm_stream.app.engine.thread import Thread

pytestmark = pytest.mark.asyncio

ONE = TP("rpm.frames", 3)
Question = Callable[..., Awaitable[dict[TP, int]]]


class Asked:
    """A thread whose app is in a given state, and what its questions met."""

    def __init__(self, *, stopped: bool = False, crashed: bool = False) -> None:
        self.app = SimpleNamespace(should_stop=stopped or crashed, crashed=crashed)
        self.thread = Thread.__new__(Thread)
        self.thread.app = self.app
        self.questions = 0

    def answers(self, error: BaseException | None = None, stops: bool = False) -> Question:
        """A question that is answered, or lost by ``error``, as the app begins to stop."""

        async def question(*tps: TP) -> dict[TP, int]:
            self.questions += 1
            self.app.should_stop = self.app.should_stop or stops
            if error is not None:
                raise error
            return dict.fromkeys(tps, 7)

        return question


async def waits(asking: Awaitable[dict[TP, int]]) -> bool:
    """Whether the task has no answer and ends at once when it is cancelled."""
    task = asyncio.ensure_future(asking)
    done, _ = await asyncio.wait({task}, timeout=0.05)
    if done:
        task.result()
        return False
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    return task.cancelled()


LOST = [asyncio.CancelledError(), RuntimeError("Event loop is closed")]


async def test_it_is_answered() -> None:
    asked = Asked()
    assert await asked.thread.answer(asked.answers(), [ONE]) == {ONE: 7}


async def test_in_a_stop_nothing_is_asked() -> None:
    asked = Asked(stopped=True)
    assert await waits(asked.thread.answer(asked.answers(), [ONE]))
    assert asked.questions == 0


@pytest.mark.parametrize("lost", LOST, ids=["cancelled", "closed"])
async def test_what_a_stop_has_lost_ends_with_the_stop(lost: BaseException) -> None:
    asked = Asked()
    assert await waits(asked.thread.answer(asked.answers(lost, stops=True), [ONE]))


@pytest.mark.parametrize("crashed", [False, True], ids=["at work", "after a crash"])
@pytest.mark.parametrize("lost", LOST, ids=["cancelled", "closed"])
async def test_any_other_loss_is_raised(lost: BaseException, crashed: bool) -> None:
    """After a crash the app may wait for ever before it cancels its tasks."""
    asked = Asked(crashed=crashed)
    with pytest.raises(type(lost)):
        await asyncio.wait_for(asked.thread.answer(asked.answers(lost), [ONE]), 5)


async def test_a_task_that_was_cancelled_before_does_not_wait() -> None:
    asked = Asked(stopped=True)

    async def swallows() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asked.thread.answer(asked.answers(), [ONE])

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done
    assert task.cancelled()
