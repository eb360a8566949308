"""``rpm.registry`` in memory, read to its end before the first frame, then followed."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rpm_stream.app.kafka.names import REGISTRY
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.security import kafka_client
from rpm_stream.app.runtime import metrics
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import KINDS, Registry, RegistryError, entry_key
from rpm_stream.pipeline.stored_entry import put_unreadable, read_entry, stored_faults
from rpm_stream.score.rules.individual_limits import faults

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
        consumer, partitions = self._reading
        while True:
            try:
                ends = await consumer.end_offsets(partitions)
                while not await self._at(consumer, ends):
                    await asyncio.sleep(LOOK_SECONDS)
            except KafkaError:
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return

    async def run(self) -> None:
        """Read for ever. Raises the broker's errors."""
        consumer = AIOKafkaConsumer(
            **kafka_client(self._bootstrap),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            group_id=None,
        )
        try:
            await consumer.start()
            partitions = await self._partitions()
            consumer.assign(partitions)
            self._reading = consumer, partitions
            ends = await consumer.end_offsets(partitions)
            while True:
                if not self.ready.is_set() and await self._at(consumer, ends):
                    self.ready.set()
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self.apply(record.key, record.value)
        finally:
            await consumer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(**kafka_client(self._bootstrap))
        try:
            await admin.start()
            return await partitions_of(admin, REGISTRY)
        finally:
            await admin.close()

    async def _at(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
        return all([await consumer.position(partition) >= end for partition, end in ends.items()])

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
