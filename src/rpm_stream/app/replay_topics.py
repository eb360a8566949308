"""A window of the broker's topics through the pure replay, and what differs from what the topics hold.

It reads and computes; it never writes to a topic, but for ``publish_observations``, which a person asks for after
looking at the differences. That writes Observations alone: an alert that only the corrected run gives is told to the
person who runs it, and rings nowhere.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Literal

from aiokafka.structs import ConsumerRecord

from rpm_stream.app.names import ACTIONS, FRAMES, READINGS
from rpm_stream.app.received import frame_message
from rpm_stream.app.topic_window import Progress, Spans, reaching, records, window
from rpm_stream.pipeline.replay import Line, Replay
from rpm_stream.records import Record

Stage = Literal["ingest", "judge"]
SOURCES: dict[Stage, str] = {"ingest": FRAMES, "judge": READINGS}


class Asked(Record, frozen=True, kw_only=True):
    """Which window: records from [since, until) by their times on the broker (None: all that is there).

    ``stage`` "ingest" begins with frames, "judge" with readings in the order of record. ``warm_up`` before the window
    is replayed for its state alone: what it causes is not told.
    """

    bootstrap: str
    since: datetime | None = None
    until: datetime | None = None
    stage: Stage = "ingest"
    warm_up: timedelta = timedelta()


async def replayed(asked: Asked, run: Replay, progress: Progress) -> AsyncIterator[Line]:
    """The lines of a window. Raises UsageError when the broker is away or lacks a topic."""
    source = SOURCES[asked.stage]
    first = asked.since and asked.since - asked.warm_up
    async with reaching(asked.bootstrap, (source, ACTIONS)) as broker:
        spans = {
            **await window(broker, source, first, asked.until),
            **await window(broker, ACTIONS, first, asked.until),
        }
    begin = 0.0 if asked.since is None else asked.since.timestamp() * 1000
    async for record in _in_order(asked, spans, progress):
        for line in _applied(run, record):
            if record.timestamp >= begin:
                yield line
    for line in run.finish(asked.until):
        yield line


async def _in_order(asked: Asked, spans: Spans, progress: Progress) -> AsyncIterator[ConsumerRecord]:
    """Frames or readings, and decisions, by the times at which the broker got them; of a partition in its order."""
    if asked.stage == "judge":  # a patient's readings and decisions lie in partitions of one number
        for number in sorted({tp.partition for tp in spans}):
            async for record in _merged(asked, {tp: s for tp, s in spans.items() if tp.partition == number}, progress):
                yield record
        return
    async for record in _merged(asked, spans, progress):
        yield record


async def _merged(asked: Asked, spans: Spans, progress: Progress) -> AsyncIterator[ConsumerRecord]:
    async with AsyncExitStack() as stack:
        streams = []
        for tp, span in spans.items():
            if span[0] < span[1]:
                broker = await stack.enter_async_context(reaching(asked.bootstrap))
                streams.append(_one_by_one(records(broker, {tp: span}, progress)))
        heads: list[tuple[int, str, int, int, ConsumerRecord]] = []

        async def push(number: int) -> None:
            record = await anext(streams[number], None)
            if record is not None:
                heapq.heappush(heads, (record.timestamp, record.topic, record.partition, number, record))

        for number in range(len(streams)):
            await push(number)
        while heads:
            *_, number, record = heapq.heappop(heads)
            yield record
            await push(number)


async def _one_by_one(batches: AsyncIterator[list[ConsumerRecord]]) -> AsyncIterator[ConsumerRecord]:
    async for batch in batches:
        for record in batch:
            yield record


def _applied(run: Replay, record: ConsumerRecord) -> Iterable[Line]:
    """What one record causes; a decision or message that cannot be read causes nothing, as in the service."""
    if record.topic == FRAMES:
        return run.frame(frame_message(record))
    return run.message(record.value or b"")
