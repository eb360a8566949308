"""Both stages as processes on a broker of their own, measured from outside.

The measures are CPU time and the times of records.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import ConsumerRecord

from rig.load import Load, registry_of
from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.kafka import names, topics
from rpm_stream.app.kafka.lag import live_members
from rpm_stream.app.kafka.partitions import partitions_of
from rpm_stream.app.registry import topic as registry_topic
from rpm_stream.records import Record

Kind = Literal["worker", "plain"]
Stage = Literal["ingest", "judge"]
STAGES: tuple[Stage, ...] = ("ingest", "judge")
BENCHMARKS = Path(__file__).resolve().parents[1]
CHANGELOGS = {
    ("worker", "ingest"): f"{names.GROUP_INGEST}-state-changelog",
    ("worker", "judge"): f"{names.GROUP_JUDGE}-state-changelog",
    ("plain", "ingest"): f"{names.GROUP_INGEST}-plain-state",
    ("plain", "judge"): f"{names.GROUP_JUDGE}-plain-state",
}
# one of these comes with the first messages
FIRST_OUTPUT = {"ingest": names.ACCOUNTS, "judge": names.SCORES}
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.05


class Run(Record, frozen=True, kw_only=True):
    """One run: seconds from the first output to the last state.

    Also the CPU seconds of each stage in that time.
    """

    wall: float
    cpu: dict[Stage, float]


class Stages:
    """The processes of one kind. ``BENCH_PROFILE`` names a folder to run each under cProfile.

    Judge loads more than ingest. It is started first and has joined its group before ingest is
    started, so that no time is measured in which one waits for the other's imports.
    """

    def __init__(
        self, kind: Kind, bootstrap: str, folder: Path, settings: Mapping[str, str]
    ) -> None:
        self.kind = kind
        self.bootstrap = bootstrap
        self._log = (folder / "stages.log").open("ab")
        self._environment = {
            **os.environ,
            "RPM_BOOTSTRAP": bootstrap,
            "RPM_METRICS_PORT": "0",
            "RPM_DATA_DIR": str(folder),
            "RPM_LOG_LEVEL": "WARNING",
            **settings,
        }
        self.processes: dict[Stage, subprocess.Popen[bytes]] = {"judge": self._start("judge")}
        asyncio.run(self._joined(names.GROUP_JUDGE))
        self.processes["ingest"] = self._start("ingest")

    def _start(self, stage: Stage) -> subprocess.Popen[bytes]:
        profile = self._environment.get("BENCH_PROFILE")
        cprofile = (
            ["-m", "cProfile", "-o", f"{profile}/{self.kind}-{stage}.prof"] if profile else []
        )
        module = ["-m", "rpm_stream", "stage", stage]
        if self.kind == "plain":
            module = ["-m", "rig.plain", stage, self.bootstrap]
        return subprocess.Popen(
            [sys.executable, *cprofile, *module],
            env=self._environment,
            cwd=BENCHMARKS,
            stdout=self._log,
            stderr=self._log,
        )

    async def _joined(self, group: str) -> None:
        """Wait until the group has a member."""
        async with Watch(self.bootstrap) as watch:
            while not await watch.members(group):
                self.cpu("judge")  # raises when it has ended
                await asyncio.sleep(POLL_SECONDS)

    def cpu(self, stage: Stage) -> float:
        """Return the CPU seconds so far. Raises RuntimeError when the process has ended."""
        process = self.processes[stage]
        if process.poll() is not None:
            said = Path(self._log.name).read_text(errors="replace")[-2000:]
            raise RuntimeError(
                f"{self.kind} {stage} ended with {process.returncode}; it said: {said}"
            )
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Send SIGTERM and wait."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


@contextmanager
def broker_with(load: Load) -> Iterator[tuple[Broker, Path]]:
    """Run a fresh broker with the topics and the registry of ``load``, and a scratch folder."""
    with (
        TemporaryDirectory(prefix="rpm-bench-") as name,
        Broker(Path(name) / "broker", port=0) as broker,
    ):
        asyncio.run(topics.apply(broker.bootstrap))
        asyncio.run(registry_topic.write(broker.bootstrap, registry_of(load)))
        yield broker, Path(name)


async def fill(bootstrap: str, frames: Sequence[tuple[bytes, bytes]]) -> None:
    """Write all frames into rpm.frames, in order."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, linger_ms=20
    ) as producer:
        for key, value in frames:
            await producer.send(names.FRAMES, value, key=key)
        await producer.flush()


