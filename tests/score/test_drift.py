"""What is particular to the adaptive window; the laws of all detectors are in ``test_detectors.py``."""

from __future__ import annotations

import random
from typing import Any

import pytest
from river.drift import ADWIN
from support.people import feature

from rpm_stream.score import drift
from rpm_stream.score.codec import StateError
from rpm_stream.score.detector import Feature
from rpm_stream.score.drift import Drift

BEAT = Feature(vital="heart_rate", resolution=2.0)


@pytest.mark.parametrize("seed", range(4))
def test_cuts_equal_rivers(seed: int) -> None:
    """River is the oracle: the same window and the same cuts, reading by reading, through two shifts."""
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
        river._drift_detected = False  # River's object begins anew after a change; its window itself goes on
        river.update(x / BEAT.resolution)
        assert (cut is not None) == river.drift_detected
        assert ours.width == int(river.width)
        assert ours.expected()[0] == pytest.approx(river.estimation * BEAT.resolution)
        cuts += cut is not None
    assert cuts >= 4


def test_a_cut_says_what_was_usual_before() -> None:
    """An alert says "8 higher than this person's usual of 72": both come from here."""
    detector = Drift(BEAT)
    cuts = [detector.take(72.0 + n % 3 - 1 + (8 if n >= 300 else 0)) for n in range(400)]
    first = next(cut for cut in cuts if cut)
    assert first.before == pytest.approx(72, abs=0.5)
    assert detector.expected()[0] == pytest.approx(80, abs=0.5)
    assert cuts[:300] == [None] * 300


def test_the_window_is_bounded() -> None:
    """CONTRACT 8: River's grows for ever; ours forgets its oldest bucket."""
    rng = random.Random(3)
    detector = Drift(BEAT)
    for _ in range(3000):
        detector.learn_one(rng.gauss(72, 6))
    assert drift.LONGEST // 2 < detector.width <= drift.LONGEST
    assert detector.count == 3000


def test_another_resolution_is_another_window() -> None:
    """The buckets hold multiples of it."""
    state = Drift(BEAT).to_state()
    with pytest.raises(StateError, match="settings"):
        Drift.from_state(feature("heart_rate"), state)
