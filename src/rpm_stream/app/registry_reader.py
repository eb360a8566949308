"""``rpm.registry`` in memory: read to its end before the first frame, then followed."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from rpm_stream.app.names import REGISTRY
from rpm_stream.app.partitions import partitions_of
from rpm_stream.registry import Registry, RegistryError, parse_entry

log = structlog.get_logger()


class RegistryReader:
    """Keeps ``registry`` as the topic has it; ``ready`` is set once it was read to its end."""

    def __init__(self, bootstrap: str) -> None:
        self.registry = Registry()
        self.ready = asyncio.Event()
        self._bootstrap = bootstrap

    async def run(self) -> None:
        """Read for ever. Raises what the broker says."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, auto_offset_reset="earliest", group_id=None
        )
        try:
            await consumer.start()
            partitions = await self._partitions()
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            while True:
                if not self.ready.is_set() and await self._at(consumer, ends):
                    self.ready.set()
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._apply(record.key, record.value)
        finally:
            await consumer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await admin.start()
            return await partitions_of(admin, REGISTRY)
        finally:
            await admin.close()

    async def _at(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
        return all([await consumer.position(partition) >= end for partition, end in ends.items()])

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        if value is None:
            self.registry.remove((key or b"").decode(errors="replace"))
            return
        try:
            self.registry.put(parse_entry(value))
        except RegistryError as error:  # its content may name a patient: only the fault is said
            log.warning("registry entry ignored", fault=str(error))
