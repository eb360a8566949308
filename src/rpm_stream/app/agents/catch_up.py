"""Applies the kept messages of held keys whose state was mended (``holding.py``).

It notices a readable state in a held key's record, and applies the kept messages in their order,
with all their outputs. After that the key goes on as others do. An interruption at any point
repeats this from the beginning and writes the same records again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.holding import HeldKey
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.engine.application import BatchApp, Outgoing
from rpm_stream.app.kafka.range_reader import KafkaClients, reaching, records, starts
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.pipeline.held import HeldState, read_held

LOOK_SECONDS: Final = 2.0
# kept messages that are applied before the next check that the partition is still ours
AT_ONCE: Final = 64

State = TypeVar("State")
LateStep: TypeAlias = Callable[[State, ConsumerRecord], list[Outgoing] | None]
Lateness: TypeAlias = Callable[[KafkaClients, bytes, int, HeldState], Awaitable[LateStep[State]]]
log = structlog.get_logger()


class CatchUp(Generic[State]):
    """Looks for mended states of one agent, and lets their keys go on.

    ``late`` returns the step for the kept messages of a key. ``alone`` is a context in which
    nothing else changes states, and all earlier work is written.
    """

    def __init__(
        self,
        app: BatchApp,
        steps: StateSteps[State],
        alone: Callable[[], AbstractAsyncContextManager[None]],
        late: Lateness[State],
        bootstrap: str,
    ) -> None:
        assert app.states is not None
        self._app = app
        self._table = app.states
        self._states = steps.states
        self._holding = steps.holding
        self._kept = steps.holding.kept
        self._alone = alone
        self._late = late
        self._bootstrap = bootstrap

    async def run(self, ready: asyncio.Event) -> None:
        """Look for mended states for ever, and apply their kept messages.

        ``ready`` is set when the registry is read.
        """
        await ready.wait()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self._kept and not self._app.rebalancing and not self._app.in_recovery:
                    await self._look()
            except (KafkaError, OSError, UsageError) as error:
                log.warning(
                    "state.held_not_checked",
                    error=str(error),
                )
            self._holding.measure()

    async def _look(self) -> None:
        async with reaching(self._bootstrap) as broker:
            began = {
                tp.partition: first
                for tp, first in (await starts(broker, self._table.source)).items()
            }
            for kept in self._kept.values():
                if began.get(kept.partition, 0) > kept.held.offset and not kept.expired:
                    kept.expired = True
                    log.error(
                        "state.kept_messages_deleted",
                        stage=self._holding.stage,
                        partition=kept.partition,
                        kept_from=kept.held.offset,
                    )
            await self._read_changelog(broker)
            for key in list(self._kept):
                one = self._kept.get(key)
                if one is not None and self._is_mended(key, one.held):
                    await self._catch_up(broker, key, one)

    async def _read_changelog(self, broker: KafkaClients) -> None:
        """Read the records that another process put into the changelog for held keys."""
        topic = self._table.changelog_topic.get_topic_name()
        partitions = {kept.partition for kept in self._kept.values()}
        tps = [TopicPartition(topic, each) for each in sorted(partitions)]
        ends = await broker.consumer.end_offsets(tps)
        read_from = self._holding.read_from
        spans = {tp: (read_from.get(tp.partition, 0), end) for tp, end in ends.items()}
        async for batch in records(broker, spans, lambda *_: None):
            for record in batch:
                kept = self._kept.get(record.key or b"")
                found = read_held(record.value)
                if kept is not None and found is not None and self._is_mended(record.key, found):
                    kept.held = msgspec.structs.replace(found, alert=kept.held.alert or found.alert)
            read_from[batch[-1].partition] = batch[-1].offset + 1

    def _is_mended(self, key: bytes, held: HeldState) -> bool:
        return self._states.is_readable(key, held.blob)

    async def _catch_up(self, broker: KafkaClients, key: bytes, kept: HeldKey) -> None:
        """Apply the kept messages of a key, then let it go on as others do.

        It stops where the partition is taken away.
        """
        state = self._states.read(key, kept.held.blob)
        at = kept.held.offset
        step = await self._late(broker, key, kept.partition, kept.held)
        while True:
            async with self._alone():
                if not self._is_ours(key, kept):
                    return
                upto = max(kept.passed, kept.held.upto)
                if at >= upto:
                    await self._go_on(key, kept, state)
                    return
                await self._holding.keep_until(key, upto)
            async for some in self._kept_messages(broker, key, kept, at, upto):
                async with self._alone():
                    if not self._is_ours(key, kept):
                        return
                    outputs = [one for record in some for one in step(state, record) or ()]
                    await self._holding.send(outputs)
            at = upto

    def _is_ours(self, key: bytes, kept: HeldKey) -> bool:
        return self._kept.get(key) is kept and bool(self._app.consumer.owns(kept.partition))

    async def _go_on(self, key: bytes, kept: HeldKey, state: State) -> None:
        await self._holding.tell_end(key)
        self._states.live[key] = state
        await self._holding.release(key, self._states.pack([key])[key])
        log.warning("state.caught_up", stage=self._holding.stage, partition=kept.partition)

    async def _kept_messages(
        self, broker: KafkaClients, key: bytes, kept: HeldKey, first: int, end: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        tp = TopicPartition(self._table.source, kept.partition)
        first = max(first, (await starts(broker, tp.topic))[tp])
        async for batch in records(broker, {tp: (first, end)}, lambda *_: None):
            mine = [record for record in batch if (record.key or b"") == key]
            for start in range(0, len(mine), AT_ONCE):
                yield mine[start : start + AT_ONCE]
