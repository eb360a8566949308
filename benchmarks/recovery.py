"""Measure how long a stage takes to come back with the state of 10,000 patients.

Run: ``python benchmarks/recovery.py [patients] [--quick]`` (default 10,000, measured three times;
``--quick``: 20, once).

The states are real ones (people with a strap and an oximeter at 1 Hz, through the pure pipeline),
copied to as many names as are asked for. They are written to the changelogs as the stages write
them, each twice, because a changelog holds more than the last version until it is compacted. Then
both stages are started at once, with one message waiting for each.

Measured are the time from the start of the processes to the first output of each, and the CPU time
that each took until then, which other work on the machine disturbs less. The same run measures
empty changelogs too, so that the cost of the start itself (imports, joining the group) can be
separated from that of the state.
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
from rig import options
from rig.load import Load, frames_of
from rig.stages import CHANGELOGS, FIRST_OUTPUT, STAGES, Stage, Watch, broker_with, fill

from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device
from rpm_stream.records import Record

PATIENTS = 10_000
VERSIONS = 2
RUNS = 3
QUICK_PATIENTS = 20
PATIENCE_SECONDS = 300.0


class First(Record, frozen=True, kw_only=True):
    """Seconds and CPU seconds of a stage from its start to its first output."""

    wall: float
    cpu: float


def real_states(people: int) -> tuple[list[bytes], list[tuple[str, bytes]]]:
    """Return sealed states of devices, and of patients with their names.

    They are those of so many people after the load of ``pure.py``.
    """
    bench = pure.Bench(people)
    feed = [list(pure.frames_of(number, pure.ROUNDS)) for number in range(people)]
    for turn in range(2 * pure.ROUNDS):
        for patient in feed:
            bench.apply(*patient[turn])
    devices = [pack_device(state) for state in bench.devices.values()]
    return devices, [(name, pack_patient(patient)) for name, patient in bench.patients.items()]


def states_of(
    stage: Stage, patients: int, devices: list[bytes], sealed: list[tuple[str, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and sealed state of so many people, or of their two devices each."""
    for number in range(patients):
        if stage == "judge":
            name = f"other-{number:06d}"
            owner, blob = sealed[number % len(sealed)]
            patient = unpack_patient(blob, owner)
            patient.state.patient = name
            yield name.encode(), pack_patient(patient)
        else:
            for kind in ("strap", "oximeter"):
                yield (
                    f"other-{kind}-{number:06d}".encode(),
                    devices[(2 * number + (kind == "strap")) % len(devices)],
                )


async def write(
    bootstrap: str, topic: str, states: Iterator[tuple[bytes, bytes]]
) -> tuple[int, int]:
    """Write all states, as often as a changelog has them. Return their number and bytes."""
    count = octets = 0
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 19
    ) as producer:
        for key, state in states:
            for _ in range(VERSIONS):
                await producer.send(topic, state, key=key)
            count = count + 1
            octets = octets + len(state)
        await producer.flush()
    return count, octets


def start(stage: Stage, bootstrap: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start the stage as a process of its own."""
    settings: Mapping[str, str] = {
        "RPM_BOOTSTRAP": bootstrap,
        "RPM_METRICS_PORT": "0",
        "RPM_DATA_DIR": str(folder),
        "RPM_INSTANCE": "bench",
        "RPM_LOG_LEVEL": "WARNING",
        "RPM_TIME": "recorded",
    }
    with (folder / "stage.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "rpm_stream", "stage", stage],
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        )


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def first_outputs(bootstrap: str, folder: Path) -> dict[Stage, First]:
    """Start both stages at once, and return the next output of each.

    A message must wait for them.
    """
    async with Watch(bootstrap) as watch:
        before = {stage: await watch.count(FIRST_OUTPUT[stage]) for stage in STAGES}
        began = time.monotonic()
        processes = {stage: start(stage, bootstrap, folder) for stage in STAGES}
        found: dict[Stage, First] = {}
        try:
            while len(found) < len(STAGES):
                for stage, process in processes.items():
                    if process.poll() is not None or time.monotonic() > began + PATIENCE_SECONDS:
                        raise RuntimeError(
                            (folder / "stage.log").read_text(errors="replace")[-2000:]
                        )
                    if (
                        stage not in found
                        and await watch.count(FIRST_OUTPUT[stage]) > before[stage]
                    ):
                        found[stage] = First(wall=time.monotonic() - began, cpu=cpu(process))
                await asyncio.sleep(0.02)
            return found
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(60)


def main() -> None:
    parser = options.parser(__doc__)
    parser.add_argument("patients", nargs="?", type=int, default=PATIENTS)
    asked = parser.parse_args()
    patients, runs = (QUICK_PATIENTS, 1) if asked.quick else (asked.patients, RUNS)
    # each frame is of another person, as a first value gives a score
    load = Load(frames=2 + runs, patients=2 + runs)
    frames = list(frames_of(load))
    devices, sealed = real_states(min(patients, pure.PATIENTS))
    with broker_with(load) as (broker, folder):

        def timed(frame: tuple[bytes, bytes]) -> dict[Stage, First]:
            asyncio.run(fill(broker.bootstrap, [frame]))
            return asyncio.run(first_outputs(broker.bootstrap, folder))

        empty = timed(frames[0])  # makes the changelogs, and warms the broker
        if not asked.quick:
            empty = timed(frames[1])
        for stage in STAGES:
            states = states_of(stage, patients, devices, sealed)
            count, octets = asyncio.run(
                write(broker.bootstrap, CHANGELOGS["worker", stage], states)
            )
            print(
                f"{stage:8} {count:,} states, {octets / 1e6:,.0f} MB, {VERSIONS} versions each",
                flush=True,
            )
        for frame in frames[2:]:
            full = timed(frame)
            for stage in STAGES:
                print(
                    f"{stage:8} first output after {full[stage].wall:.1f} s, CPU"
                    f" {full[stage].cpu:.1f} s; with no state {empty[stage].wall:.1f} s, CPU"
                    f" {empty[stage].cpu:.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
