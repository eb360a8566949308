"""An embedded Kafka that ends under the running service is started again; one that cannot be
ends it all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.stages import run
from rpm_stream.app.stages.run import keep_broker, stages_of


class Kafka:
    """As much of a broker as its keeper sees."""

    log = Path("broker.log")

    def __init__(self, *, fails: bool = False) -> None:
        self.running, self.starts, self._fails = False, 0, fails

    def start(self) -> None:
        self.starts += 1
        if self._fails:
            raise UsageError("the port is taken")
        self.running = True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.01)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_it_is_started_each_time_it_has_ended() -> None:
    kafka: Any = Kafka()
    stop = asyncio.Event()
    keeping = asyncio.create_task(keep_broker(kafka, stop))
    await _until(lambda: kafka.starts == 1)
    kafka.running = False
    await _until(lambda: kafka.starts == 2)
    stop.set()
    await keeping
    assert kafka.running


@pytest.mark.asyncio
async def test_one_that_cannot_be_started_ends_the_service_with_its_reason() -> None:
    kafka: Any = Kafka(fails=True)
    stop = asyncio.Event()
    with pytest.raises(UsageError, match="the port is taken"):
        await keep_broker(kafka, stop)
    assert stop.is_set()


def test_each_worker_has_its_own_name_and_all_its_stages_share_it() -> None:
    """One that comes back under its name need not wait for the old one's session to expire."""
    one, two = stages_of(["ingest", "judge"], {}), stages_of(["ingest"], {})
    names = [stage._environment["RPM_INSTANCE"] for stage in (*one, *two)]
    assert names[0] == names[1] != names[2]
    [given] = stages_of(["ingest"], {"RPM_INSTANCE": "pod-0"})
    assert given._environment["RPM_INSTANCE"] == "pod-0"
