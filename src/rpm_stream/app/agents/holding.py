"""Keys whose state cannot be restored. Their messages are kept until the state is mended.

The messages of a held key are passed over and stay in the source. The changelog record of the key
holds the offset from which they are kept (``pipeline/held.py``). It is written before any commit
passes such a message.

``rpm-stream state rebuild`` puts a readable state into that record. The kept messages are applied
then (``catch_up.py``), and the key goes on as others do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec
import structlog
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from faust.types import TP

from rpm_stream.app.agents.states import UnreadableState
from rpm_stream.app.engine.application import BatchApp, Outgoing
from rpm_stream.app.engine.lost import read_note
from rpm_stream.app.runtime.end import EXIT_STATE, die, guarded
from rpm_stream.app.runtime.metrics import HELD, HELD_GONE, HELD_SECONDS
from rpm_stream.pipeline.held import HeldState, hold, kept_from, packed, read_held

# So many keys of a partition may be held, however few it has. More are held only up to a half of
# its keys.
FEW: Final = 3

log = structlog.get_logger()


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


class Holding:
    """The held keys of one agent."""

    def __init__(self, stage: str, app: BatchApp, notices: HoldNotices) -> None:
        assert app.states is not None
        self.stage = stage
        self._app = app
        self._table = app.states
        self._notices = notices
        self._clock = app.clock
        # by partition of the changelog: the offset from which to look for mended states
        self.read_from: dict[int, int] = {}
        self.kept: dict[bytes, HeldKey] = {}
        self._untold: set[bytes] = set()  # keys that are held without a durable record of it yet

    def __contains__(self, key: bytes) -> bool:
        return key in self.kept

    async def begin(self, partitions: set[int], unreadable: Iterable[UnreadableState]) -> None:
        """Hold all unreadable states durably, after a recovery and before anything is delivered."""
        self.kept.clear()
        self._untold.clear()
        found = list(unreadable)
        self.read_from = {each: self._table.ends.get(each, 0) for each in partitions}
        if found:
            commits = await self._app.consumer.commits(
                TP(self._table.source, each) for each in partitions
            )
            _end_if_most(found, self._table.there, self.stage)
            # Keys that are held already come first.
            for each in sorted(found, key=lambda one: read_held(one.blob) is None):
                commit = commits.get(TP(self._table.source, each.partition))
                await self._begin_one(each, *_known(commit))
        self.measure()

    async def _begin_one(self, one: UnreadableState, done: int, lowest: int | None) -> None:
        """Hold one key.

        ``done`` is the committed offset, and ``lowest`` the lowest offset from which messages were
        kept at that commit.
        """
        held = read_held(one.blob)
        if held is not None:
            self.kept[one.key] = HeldKey(one.partition, held, max(done, held.upto))
            # the worker that wrote the record may not have sent its outputs
            await self.send(self._notices.records(held))
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
            stage=self.stage,
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
        self.measure()

    async def announce(self, written: Iterable[bytes]) -> None:
        """Report those of the ``written`` keys whose holding is not reported yet."""
        for key in self._untold.intersection(written):
            self._untold.discard(key)
            if key in self.kept:
                await self.send(self._notices.records(self.kept[key].held))

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

    async def send(self, outputs: list[Outgoing]) -> None:
        """Make outputs durable. The process ends where the broker does not accept them."""

        async def sent() -> None:
            await asyncio.gather(*await self._app.producer.send_all(outputs))

        await guarded(sent, "writing what was kept")

    async def keep_until(self, key: bytes, upto: int) -> None:
        """Note durably that the kept messages before ``upto`` are applied from now on.

        After an interruption they are applied again at least so far, by the same steps.
        """
        kept = self.kept[key]
        if upto > kept.held.upto:
            kept.held = msgspec.structs.replace(kept.held, upto=upto)
            await self._write(key)

    async def tell_end(self, key: bytes) -> None:
        """Report durably that all kept messages of a key are applied."""
        kept = self.kept[key]
        ended = self._notices.ended(kept.held, self._clock.now(), not kept.expired)
        if ended != kept.held:
            kept.held = ended
            await self._write(key)
        await self.send(self._notices.records(ended))

    async def release(self, key: bytes, state: bytes) -> None:
        """Put ``state`` durably in the place of a key's record, and hold the key no more."""
        await self._write(key, state)
        del self.kept[key]
        self.measure()

    async def _write(self, key: bytes, state: bytes | None = None) -> None:
        """Make the changelog record of a key durable, or the state that replaces it.

        The process ends where the broker does not accept it.
        """
        partition = self.kept[key].partition
        blob = self.packed(key) if state is None else state
        await guarded(lambda: self._table.write(partition, {key: blob}), "writing a held state")

    def measure(self) -> None:
        """Set the gauges, and note for the commits from where messages are kept."""
        lowest: dict[int, int] = {}
        for kept in self.kept.values():
            lowest[kept.partition] = min(
                kept.held.offset, lowest.get(kept.partition, kept.held.offset)
            )
        self._table.held = lowest
        _show(self.stage, self.kept.values(), self._clock.now())


def _end_if_most(
    found: list[UnreadableState], there: Mapping[int, Collection[bytes]], stage: str
) -> None:
    """End the process if most states of a partition are unreadable.

    That is no single damage. The changelog is of another release, or ruined.
    """
    for partition, count in Counter(
        each.partition for each in found if read_held(each.blob) is None
    ).items():
        states = len(there[partition])
        if count > FEW and 2 * count > states:
            one = next(each for each in found if each.partition == partition)
            die(
                "state.most_unreadable",
                EXIT_STATE,
                stage=stage,
                partition=partition,
                offset=one.offset,
                fault=str(one),
                unreadable=count,
                states=states,
                hint="nothing was dropped or reset: start the release that wrote the states,"
                " or make them again from the topics with 'rpm-stream state rebuild'",
            )


def _show(stage: str, kept: Collection[HeldKey], now: datetime) -> None:
    HELD.labels(stage).set(len(kept))
    HELD_GONE.labels(stage).set(sum(each.expired for each in kept))
    HELD_SECONDS.labels(stage).set(
        max(((now - each.held.at).total_seconds() for each in kept), default=0.0)
    )


def _known(commit: OffsetAndMetadata | None) -> tuple[int, int | None]:
    """Return the committed offset, and the lowest offset of kept messages at that commit."""
    note = read_note(commit.metadata) if commit is not None else None
    return max(0, commit.offset) if commit is not None else 0, (
        note.held if note is not None else None
    )
