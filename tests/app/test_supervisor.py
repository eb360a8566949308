"""The supervisor: what ends comes back, what is wrongly set ends all, and nothing outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rpm_stream.app import supervisor
from rpm_stream.app.engine.end import EXIT_AWAY
from rpm_stream.app.supervisor import Stage, supervise

NOTES_ITSELF = "import os, pathlib, sys; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); "
WAITS = NOTES_ITSELF + "import signal; signal.pause()"


def stage(folder: Path, code: str, name: str = "one") -> Stage:
    """A child that leaves a file named by its process id in ``folder``."""
    folder.mkdir(exist_ok=True)
    return Stage(name, [sys.executable, "-c", code, str(folder)], {})


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
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
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


TELLS = "from rpm_stream.app.ready import tell_ready; tell_ready(); tell_ready(); "


def open_files() -> int:
    """Of this process, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.mark.asyncio
async def test_a_stage_is_ready_when_it_says_so_and_again_after_each_start(tmp_path: Path) -> None:
    stop = asyncio.Event()
    silent, telling = stage(tmp_path / "one", WAITS), stage(tmp_path / "two", NOTES_ITSELF + TELLS + WAITS, "two")
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
async def test_a_stage_that_tells_and_ends_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Its settings were right once; what is wrong now (a topic that is missing) may be mended beside it."""
    (tmp_path / "one").mkdir()
    code = NOTES_ITSELF + "n = len(os.listdir(sys.argv[1])); sys.exit({1: 70, 2: 2}[n]) if n < 3 else signal.pause()"
    stop = asyncio.Event()
    running = asyncio.create_task(supervise([stage(tmp_path / "one", "import signal; " + code)], stop))
    await until(lambda: len(started(tmp_path / "one")) == 3)
    stop.set()
    assert await running == 0


@pytest.mark.asyncio
async def test_a_broker_that_goes_away_during_the_first_start_ends_nothing(tmp_path: Path) -> None:
    """It ended the whole worker with status 2, as a wrong setting does; nobody was judged from then on."""
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
    running = asyncio.create_task(supervise([stage(tmp_path / "one", NOTES_ITSELF + "sys.exit(70)")], stop))
    await until(lambda: len(pauses) >= 5)
    stop.set()
    await running
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.4, 0.4]


@pytest.mark.asyncio
async def test_a_stage_that_does_not_end_is_killed_after_the_grace_time(tmp_path: Path) -> None:
    stop = asyncio.Event()
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + NOTES_ITSELF + "\nwhile 1: signal.pause()"
    running = asyncio.create_task(supervise([stage(tmp_path / "one", deaf)], stop))
    await until(lambda: bool(started(tmp_path / "one")))
    began = time.monotonic()
    stop.set()
    assert await running == 0
    assert time.monotonic() - began < 10
    assert not any(map(alive, started(tmp_path / "one")))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
@pytest.mark.asyncio
async def test_no_child_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    code = (
        "import asyncio, sys\nfrom rpm_stream.app.supervisor import Stage, supervise\n"
        "asyncio.run(supervise([Stage('one', [sys.executable, '-c', sys.argv[1], sys.argv[2]], {})], asyncio.Event()))"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, WAITS, str(tmp_path / "one"))
    await until(lambda: bool(started(tmp_path / "one")))
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(alive, started(tmp_path / "one"))))
