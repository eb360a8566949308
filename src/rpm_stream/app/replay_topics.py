"""A window of the broker's topics through the pure replay, and what differs from what the topics hold.

It reads and computes; it never writes to a topic, but for ``publish_observations``, which a person asks for after
looking at the differences. That writes Observations alone: an alert that only the corrected run gives is told to the
person who runs it, and rings nowhere.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Literal

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.names import FRAMES, READINGS
from rpm_stream.app.replay_order import Frames, OrderOfRecord, Told
from rpm_stream.app.topic_window import Progress, Span, Spans, reaching, records, window
from rpm_stream.pipeline.replay import Line, Replay
from rpm_stream.records import Record

Stage = Literal["ingest", "judge"]
SOURCES: dict[Stage, tuple[str, ...]] = {"ingest": (FRAMES, READINGS), "judge": (READINGS,)}


class Asked(Record, frozen=True, kw_only=True):
    """Which window: records from [since, until) by their times on the broker (None: all that is there).

    ``stage`` "ingest" begins with frames, "judge" with readings; both in the order of record, which rpm.readings has.
    ``warm_up`` before the window is replayed for its state alone: what it causes is not told.
    """

    bootstrap: str
    since: datetime | None = None
    until: datetime | None = None
    stage: Stage = "ingest"
    warm_up: timedelta = timedelta()


async def replayed(asked: Asked, run: Replay, progress: Progress) -> AsyncIterator[Line]:
    """The lines of a window. Raises UsageError when the broker is away or lacks a topic."""
    first = asked.since and asked.since - asked.warm_up
    topics = SOURCES[asked.stage]
    async with reaching(asked.bootstrap, topics) as broker:
        spans = {topic: await window(broker, topic, first, asked.until) for topic in topics}
    begin = 0.0 if asked.since is None else asked.since.timestamp() * 1000
    async with AsyncExitStack() as stack:
        reader = Reader(asked.bootstrap, stack, progress)
        told = (
            _from_readings(reader, run, spans[READINGS])
            if asked.stage == "judge"
            else _from_frames(reader, run, spans[FRAMES], spans[READINGS])
        )
        async for stamp, line in told:
            if stamp >= begin:
                yield line
    for line in run.finish(asked.until):
        yield line


class Reader:
    """Opens a consumer for each stretch of a partition; ``stack`` closes them."""

    def __init__(self, bootstrap: str, stack: AsyncExitStack, progress: Progress) -> None:
        self._bootstrap, self._stack, self._progress = bootstrap, stack, progress

    async def one(self, tp: TopicPartition, span: Span) -> AsyncIterator[ConsumerRecord]:
        """The records of one partition."""
        if span[0] < span[1]:
            broker = await self._stack.enter_async_context(reaching(self._bootstrap))
            async for batch in records(broker, {tp: span}, self._progress):
                for record in batch:
                    yield record

    async def merged(self, spans: Spans) -> AsyncIterator[ConsumerRecord]:
        """Several partitions by the records' times on the broker; each in its order."""
        streams = [self.one(tp, span) for tp, span in spans.items()]
        heads: list[tuple[int, int, ConsumerRecord]] = []
        for number in range(len(streams)):
            await _push(heads, streams, number)
        while heads:
            _, number, record = heapq.heappop(heads)
            yield record
            await _push(heads, streams, number)


async def _push(
    heads: list[tuple[int, int, ConsumerRecord]], streams: list[AsyncIterator[ConsumerRecord]], number: int
) -> None:
    record = await anext(streams[number], None)
    if record is not None:
        heapq.heappush(heads, (record.timestamp, number, record))


async def _from_readings(reader: Reader, run: Replay, spans: Spans) -> AsyncIterator[Told]:
    """A partition after the other: no patient is in two. What cannot be read causes nothing, as in the service."""
    for tp, span in sorted(spans.items()):
        async for record in reader.one(tp, span):
            for line in run.message(record.value or b""):
                yield record.timestamp, line


async def _from_frames(reader: Reader, run: Replay, frames: Spans, order: Spans) -> AsyncIterator[Told]:
    """Frames, in the order in which rpm.readings has what came of them."""
    made = {tp.partition: Frames(reader.one(tp, span)) for tp, span in frames.items()}
    replay = OrderOfRecord(run, made, len(order))
    async for record in reader.merged(order):
        async for told in replay.follow(record):
            yield told
    async for told in replay.finish():
        yield told
