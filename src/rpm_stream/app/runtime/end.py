"""How an agent's process ends when something is wrong: at once, with one clear record and a
status that says what.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

log = structlog.get_logger()

# EX_SOFTWARE: something of ours or of the broker's; the supervisor starts the stage again
EXIT_CRASHED = 70
EXIT_STATE = (
    # EX_DATAERR: the states of a partition are lost or ruined; a person must act (rpm-stream state
    # rebuild)
    65
)
# EX_TEMPFAIL: assigned, but not consuming; or no member of its group any more, so that another does
# its work
EXIT_STUCK = 75
EXIT_AWAY = 69  # EX_UNAVAILABLE: the broker went away while the stage started


def die(event: str, status: int = EXIT_CRASHED, **facts: object) -> NoReturn:
    """End the process at once, with one clear record: never carry on with the next message."""
    log.error(event, exit_status=status, **facts)
    sys.stderr.flush()
    os._exit(status)


def asked_to_end() -> bool:
    """Whether somebody has cancelled this task. A client that loses its broker cancels what waits
    for an answer: that looks the same to whoever waits, and nobody asked for it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def guarded(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Run ``work`` until this task is cancelled; anything unexpected ends the process, a
    cancellation of what it waits for too.
    """
    try:
        await work()
    except asyncio.CancelledError as error:
        if asked_to_end():
            raise
        die("stage.task_cancelled", task=what, error=type(error).__name__)
    except BaseException as error:  # noqa: BLE001
        # River raises BaseExceptions; whatever it is, the process ends
        sys.stderr.write(traceback.format_exc())
        die("stage.task_failed", task=what, error=type(error).__name__)
