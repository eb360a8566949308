"""Stages as child processes: started together, started again when they end, stopped together."""

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
STEADY_SECONDS = 60.0  # after so long a run the pause begins anew
# at the first start a setting is wrong and starting again would not help; later it was right once
WRONG_USE = 2
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _end_with(parent: int) -> None:
    """In the child: be told to end when the parent is gone, even by SIGKILL (Linux)."""
    os.setpgrp()  # Ctrl-C reaches the supervisor alone, which stops us in order
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)


class Stage:
    """One supervised child."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()  # the child has told that it does its work
        self._starts = 0  # counted at each start and each end

    async def keep(self, stop: asyncio.Event) -> int:
        """Run until ``stop``; the exit status of a stage that cannot be started again with
        sense, else 0.
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
        """The child; ``ready`` is set when it says so over its pipe."""
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
        """The child has told, or has ended without a word; one that has ended meanwhile is not
        ready any more.
        """
        if os.read(hearing, 1) and start == self._starts:
            self.ready.set()
        asyncio.get_running_loop().remove_reader(hearing)
        os.close(hearing)

    async def stop(self) -> None:
        """End it: SIGTERM, after a while SIGKILL."""
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
    """The command of one stage with this interpreter."""
    return [sys.executable, "-m", "rpm_stream", "stage", stage]


async def supervise(stages: Sequence[Stage], stop: asyncio.Event) -> int:
    """Keep all stages running until ``stop``; a stage that is wrongly used ends them all.

    Returns the exit status.
    """
    keepers = [asyncio.create_task(stage.keep(stop)) for stage in stages]
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*keepers, stopped], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await asyncio.gather(*(stage.stop() for stage in stages))
    await asyncio.gather(*keepers)
    return max((task.result() for task in keepers if task in done), default=0)
