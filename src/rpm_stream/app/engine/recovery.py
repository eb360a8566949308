"""Restores the tables of sealed states from whole fetches, and checks that nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from rpm_stream.app.engine.bytes_table import BytesTable
from rpm_stream.app.engine.lost import Note, StateLoss, end_for_loss, is_lost, read_note

SURE_SECONDS = 5.0  # just after its return a broker may show less than it has
POLL_SECONDS = 0.5


class BatchRecovery(Recovery):  # type: ignore[misc]
    """Faust's recovery, fed with whole fetches."""

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        # left set, a second recovery in one process would end with empty state
        self.signal_recovery_end.clear()

    def _signal_end(self) -> None:
        if not self.in_recovery:
            self.signal_recovery_end.set()

    def apply_records(self, tp: TP, records: list[ConsumerRecord]) -> None:
        """Apply fetched changelog records, and signal when the recovery is complete."""
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
            # Faust's own reader of changelogs clears the signal every 5 s, so set it again after
            # that moment.
            asyncio.get_running_loop().call_later(0.05, self._signal_end)
        if not self.tables.standbys_ready and not self.standby_remaining_total():
            self.tables.on_standbys_ready()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Let the tables check the restored states, then resume the flow.

        Faust has resumed the flow already, so it is stopped meanwhile. A source that is read before
        its positions are set would be delivered from a wrong offset.
        """
        self.app.consumer.stop_flow()
        self.app.flow_control.suspend()
        for table in self.tables.values():
            partitions = {tp.partition for tp in self.active_tps if self.tp_to_table[tp] is table}
            await end_if_lost(self.app, table, partitions)
            await table.on_restored(partitions)
        await super().on_recovery_completed(generation_id)


class BatchTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager with ``BatchRecovery``."""

    @property
    def recovery(self) -> Any:  # the attribute is untyped in Faust
        """The recovery service of this package."""
        if self._recovery is None:  # type: ignore[has-type]
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


async def end_if_lost(app: Any, table: BytesTable, partitions: Iterable[int]) -> None:
    """End the process with EXIT_STATE if one of the restored ``partitions`` has lost states.

    For a partition that was rebuilt, the commit is written again with the present note.
    """
    changelog = table.changelog_topic.get_topic_name()
    for tp, (offset, metadata) in (
        await app.consumer.commits(TP(table.source, each) for each in partitions)
    ).items():
        known = read_note(metadata)
        replaced = table.replaced.get(tp.partition, -1)
        found = await _found(app, table, tp.partition, known)
        if is_lost(found, known, replaced):
            assert known is not None
            end_for_loss(changelog, StateLoss(tp.partition, found, known))
        table.ends[tp.partition] = max(table.ends.get(tp.partition, 0), found.end)
        if known is not None and known.end <= replaced:
            await app.consumer.commit_again({tp: offset})


async def _found(app: Any, table: BytesTable, partition: int, known: Note | None) -> Note:
    """Return the present note. Ask again for ``SURE_SECONDS`` where it is less than ``known``."""
    tp = TP(table.changelog_topic.get_topic_name(), partition)
    end = asyncio.get_running_loop().time() + SURE_SECONDS
    while True:
        found = Note((await app.consumer.highwaters(tp)).get(tp) or 0, len(table.there[partition]))
        if known is None or found.end >= known.end or asyncio.get_running_loop().time() > end:
            return found
        await asyncio.sleep(POLL_SECONDS)
