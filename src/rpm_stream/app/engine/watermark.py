"""Tracks delivered and acked batches to find the highest offset that is safe to commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from aiokafka.structs import ConsumerRecord

# Bytes of values. A compressed fetch may hold many times that, and would be acked late.
BATCH_BYTES = 1024 * 1024


class Batch:
    """Delivered records of a partition, with their last offset and whether they are done."""

    __slots__ = ("acked", "last")

    def __init__(self, last: int) -> None:
        self.last = last
        self.acked = False


class Watermark:
    """The delivered batches of one partition, in order.

    ``commit`` is the end of the contiguous acked ones.
    """

    def __init__(self) -> None:
        self.batches: deque[Batch] = deque()
        self.commit: int | None = None

    @property
    def unacked(self) -> int:
        """The number of batches that are not done, wherever they stand."""
        return sum(not batch.acked for batch in self.batches)

    def settle(self) -> None:
        """Move ``commit`` over the batches that are done."""
        while self.batches and self.batches[0].acked:
            self.commit = self.batches.popleft().last + 1


def parts(records: list[ConsumerRecord]) -> Iterator[list[ConsumerRecord]]:
    """Split the records, in order, into parts whose values have about ``BATCH_BYTES``."""
    start = size = 0
    for end, record in enumerate(records, 1):
        size += len(record.value or b"")
        if size >= BATCH_BYTES or end == len(records):
            yield records[start:end]
            start = end
            size = 0
