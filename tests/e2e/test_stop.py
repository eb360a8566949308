"""A stage that is stopped ends soon and with 0, whatever it asks its consumer's thread meanwhile.

That thread ends before the tasks that ask it. Here they ask all the time, and not once in seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


def started(stage: str, service: Service) -> tuple[subprocess.Popen[bytes], int]:
    """Return the process of a stage that asks all the time, and the pipe where it reports."""
    launcher = service.folder / "asking.py"
    launcher.write_text(ASKING, encoding="utf-8")
    reports, end = os.pipe()
    with service.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(launcher), stage],
            env={**service.environment, READY_FD: str(end), "RPM_INSTANCE": "a"},
            pass_fds=[end],
            stderr=log,
            stdout=log,
        )
    os.close(end)
    return process, reports


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_asks_all_the_time_ends_with_0(
    number: signal.Signals, service: Service
) -> None:
    for _ in range(ROUNDS):
        stages = {stage: started(stage, service) for stage in ("ingest", "judge")}
        for _, reports in stages.values():
            os.read(reports, 1)  # empty when the stage has ended: its status shows below
            os.close(reports)
        time.sleep(0.5)  # the questions have begun
        for process, _ in stages.values():
            process.send_signal(number)
        ends = {}
        for stage, (process, _) in stages.items():
            try:
                ends[stage] = process.wait(SOON_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                ends[stage] = f"not within {SOON_SECONDS} s"
        said = service.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert ends == {"ingest": 0, "judge": 0}, said
