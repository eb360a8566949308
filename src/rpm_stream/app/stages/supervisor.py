"""Stages as child processes: started together, restarted when they end, stopped together."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from rpm_stream.app.runtime.ready import READY_FD
from rpm_stream.app.stages import restarts

log = structlog.get_logger()

GRACE_SECONDS = 20.0  # a stage finishes its batch and commits
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
STEADY_SECONDS = 60.0  # after a run of this length the pause starts at FIRST_PAUSE
# At the first start it means a wrong setting, and a restart would not help. Later the setting was
# right once.
WRONG_USE = 2
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _end_with(parent: int) -> None:
    """In the child, request a signal for when the parent is gone, even by SIGKILL (Linux)."""
    os.setpgrp()  # Ctrl-C reaches the supervisor alone, which stops the child in order
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before the request
            os._exit(1)


class StageProcess:
    """One supervised child."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()  # the child has reported that it does its work
        self._starts = 0  # grows at each start and each end

    async def keep(self, stop: asyncio.Event) -> int:
        """Run the child until ``stop``, and return 0.

        Returns the exit status of a child that cannot be restarted with success.
        """
        pause = FIRST_PAUSE
        first = True
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            self.process = await self._started()
            restarts.RUNNING.labels(self.name).set(1)
            status = await self.process.wait()
            self._starts += 1
            self.ready.clear()
            restarts.RUNNING.labels(self.name).set(0)
            if stop.is_set():
                return 0
            steady = asyncio.get_running_loop().time() - began > STEADY_SECONDS
            if first and status == WRONG_USE and not steady:
                return status
            first = False
            pause = FIRST_PAUSE if steady else min(pause * 2, LONGEST_PAUSE)
            restarts.RESTARTS.labels(self.name, restarts.exit_of(status)).inc()
            log.warning(
                "service.stage_ended",
                stage=self.name,
                exit_status=status,
                pause_seconds=pause,
            )
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue
        return 0

    async def _started(self) -> asyncio.subprocess.Process:
        """Start and return the child. ``ready`` is set when it reports over its pipe."""
        hearing, telling = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **self._environment, READY_FD: str(telling)},
                pass_fds=(telling,),
                preexec_fn=partial(_end_with, os.getpid()),
            )
        except BaseException:
            os.close(hearing)
            raise
        finally:
            os.close(telling)
        self._starts += 1
        asyncio.get_running_loop().add_reader(hearing, self._heard, hearing, self._starts)
        return process

    def _heard(self, hearing: int, start: int) -> None:
        """Note the report of the child, or the end of its pipe without one.

        A child that has ended meanwhile is no longer ready.
        """
        if os.read(hearing, 1) and start == self._starts:
            self.ready.set()
        asyncio.get_running_loop().remove_reader(hearing)
        os.close(hearing)

    async def stop(self) -> None:
        """End the child with SIGTERM, and after a while with SIGKILL."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def stage_command(stage: str) -> list[str]:
    """Return the command of one stage with this interpreter."""
    return [sys.executable, "-m", "rpm_stream", "stage", stage]


async def supervise(stages: Sequence[StageProcess], stop: asyncio.Event) -> int:
    """Keep all stages running until ``stop``. A wrongly used stage ends them all.

    Returns the exit status.
    """
    keepers = [asyncio.create_task(stage.keep(stop)) for stage in stages]
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*keepers, stopped], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.gather(*(stage.stop() for stage in stages))
    await asyncio.gather(*keepers)
    return max((task.result() for task in keepers if task in done), default=0)
