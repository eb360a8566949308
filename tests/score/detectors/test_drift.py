"""What is particular to the adaptive window; the laws of all detectors are in ``test_table.py``."""

from __future__ import annotations

import random
import struct
from math import sqrt
from typing import Any

import pytest
from river.drift import ADWIN
from support.people import feature

from rpm_stream.score.detectors import drift
from rpm_stream.score.detectors.codec import Stamp, StateError, seal
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.protocol import Feature

BEAT = Feature(vital="heart_rate", resolution=2.0)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_equal_rivers(seed: int) -> None:
    """River is the oracle: the same window and the same cuts, reading by reading, through two
    shifts.
    """
    rng = random.Random(seed)
    ours = Drift(BEAT)
    river: Any = ADWIN(
        delta=drift.DELTA,
        clock=1,
        max_buckets=drift.EACH,
        min_window_length=drift.SHORTEST,
        grace_period=drift.GRACE,
    )
    cuts = 0
    for reading in range(900):
        x = rng.gauss(82 if 300 < reading < 500 else 72, 6)
        cut = ours.take(x)
        # River's object begins anew after a change; its window itself goes on
        river._drift_detected = False
        river.update(x / BEAT.resolution)
        assert (cut is not None) == river.drift_detected
        assert ours.width == int(river.width)
        assert ours.expected()["heart_rate"][0] == pytest.approx(river.estimation * BEAT.resolution)
        cuts += cut is not None
    assert cuts >= 4


def test_a_cut_says_what_was_usual_before() -> None:
    """An alert says "8 higher than this person's usual of 72": both come from here."""
    detector = Drift(BEAT)
    cuts = [detector.take(72.0 + n % 3 - 1 + (8 if n >= 300 else 0)) for n in range(400)]
    first = next(cut for cut in cuts if cut)
    assert first.before == pytest.approx(72, abs=0.5)
    assert detector.expected()["heart_rate"][0] == pytest.approx(80, abs=0.5)
    assert cuts[:300] == [None] * 300


def test_the_window_is_bounded() -> None:
    """CONTRACT 8: River's grows for ever; ours forgets its oldest bucket."""
    rng = random.Random(3)
    detector = Drift(BEAT)
    for _ in range(3000):
        detector.learn_one({"heart_rate": rng.gauss(72, 6)})
    assert drift.LONGEST // 2 < detector.width <= drift.LONGEST
    assert detector.count == 3000


def test_another_resolution_is_another_window() -> None:
    """The buckets hold multiples of it."""
    state = Drift(BEAT).to_state()
    with pytest.raises(StateError, match="settings"):
        Drift.from_state((feature("heart_rate"),), state)


def test_a_state_of_version_1_is_read() -> None:
    """It kept the buckets alone, of 1 to 128 readings: window, usual and spread are what they
    were.
    """
    lengths = (2, 3, 3, 3, 3, 2, 0, 0)
    sizes = [1 << row for row, length in enumerate(lengths) for _ in range(length)]
    rng = random.Random(5)
    buckets = [(size * rng.uniform(36, 42), size * rng.uniform(1, 4)) for size in sizes]
    payload = struct.pack(">I8B", 300, *lengths) + b"".join(
        struct.pack(">dd", *each) for each in buckets
    )
    settings = f"heart_rate 2.0 delta={drift.DELTA} buckets=3,8"
    old = seal(Stamp(detector="drift", version="1", settings=settings), payload)
    detector = Drift.from_state((BEAT,), old)
    assert detector.count == 300
    assert detector.width == sum(sizes) == 156
    mean = sum(total for total, _ in buckets) / 156
    within = sum(squares for _, squares in buckets)
    between = sum(
        size * (total / size - mean) ** 2 for size, (total, _) in zip(sizes, buckets, strict=True)
    )
    usual, spread = detector.expected()["heart_rate"]
    assert usual == pytest.approx(2 * mean)
    assert spread == pytest.approx(2 * sqrt(1 + (within + between) / 156))
    assert Drift.from_state((BEAT,), detector.to_state()).window() == detector.window()
    with pytest.raises(StateError):
        Drift.from_state(
            (BEAT,), seal(Stamp(detector="drift", version="3", settings=settings), payload)
        )


def test_what_is_put_back_is_what_river_wrote() -> None:
    """The bytes that are made of checked numbers are River's own, but for its counts of buckets
    and of steps.
    """
    rng = random.Random(9)
    detector = Drift(BEAT)
    for step in range(2600):
        detector.learn_one({"heart_rate": rng.gauss(72 if step % 700 < 400 else 80, 6)})
        if step % 97 == 0:
            restored = Drift.from_state((BEAT,), detector.to_state())
            live, back = detector._helper.__getstate__(), restored._helper.__getstate__()
            assert (back[:64], back[88:]) == (live[:64], live[88:])
