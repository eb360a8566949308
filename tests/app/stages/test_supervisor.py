"""The supervisor: what ends comes back, what is wrongly set ends all, and nothing outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from rpm_stream.app.kafka import topics
from rpm_stream.app.runtime.end import EXIT_AWAY
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.app.stages import restarts, supervisor
from rpm_stream.app.stages.demo import free_ports
from rpm_stream.app.stages.supervisor import StageProcess, supervise

NOTES_ITSELF = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); "
WAITS = NOTES_ITSELF + "import signal; signal.pause()"


def stage(folder: Path, code: str, name: str = "one") -> StageProcess:
    """A child that leaves a file named by its process id in ``folder``."""
    folder.mkdir(exist_ok=True)
    return StageProcess(name, [sys.executable, "-c", code, str(folder)], {})


def started(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def alive(process: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return not state.stdout.startswith("Z") and bool(state.stdout)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(supervisor, "GRACE_SECONDS", 1.0)


@pytest.mark.asyncio
async def test_a_killed_stage_comes_back_and_the_others_go_on(tmp_path: Path) -> None:
    stop = asyncio.Event()
    one, two = stage(tmp_path / "one", WAITS), stage(tmp_path / "two", WAITS, "two")
    running = asyncio.create_task(supervise([one, two], stop))
    await until(lambda: bool(started(tmp_path / "one") and started(tmp_path / "two")))
    [first], [other] = started(tmp_path / "one"), started(tmp_path / "two")
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(started(tmp_path / "one")) == 2)
    assert started(tmp_path / "two") == [other]
    stop.set()
    assert await running == 0
    assert not any(map(alive, [*started(tmp_path / "one"), other]))


TELLS = "from rpm_stream.app.runtime.ready import tell_ready; tell_ready(); tell_ready(); "


def open_files() -> int:
    """Of this process, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.mark.asyncio
async def test_a_stage_is_ready_when_it_says_so_and_again_after_each_start(tmp_path: Path) -> None:
    stop = asyncio.Event()
    silent, telling = (
        stage(tmp_path / "one", WAITS),
        stage(tmp_path / "two", NOTES_ITSELF + TELLS + WAITS, "two"),
    )
    running = asyncio.create_task(supervise([silent, telling], stop))
    await until(lambda: bool(started(tmp_path / "one")))
    await asyncio.wait_for(telling.ready.wait(), 30)
    assert not silent.ready.is_set()
    before = open_files()
    for restart in (2, 3, 4):
        assert telling.process is not None
        telling.process.kill()
        await until(lambda restart=restart: len(started(tmp_path / "two")) == restart)  # type: ignore[misc]
        await asyncio.wait_for(telling.ready.wait(), 30)
    assert open_files() == before
    stop.set()
    assert await running == 0


@pytest.mark.asyncio
async def test_a_stage_that_tells_and_ends_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 60.0)
    stop = asyncio.Event()
    one = stage(tmp_path / "one", TELLS + NOTES_ITSELF + "sys.exit(70)")
    running = asyncio.create_task(supervise([one], stop))
    await until(lambda: one.process is not None and one.process.returncode is not None)
    await asyncio.sleep(0.2)
    assert not one.ready.is_set()
    stop.set()
    assert await running == 0


@pytest.mark.asyncio
async def test_a_wrong_setting_ends_all_with_its_status(tmp_path: Path) -> None:
    """The stage has said its one line: starting it again would only repeat it."""
    wrong = stage(tmp_path / "wrong", NOTES_ITSELF + "sys.exit(2)")
    right = stage(tmp_path / "right", WAITS, "two")
    assert await asyncio.wait_for(supervise([right, wrong], asyncio.Event()), 30) == 2
    assert len(started(tmp_path / "wrong")) == 1
    assert not any(map(alive, started(tmp_path / "right")))


@pytest.mark.asyncio
async def test_the_same_status_of_one_that_ran_before_is_tried_again(tmp_path: Path) -> None:
    """Its settings were right once; what is wrong now (a topic that is missing) may be mended
    beside it.
    """
    (tmp_path / "one").mkdir()
    code = (
        NOTES_ITSELF + "n = len(os.listdir(sys.argv[1])); sys.exit({1: 70, 2: 2}[n]) if n < 3 else"
        " signal.pause()"
    )
    stop = asyncio.Event()
    running = asyncio.create_task(
        supervise([stage(tmp_path / "one", "import signal; " + code)], stop)
    )
    await until(lambda: len(started(tmp_path / "one")) == 3)
    stop.set()
    assert await running == 0


@pytest.mark.asyncio
async def test_a_broker_that_goes_away_during_the_first_start_ends_nothing(tmp_path: Path) -> None:
    """It ended the whole worker with status 2, as a wrong setting does; nobody was judged from
    then on.
    """
    (tmp_path / "one").mkdir()
    code = f"sys.exit({EXIT_AWAY}) if len(os.listdir(sys.argv[1])) == 1 else signal.pause()"
    stop = asyncio.Event()
    one = stage(tmp_path / "one", f"import signal; {NOTES_ITSELF}{code}")
    running = asyncio.create_task(supervise([one], stop))
    await until(lambda: len(started(tmp_path / "one")) == 2)
    stop.set()
    assert await running == 0


