"""The consumer's thread, with a short fetch wait and metadata in its commits.

The metadata notes what is durable of the changelog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rpm_stream.app.engine.lost import written
from rpm_stream.app.runtime.end import asked_to_end

log = structlog.get_logger()

FETCH_WAIT_MS = 50  # Faust's 1,500 lets a poll of an idle partition hold up the busy ones


class Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust ships no types for it
    """Faust's consumer thread with a shorter fetch wait and with metadata in commits."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # read when the consumer starts
        return consumer

    def is_outside(self) -> bool:
        """Whether the group no longer knows this member."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        return (
            coordinator is not None
            and coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID
        )

    async def answer(
        self, question: Callable[..., Awaitable[Mapping[TP, int]]], tps: Iterable[TP]
    ) -> dict[TP, int]:
        """Answer a question of the worker's own tasks, unless the app is being stopped.

        A stop ends this thread before those tasks. The thread answers all questions before, so it
        would not end while new ones come. Those that it still has it cancels, or its event loop is
        closed. Who asks then has no answer, and waits here until the stop cancels that task too.

        After a crash a lost answer is raised as ever: what the app waits for before it cancels may
        never come, and the process must end.
        """
        if not self._stopping():
            try:
                return dict(await question(*tps))
            except (asyncio.CancelledError, RuntimeError):
                if asked_to_end() or not self._stopping():
                    raise
        if asked_to_end():  # the cancellation was swallowed on its way, and there is one only
            raise asyncio.CancelledError
        none: asyncio.Future[dict[TP, int]] = asyncio.get_running_loop().create_future()
        return await none

    def _stopping(self) -> bool:
        return bool(self.app.should_stop and not self.app.crashed)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit as Faust does, with metadata.

        Any failure other than a rebalance ends the worker.
        """
        assigned = self.assignment()
        commits = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, self._metadata(tp))
            for tp, offset in offsets.items()
            if tp in assigned
        }
        self.tp_last_committed_at.update(dict.fromkeys(commits, monotonic()))
        try:
            await self._ensure_consumer().commit(commits)
        except CommitFailedError as error:
            if "already rebalanced" not in str(error):
                await self._give_up(error)
            return False
        except Exception as error:  # noqa: BLE001
            # as upstream: any exception ends the worker
            await self._give_up(error)
            return False
        return True

    async def _give_up(self, error: Exception) -> None:
        log.error("engine.commit_failed", error=repr(error))
        await self.crash(error)

    def _metadata(self, tp: TP) -> str:
        """Return what is durable of the changelog of ``tp``, or "" for a topic without states."""
        table = self.consumer.app.states
        return (
            written(table.note(tp.partition))
            if table is not None and tp.topic == table.source
            else ""
        )

    async def fetch_commits(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """Return the group's commits with their metadata. Called in the thread."""
        coordinator = self._ensure_consumer()._coordinator
        return dict(await coordinator.fetch_committed_offsets(list(partitions)))
