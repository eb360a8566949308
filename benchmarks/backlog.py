"""Measure how much memory the stages take for a backlog.

Run: ``python benchmarks/backlog.py [frames] [--quick]`` (default 100,000; ``--quick``: 400
against 200).

rpm.frames is filled while the stages are down, with small frames of two measurements each, of 200
people in turn. Then both stages start, and their resident memory is read ten times a second until
all is drained. The claim is that it is bounded. A stage holds what it has fetched and not yet
acknowledged, and a state for each person, so a hundred times the backlog takes about as much as a
run with 1,000 frames of the same people.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
from rig import options
from rig.load import RECORDED_START, Load
from rig.stages import STAGES, Stage, Stages, Watch, broker_with, fill

from rpm_stream.app.kafka import names
from rpm_stream.records import Frame, Measurement

FRAMES = 100_000
FEW = 1_000
QUICK = (200, 400)
PEOPLE = 200
PATIENCE_SECONDS = 1800.0
POLL_SECONDS = 0.1


def small_frames(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of so many frames: a pulse and a saturation each, a minute apart."""
    for number in range(count):
        turn, person = divmod(number, PEOPLE)
        at = RECORDED_START + timedelta(minutes=turn)
        device = f"strap-{person:04d}"
        frame = Frame(
            v=1,
            frame=f"{device}.{turn}",
            gateway="backlog",
            device=device,
            seq=turn,
            boot="1",
            sent_at=at,
            measurements=[
                Measurement(at=at, vital="pulse_rate", value=str(70 + number % 7), unit="/min"),
                Measurement(at=at, vital="oxygen_saturation", value=str(96 + number % 3), unit="%"),
            ],
        )
        yield device.encode(), msgspec.json.encode(frame)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process, in MB (10**6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("the stage has ended")


async def largest(stages: Stages, frames: int) -> dict[Stage, float]:
    """Return the largest resident memory of each stage until ``frames`` frames are drained."""
    found = dict.fromkeys(STAGES, 0.0)
    end = time.monotonic() + PATIENCE_SECONDS
    async with Watch(stages.bootstrap) as watch:
        while True:
            for _ in range(10):
                for stage in STAGES:
                    stages.cpu(stage)  # raises if it has ended
                    found[stage] = max(found[stage], resident_mb(stages.processes[stage].pid))
                await asyncio.sleep(POLL_SECONDS)
            if (
                await watch.count(names.ACCOUNTS) >= frames
                and await watch.is_drained(names.GROUP_INGEST, names.FRAMES)
                and await watch.is_drained(names.GROUP_JUDGE, names.READINGS)
            ):
                return found
            if time.monotonic() > end:
                raise TimeoutError(f"{frames} frames were not drained in {PATIENCE_SECONDS:.0f} s")


def run(count: int) -> dict[Stage, float]:
    """Measure one run on a fresh broker."""
    load = Load(frames=count, patients=PEOPLE)
    with broker_with(load) as (broker, folder):
        asyncio.run(fill(broker.bootstrap, list(small_frames(count))))
        began = time.monotonic()
        stages = Stages("worker", broker.bootstrap, folder, {"RPM_TIME": "recorded"})
        try:
            found = asyncio.run(largest(stages, count))
        finally:
            stages.stop()
        said = ", ".join(f"{stage} at most {found[stage]:.0f} MB" for stage in STAGES)
        print(f"{count:,} frames, drained in {time.monotonic() - began:.0f} s: {said}", flush=True)
        return found


def main() -> None:
    parser = options.parser(__doc__)
    parser.add_argument("frames", nargs="?", type=int, default=FRAMES)
    asked = parser.parse_args()
    fewer, count = QUICK if asked.quick else (FEW, asked.frames)
    few = run(fewer)
    many = run(count)
    for stage in STAGES:
        print(f"{stage}: {many[stage] - few[stage]:+.0f} MB for {count // fewer} times the backlog")


if __name__ == "__main__":
    main()