@pytest.mark.asyncio
async def test_a_crash_loop_backs_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is twice the last, up to the longest."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.4)
    pauses: list[float] = []

    class Log:
        def warning(self, _event: str, *, pause_seconds: float, **_facts: object) -> None:
            pauses.append(pause_seconds)

    monkeypatch.setattr(supervisor, "log", Log())
    stop = asyncio.Event()
    running = asyncio.create_task(
        supervise([stage(tmp_path / "one", NOTES_ITSELF + "sys.exit(70)")], stop)
    )
    await until(lambda: len(pauses) >= 5)
    stop.set()
    await running
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.4, 0.4]


@pytest.mark.asyncio
async def test_a_stage_that_does_not_end_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    stop = asyncio.Event()
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        + NOTES_ITSELF
        + "\nwhile 1: signal.pause()"
    )
    running = asyncio.create_task(supervise([stage(tmp_path / "one", deaf)], stop))
    await until(lambda: bool(started(tmp_path / "one")))
    began = time.monotonic()
    stop.set()
    assert await running == 0
    assert time.monotonic() - began < 10
    assert not any(map(alive, started(tmp_path / "one")))


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child that its parent is gone"
)
@pytest.mark.asyncio
async def test_no_child_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    code = (
        "import asyncio, sys\nfrom rpm_stream.app.stages.supervisor import StageProcess,"
        " supervise\nasyncio.run(supervise([StageProcess('one', [sys.executable, '-c', sys.argv[1],"
        " sys.argv[2]], {})], asyncio.Event()))"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, WAITS, str(tmp_path / "one")
    )
    await until(lambda: bool(started(tmp_path / "one")))
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(alive, started(tmp_path / "one"))))


# --- what Prometheus sees of a crash loop ---------------------------------------------------------


def restarted(name: str) -> dict[str, float]:
    """The restarts of a stage by exit, those that there were."""
    samples = [sample for metric in restarts.REGISTRY.collect() for sample in metric.samples]
    return {
        sample.labels["exit"]: sample.value
        for sample in samples
        if sample.name == "rpm_stage_restarts_total"
        and sample.labels["stage"] == name
        and sample.value
    }


@pytest.mark.asyncio
async def test_each_end_is_counted_by_its_status(tmp_path: Path) -> None:
    """A stage that lives for an instant is seen by nobody but its supervisor."""
    (tmp_path / "one").mkdir()
    code = (
        "import signal; "
        + NOTES_ITSELF
        + "n = len(os.listdir(sys.argv[1]))\nif n == 1: sys.exit(70)\nif n == 2: sys.exit(65)\nif n"
        " == 3: os.kill(os.getpid(), 9)\nif n == 4: sys.exit(3)\nsignal.pause()"
    )
    stop = asyncio.Event()
    running = asyncio.create_task(supervise([stage(tmp_path / "one", code, "counted")], stop))
    await until(lambda: len(started(tmp_path / "one")) == 5)
    assert restarted("counted") == {"70": 1, "65": 1, "killed": 1, "other": 1}
    stop.set()
    await running
    assert sum(restarted("counted").values()) == 4  # to be stopped is no end by itself


def test_a_stage_that_never_ended_counts_from_nothing() -> None:
    restarts.begin(["fresh"])
    text = generate_latest(restarts.REGISTRY).decode()
    for each in restarts.EXITS:
        assert f'rpm_stage_restarts_total{{exit="{each}",stage="fresh"}} 0.0' in text
    assert "rpm_parts_total" not in text  # nothing that a stage counts


def test_a_port_that_is_taken_keeps_no_stage_from_running(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1] - restarts.PORTS_AFTER
        with capture_logs() as logs:
            restarts.serve(Settings(metrics_port=port, data_dir=tmp_path), ["ingest"])
    assert [entry["event"] for entry in logs] == ["service.restarts_not_shown"]


def test_the_pause_grows_while_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1, 0.2, 0.4 and then the longest: a loop costs little."""
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.4)

    async def story() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(
            supervise([stage(tmp_path / "one", NOTES_ITSELF + "sys.exit(70)")], stop)
        )
        await until(lambda: len(started(tmp_path / "one")) >= 5)
        stop.set()
        await running

    with capture_logs() as logs:
        asyncio.run(story())
    pauses = [entry["pause_seconds"] for entry in logs if "pause_seconds" in entry]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.4]


def test_a_worker_shows_the_restarts_of_a_stage_that_is_dead(kafka: str, tmp_path: Path) -> None:
    """The whole way: the stage's own port answers nobody, and its supervisor's says how often it
    has ended.
    """
    asyncio.run(topics.apply(kafka))
    port = free_ports(25_000, restarts.PORTS_AFTER + 1)
    environment = {
        **os.environ,
        "RPM_METRICS_PORT": str(port),
        "RPM_DATA_DIR": str(tmp_path),
        "RPM_BOOTSTRAP": kafka,
    }
    command = [sys.executable, "-m", "rpm_stream", "worker", "--stages", "ingest"]
    with subprocess.Popen(command, env=environment) as worker:
        try:
            end = time.monotonic() + 60
            while not (children := _children(worker.pid)):
                assert time.monotonic() < end and worker.poll() is None
                time.sleep(0.05)
            os.kill(children[0], signal.SIGKILL)
            while 'rpm_stage_restarts_total{exit="killed",stage="ingest"} 1.0' not in _shown(port):
                assert time.monotonic() < end
                time.sleep(0.1)
        finally:
            worker.terminate()


def _children(process: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def _shown(port: int) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port + restarts.PORTS_AFTER}/metrics").text
    except httpx.TransportError:
        return ""
