"""Reports that an agent does its work.

That is so when its partitions are assigned, their states are restored and the registry is read.
"""

from __future__ import annotations

import asyncio

from rpm_stream.app.engine.application import BatchApp
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime.collector import settle_collector
from rpm_stream.app.runtime.ready import LOOK_SECONDS, tell_ready


def serves(app: BatchApp) -> bool:
    """Whether partitions are assigned, their states restored, and their records fetched."""
    consumer = app.consumer
    if (
        consumer.revoked
        or app.rebalancing
        or app.in_recovery
        or app.should_stop
        or not consumer.flow_active
    ):
        return False
    return app.tables.recovery.completed.is_set() and bool(consumer.applied_positions())


async def tell_when_serving(app: BatchApp, reader: RegistryReader) -> None:
    """Report once the agent of ``app`` reads its partitions and knows the registry."""
    await reader.ready.wait()
    while not serves(app):
        await asyncio.sleep(LOOK_SECONDS)
    settle_collector()  # all is loaded by now: code, tables, registry, states
    tell_ready()
