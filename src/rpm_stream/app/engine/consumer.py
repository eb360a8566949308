"""Delivers the fetched records of one partition as one event, and commits acked batches.

A commit never passes an un-acked batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from rpm_stream.app.engine.thread import Thread
from rpm_stream.app.engine.watermark import Batch, Watermark, parts
from rpm_stream.app.runtime.end import EXIT_STUCK, die
from rpm_stream.errors import RpmStreamError

# A partition with so many delivered and un-acked batches is not fetched. The other partitions are,
# beside its backlog. Records that are fetched late come many at a time, which costs less than one
# by one.
MOST_BATCHES = 2
BRIEF_SECONDS = 0.05  # a poll that leaves a partition out must not keep it waiting


class GapError(RpmStreamError):
    """Records were skipped between two fetches, and going on would lose them."""


class BatchMessage(ConsumerMessage):  # type: ignore[misc]  # Faust ships no types for it
    """A Faust message whose value is the list of fetched records.

    Its offset is the one of the last record.
    """

    batch: Batch


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Hands the record list to the agent without decoding it."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return the function that Faust calls on each message.

        It decodes nothing, so it cannot fail.
        """
        create_event = app.create_event

        async def decode(message: Any, **_: Any) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with its fetch loop and its commit rule replaced."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watermarks: dict[TP, Watermark] = {}
        self._has_space = asyncio.Event()
        self._fetched_in = 0
        self.revoked = False  # partitions were revoked, and none are assigned yet
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> Any:
        return Thread(self, loop=self.loop, beacon=self.beacon)

    # --- fetch and deliver ---

    async def _drain_messages(self, fetcher: Any) -> None:
        app = self.app
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)
                records, active = await self._wait_next_records(timeout=1.0)
                if not records or self._stopped.is_set() or fetcher._stopped.is_set():
                    continue
                for tp, found in records.items():
                    if not self.flow_active:
                        # A rebalance began meanwhile. Recovery sets all positions before the flow
                        # resumes.
                        break
                    if app.consumer_generation_id != self._fetched_in:
                        self._across_a_rebalance(records)
                        break
                    await self._route(TP(tp.topic, tp.partition), found, active, self._fetched_in)
        except self.consumer_stopped_errors:
            if not app.should_stop:
                raise
        except asyncio.CancelledError:
            if not app.should_stop:
                raise

    async def _wait_next_records(self, timeout: float) -> Any:
        """Note the generation when the fetch begins, and fetch.

        The wait for the flow comes before that, because it may last a whole rebalance.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        self._fetched_in = self.app.consumer_generation_id
        return await super()._wait_next_records(timeout)

    def _across_a_rebalance(self, records: Any) -> None:
        """Raise GapError for state in a fetch that was under way during a whole rebalance.

        Its records may lie behind recovery's new positions. State that is dropped would be missed
        in silence. A gap of a source would show at the next batch.
        """
        for tp in records:
            if tp.topic in self.app.tables.changelog_topics:
                raise GapError(
                    f"{tp.topic}[{tp.partition}]: fetched across a rebalance; a restart"
                    " restores all"
                )

    def _is_full(self, tp: TP) -> bool:
        mark = self._watermarks.get(tp)
        return mark is not None and len(mark.batches) >= MOST_BATCHES

    async def _some_space(self, timeout: float) -> None:
        """Wait for an ack, ``timeout`` seconds at most."""
        self._has_space.clear()
        try:
            await asyncio.wait_for(self._has_space.wait(), timeout)
        except TimeoutError:
            return

    async def _route(
        self, tp: TP, found: list[ConsumerRecord], active: set[TP], generation: int
    ) -> None:
        is_changelog = tp.topic in self.app.tables.changelog_topics
        if tp not in active:
            # The position has moved on already. Put it back, so that nothing is dropped.
            if not is_changelog and found:
                await self._thread.seek_wait({tp: found[0].offset})
            return
        if is_changelog:
            self.app.tables.recovery.apply_records(tp, found)
        elif found:
            await self._deliver(tp, found, generation)

    async def _deliver(self, tp: TP, found: list[ConsumerRecord], generation: int) -> None:
        # _read_offset holds the next offset to read here; perform_seek sets the same.
        following = self._read_offset[tp]
        if following is None:
            following = (await self._thread.earliest_offsets(tp))[tp]
        found = [record for record in found if record.offset >= following]
        if not found:
            return
        if found[0].offset > following:
            start = (await self._thread.earliest_offsets(tp))[tp]
            if found[0].offset > max(following, start):
                raise GapError(
                    f"{tp.topic}[{tp.partition}]: expected {following}, got {found[0].offset}"
                )
        for part in parts(found):
            if not self.flow_active or generation != self.app.consumer_generation_id:
                # Revoked meanwhile: the batch would never be acked and would block the commit for
                # ever.
                return
            await self._hand_over(tp, part, generation)

    async def _hand_over(self, tp: TP, found: list[ConsumerRecord], generation: int) -> None:
        last = found[-1]
        message = BatchMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            found,
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )
        message.batch = Batch(last.offset)
        mark = self._watermarks.setdefault(tp, Watermark())
        mark.batches.append(message.batch)
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        await self.wait_first(self.callback(message), self.suspend_flow.wait())
        self._read_offset[tp] = last.offset + 1

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Fetch from the partitions that have room.

        The set is frozen, because aiokafka reads an empty live set as "all partitions".
        """
        active = frozenset(active_partitions)
        open_ = frozenset(tp for tp in active if not self._is_full(tp))
        if not open_:
            await self._some_space(BRIEF_SECONDS)
            return {}
        return await self._thread.getmany(open_, timeout if open_ == active else BRIEF_SECONDS)

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

    # --- ack and commit ---

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
        """Ask the broker which offsets the group has committed of ``sources``.

        Partitions without a commit are left out.
        """
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
        return dict(await self._thread.highwaters(*tps)) if tps else {}

    async def lags(self) -> dict[TP, int]:
        """Return how many messages of each assigned source partition are not applied yet."""
        ends = await self.ends()
        starts = dict(await self._thread.earliest_offsets(*ends)) if ends else {}
        applied = self.applied_positions()
        return {tp: end - max(applied.get(tp, 0), starts[tp]) for tp, end in ends.items()}

    def end_if_outside(self) -> None:
        """End the process if its group has given it up, unless it is leaving by itself."""
        if not self.app.should_stop and self._thread.is_outside():
            die(
                "engine.left_group",
                EXIT_STUCK,
            )

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
