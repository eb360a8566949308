"""When a stage does its work: it tells its supervisor, once, over a pipe that it inherits.

For an agent that is when its partitions are assigned, their states restored and the registry read; for the feed when
it answers; for the sink when its partitions are assigned. A stage that nobody listens to tells nobody.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpm_stream.app.engine.application import BatchApp
    from rpm_stream.app.registry_reader import RegistryReader

READY_FD = "RPM_READY_FD"  # the file descriptor to write to; the supervisor sets it, no person does
LOOK_SECONDS = 0.05


def tell_ready() -> None:
    """Tell the supervisor that this stage does its work now; the second time it does nothing."""
    given = os.environ.pop(READY_FD, None)
    if given is None:
        return
    try:
        os.write(int(given), b"\n")
        os.close(int(given))
    except (OSError, ValueError):  # nobody listens any more
        return


def serves(app: BatchApp) -> bool:
    """Whether partitions are assigned, their states restored, and their records fetched."""
    consumer = app.consumer
    if consumer.revoked or app.rebalancing or app.in_recovery or app.should_stop or not consumer.flow_active:
        return False
    return app.tables.recovery.completed.is_set() and bool(consumer.applied_positions())


async def tell_when_serving(app: BatchApp, reader: RegistryReader) -> None:
    """Tell it once the agent of ``app`` reads its partitions and knows the registry."""
    await reader.ready.wait()
    while not serves(app):
        await asyncio.sleep(LOOK_SECONDS)
    tell_ready()
