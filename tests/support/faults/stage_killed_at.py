"""A stage that kills itself with SIGKILL at one point of its nth writing.

Random moments meet these points only by luck. For a writing after the first, the stage writes each
slice by itself: all that waits when it starts might be one writing otherwise.

usage: stage_killed_at.py POINT N STAGE    POINT: among-outputs | before-state | before-ack |
after-ack
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from rpm_stream.app.agents import slices
from rpm_stream.app.agents.slices import SliceWriter
from rpm_stream.app.cli.main import main
from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.consumer import BatchConsumer

Method = Callable[..., Coroutine[Any, Any, Any]]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Call ``die`` the nth time that the point is reached."""

    def __init__(self, count: int) -> None:
        self._left = count
        if count > 1:
            slices.MOST_SLICES = 1

    def __call__(self) -> None:
        self._left -= 1
        if self._left <= 0:
            die()


def arm(point: str, reached: Countdown) -> None:
    """Put the point into the agent's own steps: outputs awaited, state written, batch acked."""
    # given to the producer, not awaited: some are on their topics, some are not
    if point == "among-outputs":
        finish = SliceWriter._write

        async def handed(self: SliceWriter[Any], *arguments: Any) -> None:
            reached()
            await finish(self, *arguments)

        SliceWriter._write = handed
    elif point == "before-state":  # the outputs are on their topics, the state is not
        write = BytesTable.write

        async def interrupted(self: BytesTable, *arguments: Any) -> Any:
            reached()
            return await write(self, *arguments)

        BytesTable.write = interrupted
    elif point == "before-ack":  # outputs and state are written, the commit is not
        after = SliceWriter._write

        async def written(self: SliceWriter[Any], *arguments: Any) -> None:
            await after(self, *arguments)
            reached()

        SliceWriter._write = written
    elif point == "after-ack":  # acked, but not committed
        ack = BatchConsumer.ack

        def acked(self: BatchConsumer, message: Any) -> bool:
            done = ack(self, message)
            reached()
            return done

        BatchConsumer.ack = acked
    else:
        raise SystemExit(f"{point}: no such point")


if __name__ == "__main__":
    arm(sys.argv[1], Countdown(int(sys.argv[2])))
    sys.argv[1:] = ["stage", sys.argv[3]]
    main()
