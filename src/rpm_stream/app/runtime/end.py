"""How the process of an agent ends when something is wrong.

It ends at once, with one clear record in the log and an exit status that gives the reason.
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

# EX_SOFTWARE: a failure of the service or of the broker. The supervisor starts the stage again.
EXIT_CRASHED = 70
# EX_DATAERR: the states of a partition are lost or unreadable. A person must act
# (rpm-stream state rebuild).
EXIT_STATE = 65
# EX_TEMPFAIL: the stage is assigned partitions and does not consume them, or it is no longer a
# member of its group and another worker does its work.
EXIT_STUCK = 75
EXIT_AWAY = 69  # EX_UNAVAILABLE: the broker went away while the stage started


def die(event: str, status: int = EXIT_CRASHED, **facts: object) -> NoReturn:
    """End the process at once, with one record in the log.

    The process must never carry on with the next message.
    """
    log.error(event, exit_status=status, **facts)
    sys.stderr.flush()
    os._exit(status)


def asked_to_end() -> bool:
    """Whether this task was cancelled.

    A client that loses its broker cancels the futures of unanswered requests. The waiting code sees
    the same exception then, although its task was not cancelled.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def guarded(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Run ``work`` until this task is cancelled.

    Anything unexpected ends the process. A cancelled future that ``work`` waits for counts as
    unexpected too.
    """
    try:
        await work()
    except asyncio.CancelledError as error:
        if asked_to_end():
            raise
        die("stage.task_cancelled", task=what, error=type(error).__name__)
    except BaseException as error:  # noqa: BLE001
        # River raises BaseExceptions. Whatever it is, the process ends.
        sys.stderr.write(traceback.format_exc())
        die("stage.task_failed", task=what, error=type(error).__name__)
