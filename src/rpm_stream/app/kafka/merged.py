"""Stretches of several partitions, read in the order of time: those of a key lie in more than
one after a growth.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.kafka.range_reader import Progress, Span, Spans, reaching, records


class Reader:
    """Opens a consumer for each stretch of a partition; ``stack`` closes them."""

    def __init__(self, bootstrap: str, stack: AsyncExitStack, progress: Progress) -> None:
        self._bootstrap = bootstrap
        self._stack = stack
        self._progress = progress

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
    heads: list[tuple[int, int, ConsumerRecord]],
    streams: list[AsyncIterator[ConsumerRecord]],
    number: int,
) -> None:
    record = await anext(streams[number], None)
    if record is not None:
        heapq.heappush(heads, (record.timestamp, number, record))
