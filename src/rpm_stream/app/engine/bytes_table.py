"""The table of sealed states. It is written to its changelog in batches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import faust
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from rpm_stream.app.engine.lost import Note, StateLoss, end_for_loss, replaced_end
from rpm_stream.pipeline.held import read_held


class ChangelogValue(NamedTuple):
    """The last record of a key in one changelog partition."""

    blob: bytes
    offset: int
    timestamp: int


class BytesTable(faust.Table):  # type: ignore[misc]
    """Bytes by key on the memory store.

    ``source`` is the topic whose partitions the states belong to. ``places`` holds, by key, the
    offset and the timestamp of its last changelog record.

    ``several`` is for keys that lie in more than one partition, because clients that hash in
    different ways write there. It holds the record of each partition. A held record counts first,
    because its messages wait. Otherwise the newest counts.

    ``ends`` and ``there`` hold what is durable of each changelog partition for certain: its end and
    its keys, whatever other partitions hold of them. ``replaced`` holds the end of a lost changelog
    for which a partition was rebuilt. ``held`` holds the lowest offset of the source from which
    messages are kept (``agents/holding.py``).

    ``on_restored`` is called with the partitions after each recovery, before anything is delivered.
    It is the last moment at which an unusable state has done no harm.
    """

    source = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: dict[bytes, tuple[int, int]] = {}
        self.several: dict[bytes, dict[int, ChangelogValue]] = {}
        self.ends: dict[int, int] = {}
        self.there: defaultdict[int, set[bytes]] = defaultdict(set)
        self.replaced: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.on_restored: Callable[[set[int]], Awaitable[None]] = _nothing_to_look_at

    def apply_records(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Apply changelog records of one partition."""
        for record in records:
            if record.value is None:
                self._drop(record.key, partition)
                if (end := replaced_end(record)) is not None:
                    self.replaced[partition] = max(end, self.replaced.get(partition, -1))
            else:
                self._enter(
                    record.key,
                    partition,
                    ChangelogValue(record.value, record.offset, record.timestamp),
                )
                self._choose(record.key)
        self.ends[partition] = max(self.ends.get(partition, 0), records[-1].offset + 1)

    def _enter(self, key: bytes, partition: int, found: ChangelogValue) -> None:
        """Store the record of a key in a partition, and let it count."""
        where = self.data._key_partition
        if (before := where.get(key)) not in (None, partition) and key not in self.several:
            self.several[key] = {before: ChangelogValue(self.data.data[key], *self.places[key])}
        if key in self.several:
            self.several[key][partition] = found
        self.there[partition].add(key)
        where[key] = partition
        self.places[key] = (found.offset, found.timestamp)
        self.data.data[key] = found.blob

    def _choose(self, key: bytes) -> None:
        """Let the right record of a key in several partitions count, whichever was read last."""
        if found := self.several.get(key):
            self._enter(key, *max(found.items(), key=_weight))

    def _drop(self, key: bytes, partition: int) -> None:
        """Forget the record of a key in a partition."""
        self.there[partition].discard(key)
        found = self.several.get(key, {})
        found.pop(partition, None)
        where = self.data._key_partition
        if where.get(key) == partition:
            del where[key], self.places[key], self.data.data[key]
            self._choose(key)
        if len(found) < 2:
            self.several.pop(key, None)

    def note(self, partition: int) -> Note:
        """Return what is durable of a changelog partition for certain."""
        return Note(
            self.ends.get(partition, 0), len(self.there[partition]), self.held.get(partition)
        )

    def blob(self, key: bytes) -> bytes | None:
        """Return the last written state of ``key``."""
        found: bytes | None = self.data.data.get(key)
        return found

    def keys_of(self, partitions: set[int]) -> list[bytes]:
        """Return all keys in ``partitions``."""
        return [
            key for key, partition in self.data._key_partition.items() if partition in partitions
        ]

    def place_of(self, key: bytes) -> tuple[int | None, int | None]:
        """Return partition and offset of the changelog record that ``key`` was restored from."""
        offset, _ = self.places.get(key, (None, None))
        return self.data._key_partition.get(key), offset

    async def write(self, partition: int, states: Mapping[bytes, bytes]) -> None:
        """Make states durable, then visible. Raises the broker's errors."""
        futures = await self.app.producer.send_all(
            [
                (self.changelog_topic.get_topic_name(), key, blob, partition)
                for key, blob in states.items()
            ]
        )
        stored = await asyncio.gather(*futures)
        for (key, blob), at in zip(states.items(), stored, strict=True):
            self._enter(key, partition, ChangelogValue(blob, at.offset, at.timestamp or 0))
        end = 1 + max((each.offset for each in stored), default=-1)
        if end <= self.ends.get(partition, 0) and stored:
            await self._check_end(partition)
        self.ends[partition] = max(self.ends.get(partition, 0), end)

    async def _check_end(self, partition: int) -> None:
        """Check that the broker still has an earlier write.

        Called when a write got a lower offset than an earlier one, or when the broker gave no
        offset.
        """
        tp = TP(self.changelog_topic.get_topic_name(), partition)
        end = (await self.app.consumer.highwaters(tp)).get(tp)
        if end is not None and end < self.ends[partition]:
            end_for_loss(tp.topic, StateLoss(partition, Note(end, 0), self.note(partition)))


def _weight(found: tuple[int, ChangelogValue]) -> tuple[bool, int]:
    """The rank of a key's record among those of several partitions."""
    return read_held(found[1].blob) is not None, found[1].timestamp


async def _nothing_to_look_at(partitions: set[int]) -> None:
    """Check nothing: the default of a table without an agent."""
