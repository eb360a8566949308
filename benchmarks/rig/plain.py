"""One stage as a plain aiokafka loop: the functions, topics and guarantees of the Faust stage.

It fetches, steps, sends the outputs and awaits them, writes the touched states to a compacted topic
and awaits them, and commits. It restores nothing, caps nothing and watches nothing: the least that
a stage costs on this client.

Run by the benchmarks: ``python -m rig.plain ingest|judge BOOTSTRAP``. It ends on SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents import ingest, judge
from rpm_stream.app.engine.application import Outgoing
from rpm_stream.app.kafka.names import FRAMES, GROUP_INGEST, GROUP_JUDGE, READINGS
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.collector import settle_collector
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import Ingest
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device

PARTITIONS = 4
MOST_RECORDS = 500  # of one poll, as the worker's broker_max_poll_records
FETCH_WAIT_MS = 50  # as the worker's
BATCH_BYTES = 1_048_576  # as the worker's
COMPRESSION = "zstd"  # as the worker's

Step = Callable[[Any, ConsumerRecord], list[Outgoing] | None]
Sent = asyncio.Future[Any]


class Loop:
    """One stage: its topic, its step, and its states by key."""

    def __init__(self, stage: str, registry: RegistryReader) -> None:
        settings = Settings()
        self._is_ingest = stage == "ingest"
        self.source, self.group = (
            (FRAMES, GROUP_INGEST) if self._is_ingest else (READINGS, GROUP_JUDGE)
        )
        self.changelog = f"{self.group}-plain-state"
        self._states: dict[bytes, Any] = {}
        if self._is_ingest:
            recorded = settings.time == "recorded"
            self._step: Step = ingest.IngestStep(
                Ingest(shipped(), registry.registry, recorded_time=recorded)
            ).apply
        else:
            self._step = judge.JudgeStep(
                Judge(shipped(), registry.registry), Clock.of(settings), PARTITIONS
            ).apply

    def _state(self, key: bytes) -> Any:
        if key not in self._states:
            self._states[key] = (
                unpack_device(None) if self._is_ingest else unpack_patient(None, key.decode())
            )
        return self._states[key]

    async def apply(
        self, producer: AIOKafkaProducer, tp: TopicPartition, records: list[ConsumerRecord]
    ) -> None:
        """Make the outputs durable, then the states."""
        sent: list[Sent] = []
        touched: set[bytes] = set()
        for record in records:
            touched.add(record.key)
            for topic, key, value, partition in self._step(self._state(record.key), record) or ():
                sent.append(await producer.send(topic, value, key=key, partition=partition))
        await asyncio.gather(*sent)
        pack = pack_device if self._is_ingest else pack_patient
        blobs = {key: pack(self._states[key]) for key in touched}
        written = [
            await producer.send(self.changelog, b, key=k, partition=tp.partition)
            for k, b in blobs.items()
        ]
        await asyncio.gather(*written)


async def run(stage: str, bootstrap: str) -> None:
    """Run until SIGTERM."""
    registry = RegistryReader(bootstrap)
    loop = Loop(stage, registry)
    reading = asyncio.create_task(registry.run())
    await registry.ready.wait()
    await _make_changelog(bootstrap, loop.changelog)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        max_batch_size=BATCH_BYTES,
        compression_type=COMPRESSION,
    )
    consumer = AIOKafkaConsumer(
        loop.source,
        bootstrap_servers=bootstrap,
        group_id=loop.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=MOST_RECORDS,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    settle_collector()  # as in the worker, so that the loops differ in nothing else
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with producer, consumer:
        while not stop.is_set():
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                await loop.apply(producer, tp, records)
                await consumer.commit({tp: records[-1].offset + 1})
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def _make_changelog(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(topic, PARTITIONS, 1, topic_configs={"cleanup.policy": "compact"})]
        )
    finally:
        await admin.close()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
