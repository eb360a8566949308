"""A stage that is stopped ends soon and with 0, whatever it asks its consumer's thread meanwhile.

That thread ends before the tasks that ask it. Here they ask all the time, and not once in seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from support.kafka.service import Service, running

from rpm_stream.app.runtime.ready import READY_FD

ROUNDS = 2  # for each signal
SOON_SECONDS = 20.0  # a stop takes 1.1 s; with questions that go on it took 40 and more
ASKING = """
import sys
from rpm_stream.app.agents import ticks
from rpm_stream.app.cli.main import main
from rpm_stream.app.engine import watch

watch.EVERY_SECONDS = ticks.POLL_SECONDS = 0.01
sys.argv[1:] = ["stage", sys.argv[1]]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("stop")) as made:
        yield made


def start(stage: str, service: Service) -> int:
    """Start a stage that asks all the time, and return the pipe where it reports."""
    launcher = service.folder / "asking.py"
    launcher.write_text(ASKING, encoding="utf-8")
    reports, end = os.pipe()
    service.start(stage, command=[str(launcher)], more={READY_FD: str(end)}, pass_fds=[end])
    os.close(end)
    return reports


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_asks_all_the_time_ends_with_0(
    number: signal.Signals, service: Service
) -> None:
    for _ in range(ROUNDS):
        for reports in [start(stage, service) for stage in ("ingest", "judge")]:
            os.read(reports, 1)  # empty when the stage has ended: its status shows below
            os.close(reports)
        time.sleep(0.5)  # the questions have begun
        for process in service.processes.values():
            process.send_signal(number)
        ends: dict[str, int | str] = {}
        for name, process in service.processes.items():
            try:
                ends[name] = process.wait(SOON_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                ends[name] = f"not within {SOON_SECONDS} s"
        service.processes.clear()
        said = service.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert ends == {"ingest-a": 0, "judge-a": 0}, said
