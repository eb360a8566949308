"""Commits acked batches. A commit never passes an un-acked batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from rpm_stream.app.engine.delivery import BatchMessage, DeliveringConsumer
from rpm_stream.app.runtime.end import EXIT_STUCK, die


class BatchConsumer(DeliveringConsumer):
    """The consumer with its commit rule and its end of a partition replaced."""

    revoked = False  # partitions were revoked, and none are assigned yet

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning of partitions without one.

        Faust leaves partitions without a committed offset where they are.
        """
        await super().perform_seek()
        changelogs = self.app.tables.changelog_topics
        sources = [tp for tp in self.assignment() if tp.topic not in changelogs]
        fresh = [tp for tp in sources if self._committed_offset.get(tp) is None]
        if fresh:
            await self._thread.seek_to_beginning(*map(driver.ensure_aiokafka_TP, fresh))
            for tp in fresh:
                self._read_offset[tp] = None

    def ack(self, message: Any) -> bool:
        """Mark a batch as done, so that the commit may move on."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        if message.batch.acked:
            return False
        message.acked = message.batch.acked = True
        self._unacked_messages.discard(message)
        if mark := self._watermarks.get(message.tp):
            mark.settle()
        self._has_space.set()
        notify(self._waiting_for_ack)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(
            [
                tp
                for tp, mark in self._watermarks.items()
                if mark.commit is not None
                and (topics is None or tp in topics or tp.topic in topics)
            ]
        )

    def _new_offset(self, tp: TP) -> int | None:
        mark = self._watermarks.get(tp)
        return mark.commit if mark else None

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        done = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if not done:  # Faust notes the offset as committed even so
            for tp in offsets:
                self._committed_offset.pop(tp, None)
        return done

    async def commits(self, sources: Iterable[TP]) -> dict[TP, OffsetAndMetadata]:
        """Return the group's commits of ``sources``, without partitions that have none."""
        asked = [driver.ensure_aiokafka_TP(tp) for tp in sources]
        found = await self._thread.call_thread(self._thread.fetch_commits, asked)
        return {TP(tp.topic, tp.partition): commit for tp, commit in found.items()}

    async def commit_again(self, offsets: Mapping[TP, int]) -> None:
        """Write existing commits again, with the present metadata of the changelogs."""
        await self._thread.commit(offsets)

    def owns(self, partition: int) -> bool:
        """Whether this worker holds the partition, restored and with no rebalance under way."""
        app = self.app
        if self.revoked or app.rebalancing or app.in_recovery or app.should_stop:
            return False
        return any(tp.partition == partition for tp in self.applied_positions())

    def applied_positions(self) -> dict[TP, int]:
        """Return the next offset to apply of each assigned source partition.

        All messages before it are acked.
        """
        changelogs = self.app.tables.changelog_topics
        found = {}
        for tp in self.assignment():
            if tp.topic not in changelogs:
                mark = self._watermarks.get(tp)
                found[tp] = (mark.commit if mark else None) or self._committed_offset.get(tp) or 0
        return found

    def next_of(self, topic: str, partition: int) -> int:
        """Return the next offset to apply of one partition, or 0 without any commit."""
        return self.applied_positions().get(TP(topic, partition), 0)

    async def ends(self) -> dict[TP, int]:
        """Ask the broker for the end offsets of the assigned source partitions."""
        tps = self.applied_positions().keys()
        return await self._thread.answer(self._thread.highwaters, tps) if tps else {}

    async def lags(self) -> dict[TP, int]:
        """Return how many messages of each assigned source partition are not applied yet."""
        ends = await self.ends()
        starts = await self._thread.answer(self._thread.earliest_offsets, ends) if ends else {}
        applied = self.applied_positions()
        return {tp: end - max(applied.get(tp, 0), starts[tp]) for tp, end in ends.items()}

    def end_if_outside(self) -> None:
        """End the process if its group has given it up, unless it is leaving by itself."""
        if not self.app.should_stop and self._thread.is_outside():
            die("engine.left_group", EXIT_STUCK)

    async def let_go(self) -> None:
        """Take no more records, drop those that have not begun, and return when the rest is acked.

        Faust would wait for each message that anything still refers to, and the last message of
        each stream is always referred to.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        await self.app.let_go()
        self._unacked_messages.clear()

    def resume_flow(self) -> None:
        """Resume the flow, except between a revocation and the assignment that follows it.

        A recovery that ends in that time is an old one.
        """
        if not self.revoked:
            super().resume_flow()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that the group's rebalance is over. Recovery comes next."""
        self.revoked = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Forget the partitions that another worker will carry on with.

        A worker that the group has given up ends here. Its generation is reset then, which an
        ordinary rebalance does not do. Another worker has its patients already, and its writes
        would come behind those of that worker.
        """
        gone = set(revoked)
        if gone:
            self.end_if_outside()
        self.revoked = True
        await self.let_go()
        await super().on_partitions_revoked(gone)  # stops the flow, waits for acks, commits
        for tp in gone:
            self._watermarks.pop(tp, None)
            self._read_offset.pop(tp, None)
        self._has_space.set()
