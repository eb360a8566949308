"""Compare the two stages on a real broker with a plain aiokafka loop and the pure pipeline.

Run: ``python benchmarks/worker.py [frames] [rounds] [--quick]``

The default is 4,000 frames of 30 notifications and 2 rounds, which takes 2 to 3 minutes
(``--quick``: 400 frames, once). Each round
measures all three, every second one in the other order, so that a drifting machine disturbs all
alike: look at the ratios. Worker and plain loop each get a fresh broker with the same frames in it,
and two processes, ingest and judge. "Through" is notifications a second from the first output to
the last state, while two processes share the machine with the broker. "Per core" is notifications a
second of CPU time of both processes together, without imports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median

from rig import options
from rig.load import NOTIFICATIONS, PATIENTS, Load, frames_of
from rig.pure import run_pure
from rig.stages import Kind, Run, Stages, broker_with, fill, measure

from rpm_stream.app.runtime.collector import settle_collector

FRAMES = 4_000
ROUNDS = 2
QUICK = (400, 1)
KINDS: tuple[Kind, ...] = ("worker", "plain")


def run_stages(kind: Kind, load: Load, frames: Sequence[tuple[bytes, bytes]]) -> Run:
    """Measure one run of one kind on a fresh broker."""
    with broker_with(load) as (broker, folder):
        asyncio.run(fill(broker.bootstrap, frames))
        stages = Stages(kind, broker.bootstrap, folder, {"RPM_TIME": "recorded"})
        try:
            return asyncio.run(measure(stages, len(frames)))
        finally:
            stages.stop()


def main(count: int, rounds: int) -> None:
    """Measure and print."""
    load = Load(frames=count)
    frames = list(frames_of(load))
    settle_collector()  # as in the stages and the plain loop
    notifications = NOTIFICATIONS * count
    print(
        f"{count} frames, {notifications} notifications, {PATIENTS} patients; {rounds} rounds,"
        " medians",
        flush=True,
    )
    pure: list[float] = []
    runs: dict[Kind, list[Run]] = {kind: [] for kind in KINDS}
    for turn in range(rounds):
        pure.append(run_pure(load, frames)[0])
        print(f"  pure   {notifications / pure[-1]:8.0f}/s", flush=True)
        for kind in KINDS if turn % 2 == 0 else KINDS[::-1]:
            run = run_stages(kind, load, frames)
            runs[kind].append(run)
            print(
                f"  {kind:6} {notifications / run.wall:8.0f}/s through, cpu {_shown(run)}",
                flush=True,
            )
    report(notifications, pure, runs)


def _shown(run: Run) -> str:
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in run.cpu.items())


def report(notifications: int, pure: Sequence[float], runs: dict[Kind, list[Run]]) -> None:
    """Print the table and the ratios.

    Ratios are of neighbours in one round, then the median.
    """
    print(f"\n{'':8}{'through/s':>11}{'per core/s':>12}{'ingest us':>11}{'judge us':>10}")
    print(f"{'pure':8}{'':>11}{notifications / median(pure):>12.0f}")
    for kind in KINDS:
        through = median(notifications / run.wall for run in runs[kind])
        core = median(notifications / sum(run.cpu.values()) for run in runs[kind])
        ingest, judge = (
            median(run.cpu[stage] for run in runs[kind]) / notifications * 1e6
            for stage in ("ingest", "judge")
        )
        print(f"{kind:8}{through:>11.0f}{core:>12.0f}{ingest:>11.1f}{judge:>10.1f}")
    pairs = list(zip(runs["worker"], runs["plain"], strict=True))
    print(
        "worker / plain, through: "
        f" {median(plain.wall / worker.wall for worker, plain in pairs):.2f}"
    )
    print(
        "worker / plain, per core:"
        f" {median(sum(p.cpu.values()) / sum(w.cpu.values()) for w, p in pairs):.2f}"
    )
    both = list(zip(pure, runs["worker"], strict=True))
    print(
        "worker / pure, per core: "
        f" {median(alone / sum(run.cpu.values()) for alone, run in both):.2f}"
    )


if __name__ == "__main__":
    parser = options.parser(__doc__)
    parser.add_argument("frames", nargs="?", type=int, default=FRAMES)
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    asked = parser.parse_args()
    main(*(QUICK if asked.quick else (asked.frames, asked.rounds)))
