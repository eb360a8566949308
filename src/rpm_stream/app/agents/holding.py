"""Keys whose state cannot be restored. Their messages are kept until the state is mended.

The messages of a held key are passed over and stay in the source. The changelog record of the key
holds the offset from which they are kept (``pipeline/held.py``). It is written before any commit
passes such a message.

``rpm-stream state rebuild`` puts a readable state into that record. The agent notices it and
applies the kept messages in their order, with all their outputs. After that the key goes on as
others do. An interruption at any point repeats this from the beginning and writes the same records
again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.types import TP

from rpm_stream.app.agents.states import KeyedStates, UnreadableState
from rpm_stream.app.engine.application import BatchApp, Outgoing
from rpm_stream.app.engine.lost import read_note
from rpm_stream.app.kafka.range_reader import KafkaClients, reaching, records, starts
from rpm_stream.app.runtime.end import EXIT_STATE, die, guarded
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.metrics import HELD, HELD_GONE, HELD_SECONDS
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.pipeline.held import HeldState, hold, kept_from, packed, read_held

LOOK_SECONDS: Final = 2.0
# So many keys of a partition may be held, however few it has. More are held only up to a half of
# its keys.
FEW: Final = 3
# kept messages that are applied before the next check that the partition is still ours
AT_ONCE: Final = 64

State = TypeVar("State")
LateStep: TypeAlias = Callable[[State, ConsumerRecord], list[Outgoing] | None]
log = structlog.get_logger()


Lateness: TypeAlias = Callable[[KafkaClients, bytes, int, HeldState], Awaitable[LateStep[State]]]


class HeldKey(msgspec.Struct):
    """A key that is held.

    ``passed`` is the offset behind the last of its messages that was passed over.
    """

    partition: int
    held: HeldState
    passed: int
    expired: bool = False  # the broker has deleted some of the kept messages


class HoldNotices(Protocol):
    """How people hear of a held key, and how its messages are answered meanwhile.

    The methods return the record that takes the state's place in the changelog, and outputs. An
    output with the present time in it is in the changelog before it is sent. After an interruption
    it is sent again from there, so one id never has two contents.
    """

    def begun(self, key: bytes, partition: int, held: HeldState) -> HeldState:
        """Return ``held`` for a key that is held from now on."""

    def records(self, held: HeldState) -> list[Outgoing]:
        """Return the outputs that report the key as it is now."""

    def passed_over(
        self, held: HeldState, record: ConsumerRecord
    ) -> tuple[HeldState, list[Outgoing]] | None:
        """Answer a message of a held key. Returns None where the message changes nothing."""

    def ended(self, held: HeldState, at: datetime, is_whole: bool) -> HeldState:
        """Return ``held`` once all kept messages are applied.

        ``is_whole`` means that none of them had been deleted by then.
        """


class AgentWork(Protocol[State]):
    """The part of the agent's work that holding needs."""

    states: KeyedStates[State]

    def alone(self) -> AbstractAsyncContextManager[None]:
        """A context in which nothing else changes states, and all earlier work is written."""


