"""The consumer's own thread: a short fetch wait, and commits that say what of a changelog is
durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

import structlog
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rpm_stream.app.engine.lost import written

log = structlog.get_logger()

FETCH_WAIT_MS = 50  # Faust's 1,500 lets a poll of an idle partition hold up the busy ones


class Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust ships no types for it
    """Faust's consumer thread with these two things of its own."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # read when the consumer starts
        return consumer

    def is_outside(self) -> bool:
        """Whether the group knows this member no longer."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        return (
            coordinator is not None
            and coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """As Faust's, with metadata.

        What else than a rebalance keeps a commit from being done ends the worker.
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
            # as upstream: whatever it is, the worker ends with it
            await self._give_up(error)
            return False
        return True

    async def _give_up(self, error: Exception) -> None:
        log.error("engine.commit_failed", error=repr(error))
        await self.crash(error)

    def _metadata(self, tp: TP) -> str:
        """What is durable of the changelog beside ``tp``; nothing where no states belong to it."""
        table = self.consumer.app.states
        return (
            written(table.note(tp.partition))
            if table is not None and tp.topic == table.source
            else ""
        )

    async def fetch_commits(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed, with its metadata. To be called in the thread."""
        coordinator = self._ensure_consumer()._coordinator
        return dict(await coordinator.fetch_committed_offsets(list(partitions)))
