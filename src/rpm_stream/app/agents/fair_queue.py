"""A fair queue of waiting records.

The keys take turns, some records at a time, so that no key waits behind another's backlog. A key
that had nothing waiting comes first, once in each round, so that a lone record does not wait for a
turn of every backlog. The order follows that of fq_codel (RFC 8290, section 4).
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
        self._new: deque[Hashable] = deque()  # keys whose first turn is not over
        self._ring: deque[Hashable] = deque()  # keys that had a turn; the next comes first
        self._queues: dict[Hashable, deque[QueuedRecord[Delivery]]] = {}
        self._rest: dict[Hashable, int] = {}  # bytes left of a turn that a slice cut short
        self._waiting = 0

    def __bool__(self) -> bool:
        return self._waiting > 0

    def add(self, key: Hashable, waiting: Iterable[QueuedRecord[Delivery]]) -> None:
        """Put records of ``key`` behind its waiting ones."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self._new.append(key)
        before = len(queue)
        queue.extend(waiting)
        self._waiting += len(queue) - before

    def clear(self) -> None:
        """Drop all waiting records."""
        self._new.clear()
        self._ring.clear()
        self._queues.clear()
        self._rest.clear()
        self._waiting = 0

    def take(self, most: int) -> list[QueuedRecord[Delivery]]:
        """Take a turn of each key, round and round, until the values have ``most`` bytes.

        Takes at least one record if any waits.
        """
        found: list[QueuedRecord[Delivery]] = []
        size = 0
        while self._waiting and size < most:
            keys = self._new or self._ring
            key = keys.popleft()
            queue = self._queues[key]
            before = len(found)
            end = size + self._rest.pop(key, self._at_once)
            while queue and size < min(end, most):
                found.append(queue.popleft())
                size += len(found[-1].record.value or b"")
            self._waiting -= len(found) - before
            if queue and size < end:
                self._rest[key] = end - size
                keys.appendleft(key)
            elif queue or keys is self._new:
                # Without waiting records it stays for one round, in which it is not new again.
                self._ring.append(key)
            else:
                del self._queues[key]
        if not self._waiting:
            self.clear()
        return found
