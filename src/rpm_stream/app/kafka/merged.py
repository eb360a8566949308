"""Reads spans of several partitions in the order of time.

After a growth, the records of a key lie in more than one partition.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.range_reader import ReportProgress, Span, Spans, reaching, records


class Reader:
    """Opens a consumer for each span of a partition. ``stack`` closes them."""

    def __init__(self, bootstrap: str, stack: AsyncExitStack, progress: ReportProgress) -> None:
        self._bootstrap = bootstrap
        self._stack = stack
        self._progress = progress

    async def one(self, tp: TopicPartition, span: Span) -> AsyncIterator[ConsumerRecord]:
        """Yield the records of one partition."""
        if span[0] < span[1]:
            broker = await self._stack.enter_async_context(reaching(self._bootstrap))
            async for batch in records(broker, {tp: span}, self._progress):
                for record in batch:
                    yield record

    async def merged(self, spans: Spans) -> AsyncIterator[ConsumerRecord]:
        """Yield the records of several partitions by their times on the broker.

        The records of one partition keep their order.
        """
        streams = [self.one(tp, span) for tp, span in spans.items()]
        heads: list[tuple[int, int, ConsumerRecord]] = []
        for number in range(len(streams)):
            await _push(heads, streams, number)
        while heads:
            _, number, record = heapq.heappop(heads)
            yield record
            await _push(heads, streams, number)


async def _push(
    heads: list[tuple[int, int, ConsumerRecord]],
    streams: list[AsyncIterator[ConsumerRecord]],
    number: int,
) -> None:
    record = await anext(streams[number], None)
    if record is not None:
        heapq.heappush(heads, (record.timestamp, number, record))