class Holding(Generic[State]):
    """The held keys of one agent.

    ``late`` returns the step for the kept messages of a key.
    """

    def __init__(
        self,
        stage: str,
        app: BatchApp,
        notices: HoldNotices,
        late: Lateness[State],
        settings: Settings,
    ) -> None:
        assert app.states is not None
        self._stage = stage
        self._app = app
        self._table = app.states
        self._notices = notices
        self._late = late
        self._bootstrap = settings.bootstrap
        self._clock = app.clock
        # by partition of the changelog: the offset from which to look for mended states
        self._from: dict[int, int] = {}
        self.work: AgentWork[State]
        self.kept: dict[bytes, HeldKey] = {}
        self._untold: set[bytes] = set()  # keys that are held without a durable record of it yet

    def __contains__(self, key: bytes) -> bool:
        return key in self.kept

    async def begin(self, partitions: set[int], unreadable: Iterable[UnreadableState]) -> None:
        """Hold all unreadable states durably, after a recovery and before anything is delivered."""
        self.kept.clear()
        self._untold.clear()
        found = list(unreadable)
        self._from = {each: self._table.ends.get(each, 0) for each in partitions}
        if found:
            commits = await self._app.consumer.commits(
                TP(self._table.source, each) for each in partitions
            )
            self._end_if_most(found)
            # Keys that are held already come first.
            for each in sorted(found, key=lambda one: read_held(one.blob) is None):
                commit = commits.get(TP(self._table.source, each.partition))
                await self._begin_one(each, *_known(commit))
        self._measure()

    def _end_if_most(self, found: list[UnreadableState]) -> None:
        """End the process if most states of a partition are unreadable.

        That is no single damage. The changelog is of another release, or ruined.
        """
        for partition, count in Counter(
            each.partition for each in found if read_held(each.blob) is None
        ).items():
            states = len(self._table.there[partition])
            if count > FEW and 2 * count > states:
                one = next(each for each in found if each.partition == partition)
                die(
                    "state.most_unreadable",
                    EXIT_STATE,
                    stage=self._stage,
                    partition=partition,
                    offset=one.offset,
                    fault=str(one),
                    unreadable=count,
                    states=states,
                    hint="nothing was dropped or reset: start the release that wrote the states,"
                    " or make them again from the topics with 'rpm-stream state rebuild'",
                )

    async def _begin_one(self, one: UnreadableState, done: int, lowest: int | None) -> None:
        """Hold one key.

        ``done`` is the committed offset, and ``lowest`` the lowest offset from which messages were
        kept at that commit.
        """
        held = read_held(one.blob)
        if held is not None:
            self.kept[one.key] = HeldKey(one.partition, held, max(done, held.upto))
            # the worker that wrote the record may not have sent its outputs
            await self._put(self._notices.records(held))
            return
        self.hold(one, kept_from(done, lowest))
        # all committed messages were passed over, by whichever worker
        self.kept[one.key].passed = done
        await self._write(one.key)
        await self.announce([one.key])

    def hold(self, one: UnreadableState, offset: int) -> None:
        """Hold a key. Its messages from ``offset`` of the source on are not applied.

        The caller writes the record and calls ``announce``.
        """
        log.error(
            "state.held",
            stage=self._stage,
            partition=one.partition,
            offset=one.offset,
            fault=str(one),
            kept_from=offset,
            hint="its messages are kept, other keys go on: run 'rpm-stream state rebuild'",
        )
        held = hold(offset, self._clock.now(), str(one), one.blob or b"")
        self.kept[one.key] = HeldKey(
            one.partition, self._notices.begun(one.key, one.partition, held), offset
        )
        self._untold.add(one.key)
        self._measure()

    async def announce(self, written: Iterable[bytes]) -> None:
        """Report those of the ``written`` keys whose holding is not reported yet."""
        for key in self._untold.intersection(written):
            self._untold.discard(key)
            if key in self.kept:
                await self._put(self._notices.records(self.kept[key].held))

    def pass_over(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Pass over a message of a held key.

        Returns None where the key's record in the changelog stays as it is.
        """
        kept = self.kept[record.key or b""]
        kept.passed = max(kept.passed, record.offset + 1)
        if (changed := self._notices.passed_over(kept.held, record)) is None:
            return None
        kept.held, outputs = changed
        return outputs

    def packed(self, key: bytes) -> bytes:
        """Return the changelog record of a held key."""
        return packed(self.kept[key].held)

    async def _put(self, outputs: list[Outgoing]) -> None:
        """Make outputs durable. The process ends where the broker does not accept them."""

        async def sent() -> None:
            await asyncio.gather(*await self._app.producer.send_all(outputs))

        await guarded(sent, "writing what was kept")

    async def _write(self, key: bytes, state: bytes | None = None) -> None:
        """Make the changelog record of a key durable, or the state that replaces it.

        The process ends where the broker does not accept it.
        """
        partition = self.kept[key].partition
        blob = self.packed(key) if state is None else state
        await guarded(lambda: self._table.write(partition, {key: blob}), "writing a held state")

    # --- mended ---

    async def run(self, ready: asyncio.Event) -> None:
        """Look for mended states for ever, and apply their kept messages.

        ``ready`` is set when the registry is read.
        """
        await ready.wait()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self.kept and not self._app.rebalancing and not self._app.in_recovery:
                    await self._look()
            except (KafkaError, OSError, UsageError) as error:
                log.warning(
                    "state.held_not_checked",
                    error=str(error),
                )
            self._measure()

    async def _look(self) -> None:
        async with reaching(self._bootstrap) as broker:
            began = {
                tp.partition: first
                for tp, first in (await starts(broker, self._table.source)).items()
            }
            for kept in self.kept.values():
                if began.get(kept.partition, 0) > kept.held.offset and not kept.expired:
                    kept.expired = True
                    log.error(
                        "state.kept_messages_deleted",
                        stage=self._stage,
                        partition=kept.partition,
                        kept_from=kept.held.offset,
                    )
            await self._read_changelog(broker)
            for key in list(self.kept):
                one = self.kept.get(key)
                if one is not None and self._is_mended(key, one.held):
                    await self._catch_up(broker, key, one)

    async def _read_changelog(self, broker: KafkaClients) -> None:
        """Read the records that another process put into the changelog for held keys."""
        topic = self._table.changelog_topic.get_topic_name()
        partitions = {kept.partition for kept in self.kept.values()}
        tps = [TopicPartition(topic, each) for each in sorted(partitions)]
        ends = await broker.consumer.end_offsets(tps)
        spans = {tp: (self._from.get(tp.partition, 0), end) for tp, end in ends.items()}
        async for batch in records(broker, spans, lambda *_: None):
            for record in batch:
                kept = self.kept.get(record.key or b"")
                found = read_held(record.value)
                if kept is not None and found is not None and self._is_mended(record.key, found):
                    kept.held = msgspec.structs.replace(found, alert=kept.held.alert or found.alert)
            self._from[batch[-1].partition] = batch[-1].offset + 1

    def _is_mended(self, key: bytes, held: HeldState) -> bool:
        return self.work.states.is_readable(key, held.blob)

    async def _catch_up(self, broker: KafkaClients, key: bytes, kept: HeldKey) -> None:
        """Apply the kept messages of a key, then let it go on as others do.

        It stops where the partition is taken away.
        """
        state = self.work.states.read(key, kept.held.blob)
        at = kept.held.offset
        step = await self._late(broker, key, kept.partition, kept.held)
        while True:
            async with self.work.alone():
                if not self._is_ours(key, kept):
                    return
                upto = max(kept.passed, kept.held.upto)
                if at >= upto:
                    await self._go_on(key, kept, state)
                    return
                # After an interruption it repeats at least so far, by the same steps.
                if upto > kept.held.upto:
                    kept.held = msgspec.structs.replace(kept.held, upto=upto)
                    await self._write(key)
            async for some in self._kept_messages(broker, key, kept, at, upto):
                async with self.work.alone():
                    if not self._is_ours(key, kept):
                        return
                    outputs = [one for record in some for one in step(state, record) or ()]
                    await self._put(outputs)
            at = upto

    def _is_ours(self, key: bytes, kept: HeldKey) -> bool:
        return self.kept.get(key) is kept and bool(self._app.consumer.owns(kept.partition))

    async def _go_on(self, key: bytes, kept: HeldKey, state: Any) -> None:
        ended = self._notices.ended(kept.held, self._clock.now(), not kept.expired)
        if ended != kept.held:
            kept.held = ended
            await self._write(key)
        await self._put(self._notices.records(ended))
        self.work.states.live[key] = state
        await self._write(key, self.work.states.pack([key])[key])
        del self.kept[key]
        self._measure()
        log.warning("state.caught_up", stage=self._stage, partition=kept.partition)

    async def _kept_messages(
        self, broker: KafkaClients, key: bytes, kept: HeldKey, first: int, end: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        tp = TopicPartition(self._table.source, kept.partition)
        first = max(first, (await starts(broker, tp.topic))[tp])
        async for batch in records(broker, {tp: (first, end)}, lambda *_: None):
            mine = [record for record in batch if (record.key or b"") == key]
            for start in range(0, len(mine), AT_ONCE):
                yield mine[start : start + AT_ONCE]

    def _measure(self) -> None:
        lowest: dict[int, int] = {}
        for kept in self.kept.values():
            lowest[kept.partition] = min(
                kept.held.offset, lowest.get(kept.partition, kept.held.offset)
            )
        self._table.held = lowest
        now = self._clock.now()
        HELD.labels(self._stage).set(len(self.kept))
        HELD_GONE.labels(self._stage).set(sum(each.expired for each in self.kept.values()))
        HELD_SECONDS.labels(self._stage).set(
            max(((now - each.held.at).total_seconds() for each in self.kept.values()), default=0.0)
        )


def _known(commit: OffsetAndMetadata | None) -> tuple[int, int | None]:
    """Return the committed offset, and the lowest offset of kept messages at that commit."""
    note = read_note(commit.metadata) if commit is not None else None
    return max(0, commit.offset) if commit is not None else 0, (
        note.held if note is not None else None
    )
