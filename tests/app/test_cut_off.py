"""What is cut off before its end is no answer: exit 2 with one line, a defect 70 with its
traceback, never 1.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.command_line import one_line, run

from rpm_stream.app.kafka import clients
from rpm_stream.app.kafka.range_reader import reaching
from rpm_stream.app.runtime.errors import UsageError

FAIL = (
    "import asyncio, sys\n"
    "from rpm_stream.app.cli import main as entry\n"
    "def fail(): raise {error}\n"
    "entry._run = fail\n"
    "entry.main()\n"
)


def test_a_command_that_is_cancelled_is_one_line_and_no_answer(tmp_path: Path) -> None:
    ran = run(folder=tmp_path, code=FAIL.format(error="asyncio.CancelledError"))
    assert "run it again" in one_line(ran)


def test_a_defect_keeps_its_traceback_and_is_no_answer(tmp_path: Path) -> None:
    ran = run(folder=tmp_path, code=FAIL.format(error="RuntimeError('a defect')"))
    assert (ran.returncode, ran.stdout) == (70, "")
    assert ran.stderr.startswith("Traceback") and "RuntimeError: a defect" in ran.stderr


class Client:
    """A client of Kafka that connects, and no more."""

    def __init__(self, **_: Any) -> None:
        self.stopped = False

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    close = stop


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AIOKafkaConsumer", Client)
    monkeypatch.setattr(clients, "AIOKafkaAdminClient", Client)


@pytest.mark.usefixtures("connected")
def test_a_read_that_the_client_cancels_is_an_error_of_the_broker() -> None:
    async def read() -> None:
        async with reaching("kafka:9092"):
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            answer.cancel()  # as aiokafka does with what waits when it gives its connection up
            await answer

    with pytest.raises(UsageError, match="kafka:9092 does not answer any more"):
        asyncio.run(read())


@pytest.mark.usefixtures("connected")
def test_a_read_that_somebody_cancels_is_cancelled() -> None:
    async def read() -> None:
        async with reaching("kafka:9092"):
            await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
