"""A fair queue of waiting records.

The keys take turns, some records at a time, so that no key waits behind another's backlog.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from aiokafka.structs import ConsumerRecord

Delivery = TypeVar("Delivery")


class QueuedRecord(NamedTuple, Generic[Delivery]):
    """A record, and the delivery that it came with."""

    delivery: Delivery
    record: ConsumerRecord


class Turns(Generic[Delivery]):
    """Waiting records by key. The records of one key keep their order."""

    def __init__(self, at_once: int) -> None:
        """``at_once`` is the size in bytes of values that ends a key's turn."""
        self._at_once = at_once
        self._ring: deque[Hashable] = deque()  # keys that have something waiting, next first
        self._queues: dict[Hashable, deque[QueuedRecord[Delivery]]] = {}

    def __bool__(self) -> bool:
        return bool(self._ring)

    def add(self, key: Hashable, waiting: Iterable[QueuedRecord[Delivery]]) -> None:
        """Put records of ``key`` behind its waiting ones.

        A key without waiting records comes after all others.
        """
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self._ring.append(key)
        queue.extend(waiting)

    def clear(self) -> None:
        """Drop all waiting records."""
        self._ring.clear()
        self._queues.clear()

    def take(self, most: int) -> list[QueuedRecord[Delivery]]:
        """Take a turn of each key, round and round, until the values have ``most`` bytes.

        Takes at least one record if any waits.
        """
        found: list[QueuedRecord[Delivery]] = []
        size = 0
        while self._ring and size < most:
            key = self._ring.popleft()
            queue = self._queues[key]
            end = size + min(self._at_once, most - size)
            while queue and size < end:
                found.append(queue.popleft())
                size += len(found[-1].record.value or b"")
            if queue:
                self._ring.append(key)
            else:
                del self._queues[key]
        return found
