"""Measures lag, and ends a process that is assigned partitions, behind, and makes no progress.

Faust has no such rule.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from aiokafka.errors import KafkaError
from faust.types import TP

from rpm_stream.app.engine.application import BatchApp
from rpm_stream.app.runtime.end import EXIT_STUCK, die
from rpm_stream.app.runtime.metrics import COMMIT_AGE, LAG

EVERY_SECONDS = 2.0
UNKNOWN = TP("unknown", 0)
STUCK_SECONDS = 60.0  # six session timeouts; a rebalance or a slow broker is over by then


async def watch(app: BatchApp, stage: str) -> None:
    """Measure lag for ever, and end the process when the consumer is stuck."""
    app.pulse.start()
    # for each partition that is behind: its position, and since when it is unchanged
    moved: dict[TP, tuple[int | None, float]] = {}
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        lags = await _lags(app)
        now_at = app.consumer.applied_positions()
        now = monotonic()
        behind = {tp: now_at.get(tp) for tp, lag in lags.items() if lag}
        moved = {
            tp: moved[tp] if tp in moved and moved[tp][0] == at else (at, now)
            for tp, at in behind.items()
        }
        LAG.labels(stage).set(sum(lags.values()))
        age = max((now - since for _, since in moved.values()), default=0.0)
        COMMIT_AGE.labels(stage).set(age)
        if age > STUCK_SECONDS:
            die("engine.not_consuming", EXIT_STUCK, stage=stage, lag=sum(lags.values()))


async def _lags(app: BatchApp) -> dict[TP, int]:
    """Return the lag by partition.

    A rebalance that lasts, or a broker that cannot answer, counts as lag.
    """
    if app.rebalancing or app.in_recovery:
        return {UNKNOWN: 1}
    try:
        return dict(await app.consumer.lags())
    except (KafkaError, OSError, TimeoutError):
        return {UNKNOWN: 1}
