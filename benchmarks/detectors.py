"""Measure what each learned detector in the table costs.

Run: ``python benchmarks/detectors.py [readings] [--quality] [--quick]`` (default 20,000;
``--quick``: 500).

It prints one table: CPU time of a score and a learning, and bytes of state. The time is this
process's CPU time, the least of three runs, so a busy machine disturbs it little. ``--quality``
prints instead what the alarms of each are worth on real data, beside NEWS2 and chance (a minute or
two; needs RPM_SHARED), with ``--quick`` of few people.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from rig import detector_quality, options

from rpm_stream.score.detectors.protocol import WARM_AFTER, Detector, Feature
from rpm_stream.score.detectors.table import VECTOR_DETECTORS, VITAL_DETECTORS

X = TypeVar("X")

# vital: usual value, standard deviation, resolution
VITALS = {
    "heart_rate": (72.0, 6.0, 1.0),
    "respiratory_rate": (16.0, 2.0, 1.0),
    "oxygen_saturation": (97.0, 1.0, 1.0),
    "systolic": (128.0, 10.0, 1.0),
    "body_temperature": (36.8, 0.3, 0.1),
}
FEATURES = tuple(Feature(vital=vital, resolution=row[2]) for vital, row in VITALS.items())
READINGS = 20_000
QUICK_READINGS = 500
RUNS = 3
RESTORED = 500


def cost(
    fresh: Callable[[], Detector],
    readings: Sequence[dict[str, float]],
    restore: Callable[[bytes], object],
) -> tuple[float, float, float, float]:
    """Return microseconds of CPU for a score, a learning and a restoring, after the warm-up.

    The last figure is the number of bytes of the largest state.
    """
    score = learn = restored = float("inf")
    size = 0
    for _ in range(RUNS):
        detector = fresh()
        for reading in readings[:WARM_AFTER]:
            detector.learn_one(reading)
        score = min(score, timed(detector.score_one, readings))
        learn = min(learn, timed(detector.learn_one, readings))
        state = detector.to_state()
        restored = min(restored, timed(restore, [state] * RESTORED))
        size = max(size, len(state))
    return score, learn, restored, size


def timed(do: Callable[[X], object], inputs: Sequence[X]) -> float:
    """Return microseconds of CPU for each."""
    start = time.process_time()
    for each in inputs:
        do(each)
    return (time.process_time() - start) / len(inputs) * 1e6


def main(readings: int) -> None:
    """Print the table."""
    rng = random.Random(1)
    vectors = [
        {vital: rng.gauss(row[0], row[1]) for vital, row in VITALS.items()} for _ in range(readings)
    ]
    pulses = [{"heart_rate": vector["heart_rate"]} for vector in vectors]
    print(f"{'detector':<20}{'score us':>10}{'learn us':>10}{'restore us':>12}{'state bytes':>13}")
    for name, vital_kind in VITAL_DETECTORS.items():
        row(
            name,
            cost(
                partial(vital_kind.fresh, FEATURES[0]),
                pulses,
                partial(vital_kind.restore, FEATURES[:1]),
            ),
        )
    for name, vector_kind in VECTOR_DETECTORS.items():
        row(
            name,
            cost(
                partial(vector_kind.fresh, FEATURES),
                vectors,
                partial(vector_kind.restore, FEATURES),
            ),
        )


def row(name: str, costs: Sequence[float]) -> None:
    """Return one line of the table."""
    score, learn, restore, size = costs
    print(f"{name:<20}{score:>10.2f}{learn:>10.2f}{restore:>12.1f}{size:>13,.0f}")


if __name__ == "__main__":
    parser = options.parser(__doc__)
    parser.add_argument("readings", nargs="?", type=int, default=READINGS)
    parser.add_argument("--quality", action="store_true")
    asked = parser.parse_args()
    if asked.quality:
        detector_quality.main(Path(os.environ.get("RPM_SHARED", "../shared")), asked.quick)
    else:
        main(QUICK_READINGS if asked.quick else asked.readings)