class Watch:
    """A look at topics from outside. Open it with ``async with``."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> Watch:
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def count(self, topic: str) -> int:
        """Return the number of records ever written to the topic."""
        return sum(
            (await self._consumer.end_offsets(await partitions_of(self._admin, topic))).values()
        )

    async def is_drained(self, group: str, topic: str) -> bool:
        """Return whether the group has committed everything."""
        ends = await self._consumer.end_offsets(await partitions_of(self._admin, topic))
        committed = await self._admin.list_consumer_group_offsets(group)
        return all(
            end == (committed[tp].offset if tp in committed else 0) for tp, end in ends.items()
        )

    async def members(self, group: str) -> int:
        """Return the number of members of a consumer group, 0 before there are groups at all."""
        try:
            return await live_members(self._admin, group)
        except GroupCoordinatorNotAvailableError:
            return 0

    async def first_at(self, topic: str) -> float:
        """Return the time of the earliest first record of a partition, seconds since 1970."""
        tps = await partitions_of(self._admin, topic)
        return min(await self._times(dict.fromkeys(tps, 0)))

    async def last_at(self, topic: str) -> float:
        """Return the time of the latest last record of a partition, seconds since 1970."""
        ends = await self._consumer.end_offsets(await partitions_of(self._admin, topic))
        return max(await self._times({tp: end - 1 for tp, end in ends.items()}))

    async def read(self, topic: str) -> list[ConsumerRecord]:
        """Return all records of a topic; those of a partition in their order."""
        tps = await partitions_of(self._admin, topic)
        ends = await self._consumer.end_offsets(tps)
        self._consumer.assign(tps)
        await self._consumer.seek_to_beginning(*tps)
        found: list[ConsumerRecord] = []
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=300)).values():
                found += records
        return found

    async def _times(self, places: dict[TopicPartition, int]) -> list[float]:
        found = []
        for tp, offset in places.items():
            if offset >= 0:
                self._consumer.assign([tp])
                self._consumer.seek(tp, offset)
                found.append((await self._consumer.getone()).timestamp / 1000)
        return found


async def measure(stages: Stages, frames: int) -> Run:
    """Watch ``stages`` work through ``frames`` frames that are in the topic already."""
    async with Watch(stages.bootstrap) as watch:
        began = {stage: await _at_first_output(watch, stages, stage) for stage in STAGES}
        end = time.monotonic() + PATIENCE_SECONDS
        while not (
            await watch.count(names.ACCOUNTS) >= frames
            and await watch.is_drained(names.GROUP_INGEST, names.FRAMES)
            and await watch.is_drained(names.GROUP_JUDGE, names.READINGS)
        ):
            for stage in STAGES:
                stages.cpu(stage)  # raises when it has ended
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{stages.kind} did not drain {frames} frames in {PATIENCE_SECONDS:.0f} s"
                )
            await asyncio.sleep(4 * POLL_SECONDS)
        cpu = {stage: stages.cpu(stage) - began[stage] for stage in STAGES}
        wall = await watch.last_at(CHANGELOGS[stages.kind, "judge"]) - await watch.first_at(
            names.ACCOUNTS
        )
        return Run(wall=wall, cpu=cpu)


async def _at_first_output(watch: Watch, stages: Stages, stage: Stage) -> float:
    """Return the stage's CPU time when its first output is there.

    It is the cost of imports and of joining the group.
    """
    while not await watch.count(FIRST_OUTPUT[stage]):
        stages.cpu(stage)
        await asyncio.sleep(POLL_SECONDS)
    return stages.cpu(stage)
