"""State: a table of sealed bytes, written to its changelog in batches and restored a fetch at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from rpm_stream.app.engine.lost import Lost, Note, begun_anew, end_if_lost, lost


class BatchRecovery(Recovery):  # type: ignore[misc]
    """Faust's recovery, fed with whole fetches."""

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.clear()  # left set, a second recovery in one process would end with empty state

    def _signal_end(self) -> None:
        if not self.in_recovery:
            self.signal_recovery_end.set()

    def apply_records(self, tp: TP, records: list[ConsumerRecord]) -> None:
        """Apply changelog records that were fetched; says when the partition is complete."""
        if tp in self.active_tps:
            offsets = self.active_offsets
            self._active_events_received_at[tp] = monotonic()
        elif tp in self.standby_tps:
            offsets = self.standby_offsets
            self._standby_events_received_at[tp] = monotonic()
        else:
            return
        seen = offsets.get(tp)
        fresh = [record for record in records if seen is None or record.offset > seen]
        if fresh:
            self.tp_to_table[tp].apply_records(tp.partition, fresh)
            offsets[tp] = fresh[-1].offset
        if self.in_recovery and not self.need_recovery():
            self.flush_buffers()
            self._set_recovery_ended()
            self._signal_end()
            # Faust's own reader of changelogs clears the signal every 5 s; say it once more after that moment.
            asyncio.get_running_loop().call_later(0.05, self._signal_end)
        if not self.tables.standbys_ready and not self.standby_remaining_total():
            self.tables.on_standbys_ready()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Let the tables look at what was restored; then the flow resumes.

        It is stopped meanwhile, as Faust has let it go already: a source that is read before its positions are set
        would be delivered from wherever it stands.
        """
        self.app.consumer.stop_flow()
        self.app.flow_control.suspend()
        for table in self.tables.values():
            partitions = {tp.partition for tp in self.active_tps if self.tp_to_table[tp] is table}
            await end_if_lost(self.app, table, partitions)
            await table.on_restored(partitions)
        await super().on_recovery_completed(generation_id)


class BatchTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager with the recovery above."""

    @property
    def recovery(self) -> Any:  # the attribute is untyped in Faust
        """The recovery service of this package."""
        if self._recovery is None:  # type: ignore[has-type]
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class BytesTable(faust.Table):  # type: ignore[misc]
    """Bytes by key on the memory store.

    ``source``: the topic of whose partitions it holds the states. ``places``: where in its changelog partition each
    restored state stood. ``ends`` and ``counts``: what of a changelog partition is durable for certain, its end and its
    number of keys; ``anew``: the end of a lost one that it was made anew for; ``held``: the lowest offset of the source
    from which on messages are kept (``agents/holding.py``). ``on_restored`` is called after each recovery with the
    partitions, before anything is delivered: the last moment at which a state that is no good has done no harm.
    """

    source = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: dict[bytes, int] = {}
        self.ends: dict[int, int] = {}
        self.counts: Counter[int] = Counter()
        self.anew: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.on_restored: Callable[[set[int]], Awaitable[None]] = _nothing_to_look_at

    def apply_records(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Enter changelog records of one partition."""
        data = self.data.data
        for record in records:
            if record.value is None:
                data.pop(record.key, None)
                self._locate(record.key, None)
                if (end := begun_anew(record)) is not None:
                    self.anew[partition] = max(end, self.anew.get(partition, -1))
            else:
                data[record.key] = record.value
                self._locate(record.key, partition)
                self.places[record.key] = record.offset
        self.ends[partition] = max(self.ends.get(partition, 0), records[-1].offset + 1)

    def _locate(self, key: bytes, partition: int | None) -> None:
        """Note in which partition a key lies."""
        where = self.data._key_partition
        if (before := where.get(key)) == partition:
            return
        if before is not None:
            del where[key]
            self.counts[before] -= 1
        if partition is not None:
            where[key] = partition
            self.counts[partition] += 1

    def note(self, partition: int) -> Note:
        """What is durable of a changelog partition for certain."""
        return Note(self.ends.get(partition, 0), self.counts[partition], self.held.get(partition))

    def blob(self, key: bytes) -> bytes | None:
        """The last written state of ``key``."""
        found: bytes | None = self.data.data.get(key)
        return found

    def keys_of(self, partitions: set[int]) -> list[bytes]:
        """All keys that live in ``partitions``."""
        return [key for key, partition in self.data._key_partition.items() if partition in partitions]

    def place_of(self, key: bytes) -> tuple[int | None, int | None]:
        """Partition and offset of the changelog record that ``key`` was restored from."""
        return self.data._key_partition.get(key), self.places.get(key)

    async def write(self, partition: int, states: Mapping[bytes, bytes]) -> None:
        """Make states durable, then visible. Raises what the broker says."""
        futures = await self.app.producer.send_all(
            [(self.changelog_topic.get_topic_name(), key, blob, partition) for key, blob in states.items()]
        )
        stored = await asyncio.gather(*futures)
        self.data.data.update(states)
        for key in states:
            self._locate(key, partition)
        end = 1 + max((each.offset for each in stored), default=-1)
        if end <= self.ends.get(partition, 0) and stored:
            await self._check_end(partition)
        self.ends[partition] = max(self.ends.get(partition, 0), end)

    async def _check_end(self, partition: int) -> None:
        """A write came to stand before an earlier one, or the broker did not say where: does it still have that?"""
        tp = TP(self.changelog_topic.get_topic_name(), partition)
        end = (await self.app.consumer.highwaters(tp)).get(tp)
        if end is not None and end < self.ends[partition]:
            lost(tp.topic, Lost(partition, Note(end, 0), self.note(partition)))


async def _nothing_to_look_at(partitions: set[int]) -> None:
    """What a table without an agent does after a recovery."""
