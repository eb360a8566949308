"""A real service for a test: its own broker, stages as processes, topics read back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.engine.lost import Note, read_note
from rpm_stream.app.kafka import names
from rpm_stream.app.kafka import topics as all_topics
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.kafka.range_reader import ends, reaching
from rpm_stream.app.operate.rebuild_state import GROUP_OF, SOURCES, StateStage, changelog

PATIENCE_SECONDS = 120.0


class Service:
    """Stages against one broker. ``log`` collects what they write to stderr."""

    def __init__(self, broker: Broker, folder: Path, settings: Mapping[str, str]) -> None:
        self.broker, self.folder = broker, folder
        self.log = folder / "stages.log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: list[tuple[str, int]] = []
        self.settings = dict(settings)
        self._environment = {
            **os.environ,
            "RPM_BOOTSTRAP": broker.bootstrap,
            "RPM_METRICS_PORT": "0",
            "RPM_DATA_DIR": str(folder),
            **settings,
        }

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    def start(
        self,
        stage: str,
        instance: str = "a",
        command: Sequence[str] = ("-m", "rpm_stream", "stage"),
        more: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start a stage process.

        ``instance`` is its name in the consumer group, ``command`` what Python runs, and ``more``
        is added to its environment. It inherits the files of ``pass_fds``.
        """
        with self.log.open("ab") as log:
            self.processes[f"{stage}-{instance}"] = subprocess.Popen(
                [sys.executable, *command, stage],
                env={**self._environment, "RPM_INSTANCE": instance, **(more or {})},
                pass_fds=pass_fds,
                stderr=log,
                stdout=log,
            )

    def revive(self) -> None:
        """Start stages that ended by themselves again, as the supervisor would.

        ``exits`` keeps their exit statuses.
        """
        for name, process in list(self.processes.items()):
            if (status := process.poll()) is not None:
                self.exits.append((name, status))
                stage, _, instance = name.partition("-")
                self.start(stage, instance)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """End a stage process with a signal. Return its exit status."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(30)

    def stop(self) -> None:
        for name in list(self.processes):
            process = self.processes.pop(name)
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running(
    folder: Path, settings: Mapping[str, str] | None = None, data: Path | None = None
) -> Iterator[Service]:
    """Run a broker with the nine topics and without stages. ``data`` is where the broker writes."""
    with Broker(data or folder / "broker", port=0) as broker:
        asyncio.run(all_topics.apply(broker.bootstrap))
        service = Service(broker, folder, settings or {})
        try:
            yield service
        finally:
            service.stop()


async def until(
    what: str, condition: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait for a condition on the broker's state."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)


async def _producer(bootstrap: str) -> AIOKafkaProducer:
    """Return an idempotent producer that has started.

    While the broker is away it waits, as a gateway does.
    """
    end = time.monotonic() + 60
    while True:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=5
        )
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
        else:
            return producer


async def send(
    bootstrap: str,
    frames: list[bytes],
    pause: Callable[[], float] = lambda: 0.0,
    size: int = 200,
    partition: int | None = None,
) -> None:
    """Send frames to rpm.frames in order, with their device as key.

    ``pause`` returns how long to wait after each ``size``. ``partition`` is where they go; with
    None the usual partitioner decides.
    """
    producer = await _producer(bootstrap)
    try:
        for start in range(0, len(frames), size):
            futures = [
                await producer.send(
                    names.FRAMES,
                    frame,
                    key=msgspec.json.decode(frame)["device"].encode(),
                    partition=partition,
                )
                for frame in frames[start : start + size]
            ]
            await asyncio.gather(*futures)
            await asyncio.sleep(pause())
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Return all records of a topic, by partition and offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    partitions = await partitions_of(admin, topic)
    await admin.close()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=300)).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def lag(bootstrap: str, group: str, topic: str) -> int:
    """Return the number of records of ``topic`` that ``group`` has not committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await admin.start()
    await consumer.start()
    try:
        ends = await consumer.end_offsets(await partitions_of(admin, topic))
        committed = await admin.list_consumer_group_offsets(group)
        return sum(
            end - (committed[tp].offset if tp in committed else 0) for tp, end in ends.items()
        )
    except KafkaError:  # the coordinator moves or loads: unknown counts as not drained
        return 1
    finally:
        await consumer.stop()
        await admin.close()


async def committed_notes(bootstrap: str, stage: StateStage) -> list[Note]:
    """Return the notes about its changelog in the commits of an agent.

    Check that the changelog holds at least what they name, whatever has happened.
    """
    async with reaching(bootstrap) as broker:
        commits = await broker.admin.list_consumer_group_offsets(GROUP_OF[stage])
        found = {tp.partition: end for tp, end in (await ends(broker, changelog(stage))).items()}
    notes = {
        tp.partition: read_note(one.metadata)
        for tp, one in commits.items()
        if tp.topic == SOURCES[stage]
    }
    # A growth of the topics withdraws the notes, because they were about other partitions.
    assert all(note is None or note.end <= found[partition] for partition, note in notes.items()), (
        notes,
        found,
    )
    return [note for note in notes.values() if note is not None]


async def drained(service: Service) -> None:
    """Wait until both agents have committed everything."""
    left = {names.GROUP_INGEST: -1, names.GROUP_JUDGE: -1}

    async def empty() -> bool:
        service.revive()
        for group, topics in names.GROUPS.items():
            left[group] = sum([await lag(service.bootstrap, group, topic) for topic in topics])
        return not any(left.values())

    try:
        await until("both agents drained", empty)
    except AssertionError as error:
        log = service.log.read_text(errors="replace")[-6_000:]
        raise AssertionError(f"{error}; lag {left}, exits {service.exits}, log:\n{log}") from None


def contents(
    records: list[ConsumerRecord], identity: Callable[[dict[str, Any]], Any]
) -> dict[Any, set[bytes]]:
    """Return the distinct contents of each id."""
    found: dict[Any, set[bytes]] = {}
    for record in records:
        found.setdefault(identity(msgspec.json.decode(record.value)), set()).add(record.value)
    return found
