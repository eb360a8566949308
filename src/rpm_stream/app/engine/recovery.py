"""State: a table of sealed bytes, written to its changelog in batches and restored a fetch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP


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
        """Let the tables look at what was restored; then the flow resumes."""
        for table in self.tables.values():
            table.on_restored()
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

    ``places``: where in its changelog partition each restored state stood. ``on_restored`` is called after each
    recovery, before anything is delivered: the last moment at which a state that is no good has done no harm.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: dict[bytes, int] = {}
        self.on_restored: Callable[[], None] = lambda: None

    def apply_records(self, partition: int, records: list[ConsumerRecord]) -> None:
        """Enter changelog records of one partition."""
        data, where = self.data.data, self.data._key_partition
        for record in records:
            if record.value is None:
                data.pop(record.key, None)
                where.pop(record.key, None)
            else:
                data[record.key] = record.value
                where[record.key] = partition
                self.places[record.key] = record.offset

    def blob(self, key: bytes) -> bytes | None:
        """The last written state of ``key``."""
        found: bytes | None = self.data.data.get(key)
        return found

    def keys_of(self, partitions: set[int]) -> list[bytes]:
        """All keys that live in ``partitions``."""
        return [key for key, partition in self.data._key_partition.items() if partition in partitions]

    def restored(self) -> dict[bytes, bytes]:
        """All states by key."""
        found: dict[bytes, bytes] = self.data.data
        return found

    def place_of(self, key: bytes) -> tuple[int | None, int | None]:
        """Partition and offset of the changelog record that ``key`` was restored from."""
        return self.data._key_partition.get(key), self.places.get(key)

    async def write(self, partition: int, states: Mapping[bytes, bytes]) -> None:
        """Make states durable, then visible. Raises what the broker says."""
        futures = await self.app.producer.send_all(
            [(self.changelog_topic.get_topic_name(), key, blob, partition) for key, blob in states.items()]
        )
        await asyncio.gather(*futures)
        data, where = self.data.data, self.data._key_partition
        data.update(states)
        where.update(dict.fromkeys(states, partition))
