"""The process of the embedded broker: Java under its guard (``guard.py``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from rpm_stream.app.broker import guard as broker_guard
from rpm_stream.app.runtime.private import UMASK

STOP_SECONDS = broker_guard.STOP_SECONDS + 5.0


class GuardedJava:
    """Runs Java under a guard, which ends it when this process ends. Not thread-safe.

    Java writes to the file ``log``, whose folder is its working directory. It can be launched again
    after ``stop`` or ``kill``.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._guard: subprocess.Popen[str] | None = None
        self._java = 0

    @property
    def running(self) -> bool:
        """Whether the process lives, also while it is paused."""
        return self._guard is not None and self._guard.poll() is None

    def launch(self, command: list[str], lock: IO[str]) -> None:
        """Start ``command`` under a guard.

        The guard inherits ``lock``. So the folder stays locked until Java has ended, whatever
        happens to this process.
        """
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", broker_guard.__file__, str(self._log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(lock.fileno(),),
            start_new_session=True,
            umask=UMASK,
            cwd=self._log.parent,
        )
        assert self._guard.stdout is not None  # for the type checker: it is a pipe
        self._java = int(self._guard.stdout.readline() or 0)

    def stop(self) -> None:
        """Stop Java cleanly. Does nothing when it is not running."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()  # the lifeline
        self._wait_ended()

    def kill(self) -> None:
        """Send SIGKILL, and return when the process has ended."""
        self._signal(signal.SIGKILL)
        self._wait_ended()

    def pause(self) -> None:
        """Send SIGSTOP.

        Returns when all threads are stopped, because the signal alone only asks for that.
        """
        self._signal(signal.SIGSTOP)
        while self.running and not _stands_still(self._java):
            time.sleep(0.001)

    def resume(self) -> None:
        """Send SIGCONT after ``pause``."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            raise RuntimeError("the broker is not running")
        os.kill(self._java, number)

    def _wait_ended(self) -> None:
        if self._guard is None:
            return
        try:
            self._guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None


def _stands_still(process: int) -> bool:
    """Whether all threads of the process are stopped.

    Without /proc this cannot be seen, and the signal is taken as enough.
    """
    if sys.platform != "linux":
        return True
    for thread in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            state = thread.read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
        if state not in "TtZX":
            return False
    return True
