"""Delivers the fetched records of one partition as one event."""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from rpm_stream.app.engine.thread import Thread
from rpm_stream.app.engine.watermark import Batch, Watermark, parts
from rpm_stream.errors import RpmStreamError

# A partition with so many delivered and un-acked batches is not fetched. The other partitions are,
# beside its backlog. Records that are fetched late come many at a time, which costs less than one
# by one.
MOST_BATCHES = 4
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


class DeliveringConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with its fetch loop replaced.

    What a batch means for the commit is in ``BatchConsumer``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watermarks: dict[TP, Watermark] = {}
        self._has_space = asyncio.Event()
        self._fetched_in = 0
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> Any:
        return Thread(self, loop=self.loop, beacon=self.beacon)

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
        return mark is not None and mark.unacked >= MOST_BATCHES

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
