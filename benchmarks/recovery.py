"""How long a stage takes to come back with the state of 10,000 patients: ``python benchmarks/recovery.py [patients]``.

The states are real ones (people with a strap and an oximeter at 1 Hz, through the pure pipeline), given to as many
names as are asked for and written to the changelogs as the stages write them, each twice: a changelog holds more than
the last version until it is compacted. Then the stage is started with one message waiting for it. Measured from the
start of its process to its first output; against the same with an empty changelog in the same run, so that what the
start itself costs (imports, joining the group) can be told from the price of the state.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pure
from aiokafka import AIOKafkaProducer
from rig.load import Load, frames_of
from rig.stages import CHANGELOGS, FIRST_OUTPUT, STAGES, Stage, Watch, broker_with, fill

from rpm_stream.pipeline.sealed import pack_device
from rpm_stream.pipeline.state import pack_patient, unpack_patient

PATIENTS = 10_000
VERSIONS = 2
PATIENCE_SECONDS = 300.0


def real_states() -> tuple[list[bytes], list[bytes]]:
    """Sealed states of devices and of patients after the load of ``pure.py``."""
    bench = pure.Bench()
    feed = [list(pure.frames_of(number, pure.ROUNDS)) for number in range(pure.PATIENTS)]
    for turn in range(2 * pure.ROUNDS):
        for patient in feed:
            bench.apply(*patient[turn])
    devices = [pack_device(state) for state in bench.devices.values()]
    return devices, [pack_patient(patient) for patient in bench.patients.values()]


def states_of(stage: Stage, patients: int, devices: list[bytes], sealed: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Key and sealed state of so many people, or of their two devices each."""
    for number in range(patients):
        if stage == "judge":
            name = f"other-{number:06d}"
            patient = unpack_patient(sealed[number % len(sealed)], name)
            patient.state.patient = name
            yield name.encode(), pack_patient(patient)
        else:
            for kind in ("strap", "oximeter"):
                yield f"other-{kind}-{number:06d}".encode(), devices[(2 * number + (kind == "strap")) % len(devices)]


async def write(bootstrap: str, topic: str, states: Iterator[tuple[bytes, bytes]]) -> tuple[int, int]:
    """All states, as often as a changelog has them. Returns how many, and their octets."""
    count = octets = 0
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 19) as producer:
        for key, state in states:
            for _ in range(VERSIONS):
                await producer.send(topic, state, key=key)
            count, octets = count + 1, octets + len(state)
        await producer.flush()
    return count, octets


def start(stage: Stage, bootstrap: str, folder: Path) -> subprocess.Popen[bytes]:
    """The stage as a process of its own."""
    settings: Mapping[str, str] = {
        "RPM_BOOTSTRAP": bootstrap, "RPM_METRICS_PORT": "0", "RPM_DATA_DIR": str(folder), "RPM_INSTANCE": "bench",
        "RPM_LOG_LEVEL": "WARNING", "RPM_TIME": "recorded",
    }  # fmt: skip
    with (folder / "stage.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rpm_stream", "stage", stage], env={**os.environ, **settings}, stdout=log, stderr=log
        )


async def first_output(stage: Stage, bootstrap: str, folder: Path) -> float:
    """Seconds from the start of the stage's process to its next output. A message must wait for it."""
    async with Watch(bootstrap) as watch:
        before = await watch.count(FIRST_OUTPUT[stage])
        began = time.monotonic()
        process = start(stage, bootstrap, folder)
        try:
            while await watch.count(FIRST_OUTPUT[stage]) == before:
                if process.poll() is not None or time.monotonic() > began + PATIENCE_SECONDS:
                    raise RuntimeError((folder / "stage.log").read_text(errors="replace")[-2000:])
                await asyncio.sleep(0.02)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(60)


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS
    load = Load(frames=2, patients=1)
    frames = list(frames_of(load))
    devices, sealed = real_states()
    with broker_with(load) as (broker, folder):

        def timed(frame: tuple[bytes, bytes]) -> dict[Stage, float]:
            """Ingest on a frame, then the judge on what ingest made of it."""
            asyncio.run(fill(broker.bootstrap, [frame]))
            return {stage: asyncio.run(first_output(stage, broker.bootstrap, folder)) for stage in STAGES}

        empty = timed(frames[0])
        written = {
            stage: asyncio.run(
                write(broker.bootstrap, CHANGELOGS["worker", stage], states_of(stage, patients, devices, sealed))
            )
            for stage in STAGES
        }
        full = timed(frames[1])
        for stage in STAGES:
            count, octets = written[stage]
            print(
                f"{stage:8} {count:,} states, {octets / 1e6:,.0f} MB, {VERSIONS} versions each: first output after "
                f"{full[stage]:.1f} s; with no state {empty[stage]:.1f} s; the state costs "
                f"{full[stage] - empty[stage]:.1f} s"
            )


if __name__ == "__main__":
    main()
