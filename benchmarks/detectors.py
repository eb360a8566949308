"""What a learned detector costs: CPU time a score and a learning, and bytes of state, for each one in the table.

Run: ``python benchmarks/detectors.py [readings]`` (default 20,000). Prints one table; the time is this process's CPU
time, the least of three runs, so a busy machine disturbs it little.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from rpm_stream.score.detector import WARM_AFTER, Detector, Feature, score_then_learn
from rpm_stream.score.detectors import VECTOR_DETECTORS, VITAL_DETECTORS

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
RUNS = 3


def cost(fresh: Callable[[], Detector[X]], readings: Sequence[X]) -> tuple[float, int]:
    """Microseconds of CPU a reading (scored, then learned, after the warm-up), and bytes of state at the end."""
    best, size = float("inf"), 0
    for _ in range(RUNS):
        detector = fresh()
        for reading in readings[:WARM_AFTER]:
            detector.learn_one(reading)
        start = time.process_time()
        for reading in readings:
            score_then_learn(detector, reading, True)
        best, size = min(best, time.process_time() - start), len(detector.to_state())
    return best / len(readings) * 1e6, size


def restoring(restore: Callable[[bytes], object], state: bytes) -> float:
    """Microseconds of CPU to check and restore a state."""
    times = 1000
    start = time.process_time()
    for _ in range(times):
        restore(state)
    return (time.process_time() - start) / times * 1e6


def main(readings: int) -> None:
    """Print the table."""
    rng = random.Random(1)
    vectors = [{vital: rng.gauss(row[0], row[1]) for vital, row in VITALS.items()} for _ in range(readings)]
    pulses = [vector["heart_rate"] for vector in vectors]
    print(f"{'detector':<20}{'score+learn us':>16}{'restore us':>12}{'state bytes':>13}")
    for name, vital_kind in VITAL_DETECTORS.items():
        microseconds, size = cost(partial(vital_kind.fresh, FEATURES[0]), pulses)
        state = vital_kind.fresh(FEATURES[0]).to_state()
        restored = restoring(partial(vital_kind.restore, FEATURES[0]), state)
        print(f"{name:<20}{microseconds:>16.2f}{restored:>12.1f}{size:>13}")
    for name, vector_kind in VECTOR_DETECTORS.items():
        microseconds, size = cost(partial(vector_kind.fresh, FEATURES), vectors)
        state = vector_kind.fresh(FEATURES).to_state()
        restored = restoring(partial(vector_kind.restore, FEATURES), state)
        print(f"{name:<20}{microseconds:>16.2f}{restored:>12.1f}{size:>13}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
