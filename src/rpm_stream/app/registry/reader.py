"""``rpm.registry`` in memory, read to its end before the first frame, then followed."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from rpm_stream.app.kafka.clients import admin, consumer
from rpm_stream.app.kafka.follow import follow, reached
from rpm_stream.app.kafka.names import REGISTRY
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.runtime import metrics
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import KINDS, Registry, RegistryError, entry_key
from rpm_stream.pipeline.stored_entry import put_unreadable, read_entry, stored_faults
from rpm_stream.score.rules.entry_faults import faults

log = structlog.get_logger()

LOOK_SECONDS = 0.01
AWAY_SECONDS = 0.5


class RegistryReader:
    """Keeps ``registry`` equal to the topic. ``ready`` is set once the topic was read to its end.

    With ``knowledge`` it logs each unusable setting and exports their number as a metric.
    """

    def __init__(self, bootstrap: str, knowledge: Knowledge | None = None) -> None:
        self.registry = Registry()
        self.ready = asyncio.Event()
        self._bootstrap = bootstrap
        self._knowledge = knowledge
        self._faulty: dict[str, int] = {}
        self._reading: tuple[AIOKafkaConsumer, list[TopicPartition]] | None = None

    async def caught_up(self) -> None:
        """Return once ``registry`` holds all records that are in the topic now.

        A broker that is away only delays this.
        """
        await self.ready.wait()
        assert self._reading is not None
        reader, partitions = self._reading
        while True:
            try:
                ends = await reader.end_offsets(partitions)
                while not await reached(reader, ends):
                    await asyncio.sleep(LOOK_SECONDS)
            except KafkaError:
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return

    async def run(self) -> None:
        """Read for ever. Raises UsageError when no broker answers, later the broker's errors."""
        async with consumer(self._bootstrap) as reader:
            async with admin(self._bootstrap) as client:
                partitions = await partitions_of(client, REGISTRY)
            reader.assign(partitions)
            self._reading = reader, partitions
            await follow(reader, lambda one: self.apply(one.key, one.value), self.ready.set)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one message."""
        name = (key or b"").decode(errors="replace")
        if value is None:
            self.registry.remove(name)
            self._tell(name, [])
            return
        try:
            stored = read_entry(value)
        # the content may name a patient, so only the fault is logged
        except RegistryError as error:
            log.error("registry.entry_ignored", of=name.partition("/")[0], fault=str(error))
            if name.partition("/")[0] in KINDS:  # other kinds are of a later release
                put_unreadable(self.registry, name)
                self._count(name, 1)
            return
        self.registry.put(stored.entry, stored.left_out)
        found = [
            *stored_faults(stored),
            *(faults(stored.entry, self._knowledge) if self._knowledge else ()),
        ]
        self._tell(entry_key(stored.entry), found)

    def _tell(self, name: str, found: list[str]) -> None:
        """Log the unusable settings of an entry, and count them.

        Somebody made the setting and relies on it, so it is never ignored in silence.
        """
        self._count(name, len(found))
        for fault in found:
            log.error("registry.setting_ignored", of=name.partition("/")[0], fault=fault)

    def _count(self, name: str, faulty: int) -> None:
        """Update the number of unusable settings of an entry."""
        if faulty or name in self._faulty:
            self._faulty[name] = faulty
            metrics.REGISTRY_FAULTS.set(sum(self._faulty.values()))
            if not faulty:
                del self._faulty[name]
