"""Delivery: fetched records of one partition -> one event; acks -> commits that never pass an
un-acked batch.
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

# Batches of one partition that are delivered and not yet acked: from here on it is not fetched, the
# others are, beside its backlog. Fetched late, records come many at a time, which costs less than
# one by one.
MOST_BATCHES = 2
BRIEF_SECONDS = 0.05  # a poll that leaves a partition out must not keep it waiting


class GapError(RpmStreamError):
    """Records were skipped between two fetches: going on would lose them."""


class BatchMessage(ConsumerMessage):  # type: ignore[misc]  # Faust ships no types for it
    """A Faust message whose value is the list of fetched records and whose offset is the last
    one's.
    """

    batch: Batch


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Hands the record list to the agent untouched."""

    def compile(self, app: Any, **_: Any) -> Any:
        """What Faust calls on each message: no decoding, so nothing to fail."""
        create_event = app.create_event

        async def decode(message: Any, **_: Any) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with its fetch loop and its commit rule replaced."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watermarks: dict[TP, Watermark] = {}
        self._room = asyncio.Event()
        self._fetched_in = 0
        self.revoked = False  # partitions were taken back, and none are assigned yet
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
                        # a rebalance began meanwhile: recovery seeks all positions anew before the
                        # flow resumes
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
        """Note the generation when the fetch begins, not before the wait for the flow: that may
        last a rebalance.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        self._fetched_in = self.app.consumer_generation_id
        return await super()._wait_next_records(timeout)

    def _across_a_rebalance(self, records: Any) -> None:
        """A fetch that was outstanding over a whole rebalance: state in it may lie behind
        recovery's new positions.

        Dropped, that state would be missed in silence; of sources a gap would show at the next
        batch.
        """
        for tp in records:
            if tp.topic in self.app.tables.changelog_topics:
                raise GapError(
                    f"{tp.topic}[{tp.partition}]: fetched across a rebalance; starting anew"
                    " restores all"
                )

    def _is_full(self, tp: TP) -> bool:
        mark = self._watermarks.get(tp)
        return mark is not None and len(mark.batches) >= MOST_BATCHES

    async def _some_room(self, timeout: float) -> None:
        """Wait for an ack, ``timeout`` seconds at most."""
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), timeout)
        except TimeoutError:
            return

    async def _route(
        self, tp: TP, found: list[ConsumerRecord], active: set[TP], generation: int
    ) -> None:
        is_changelog = tp.topic in self.app.tables.changelog_topics
        if tp not in active:
            # the position moved on already: put it back, drop nothing
            if not is_changelog and found:
                await self._thread.seek_wait({tp: found[0].offset})
            return
        if is_changelog:
            self.app.tables.recovery.apply_records(tp, found)
        elif found:
            await self._deliver(tp, found, generation)

    async def _deliver(self, tp: TP, found: list[ConsumerRecord], generation: int) -> None:
        # here: the next offset to read; perform_seek sets the same
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
                # revoked meanwhile: nobody would ack it, and it would hold up the commit for ever
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
        """Of the partitions that have room; a live set, once empty, would read "all partitions"
        to aiokafka.
        """
        active = frozenset(active_partitions)
        open_ = frozenset(tp for tp in active if not self._is_full(tp))
        if not open_:
            await self._some_room(BRIEF_SECONDS)
            return {}
        return await self._thread.getmany(open_, timeout if open_ == active else BRIEF_SECONDS)

    async def perform_seek(self) -> None:
        """To the committed offsets; partitions without one, which Faust leaves where they are,
        to their beginning.
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
        """Note a batch as done; the commit may move on."""
        if not isinstance(message, BatchMessage):
            return bool(super().ack(message))
        if message.batch.acked:
            return False
        message.acked = message.batch.acked = True
        self._unacked_messages.discard(message)
        if mark := self._watermarks.get(message.tp):
            mark.settle()
        self._room.set()
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
        """What the group has committed of ``sources``, asked of the broker; without those of
        which it has nothing.
        """
        asked = [driver.ensure_aiokafka_TP(tp) for tp in sources]
        found = await self._thread.call_thread(self._thread.fetch_commits, asked)
        return {TP(tp.topic, tp.partition): commit for tp, commit in found.items()}

    async def commit_again(self, offsets: Mapping[TP, int]) -> None:
        """Write commits that stand, with what is known of the changelogs now."""
        await self._thread.commit(offsets)

    def owns(self, partition: int) -> bool:
        """Whether this worker holds the partition now, restored and with no rebalance under way."""
        app = self.app
        if self.revoked or app.rebalancing or app.in_recovery or app.should_stop:
            return False
        return any(tp.partition == partition for tp in self.applied_positions())

    def applied_positions(self) -> dict[TP, int]:
        """Next offset to apply of each assigned source partition: behind it everything is acked."""
        changelogs = self.app.tables.changelog_topics
        found = {}
        for tp in self.assignment():
            if tp.topic not in changelogs:
                mark = self._watermarks.get(tp)
                found[tp] = (mark.commit if mark else None) or self._committed_offset.get(tp) or 0
        return found

    def next_of(self, topic: str, partition: int) -> int:
        """The next offset to apply of one partition; 0 where nothing was committed yet."""
        return self.applied_positions().get(TP(topic, partition), 0)

    async def ends(self) -> dict[TP, int]:
        """End offsets of the assigned source partitions, asked of the broker."""
        tps = self.applied_positions().keys()
        return dict(await self._thread.highwaters(*tps)) if tps else {}

    async def lags(self) -> dict[TP, int]:
        """Messages of each assigned source partition that are not applied yet."""
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
        """Take nothing more, drop what has not begun, return when the rest is written and acked.

        Faust would wait for each message that anything still refers to, and the last of each stream
        is such a one.
        """
        self.stop_flow()
        self.app.flow_control.suspend()
        await self.app.let_go()
        self._unacked_messages.clear()

    def resume_flow(self) -> None:
        """Not between a revocation and the assignment that follows it: a recovery that ends
        meanwhile is an old one.
        """
        if not self.revoked:
            super().resume_flow()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The rebalance is over for the group; recovery comes next."""
        self.revoked = False
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: Iterable[TP]) -> None:
        """Forget what another worker will carry on with. A worker that the group has given up ends
        here.

        Its generation is reset then, which an ordinary rebalance does not do: somebody else has its
        patients already, and whatever it still wrote would stand behind theirs.
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
        self._room.set()
