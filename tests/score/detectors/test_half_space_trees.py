"""What is particular to the detector of several vitals; the laws of all are in
``test_table.py``.
"""

from __future__ import annotations

import random
from math import exp
from typing import Any

import pytest
from river.anomaly import HalfSpaceTrees as RiverTrees
from support.people import VECTOR, VECTOR_SETS, VITALS, feature, features, gross_values, vector

from rpm_stream.score.detectors import half_space_trees
from rpm_stream.score.detectors.codec import StateError
from rpm_stream.score.detectors.gaussian import Gaussian
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.protocol import WARM_AFTER, score_then_learn


@pytest.mark.parametrize("vitals", VECTOR_SETS, ids=len)
def test_scores_equal_rivers_bit_by_bit(vitals: tuple[str, ...]) -> None:
    """River is the oracle: its own object, fed the same coordinates, through several windows and
    shifts.
    """
    rng = random.Random(13)
    detector = HalfSpaceTrees(features(vitals))
    river: Any = RiverTrees(
        n_trees=half_space_trees.TREES,
        height=half_space_trees.HEIGHT,
        window_size=half_space_trees.WINDOW,
        seed=half_space_trees.SEED,
    )
    usual = {vital: Gaussian(feature(vital)) for vital in vitals}

    def places(x: dict[str, float]) -> dict[int, float]:
        return {
            at: half_space_trees.unusualness(usual[vital].deviation(x[vital]))
            for at, vital in enumerate(vitals)
        }

    seen = set()
    for step in range(700):
        reading = vector(1, rng, vitals)
        probe = {vital: value * rng.uniform(0.7, 1.4) for vital, value in reading.items()}
        if step >= WARM_AFTER:
            assert detector.score_one(probe) == river.score_one(places(probe))
            seen.add(detector.score_one(probe))
        river.learn_one(places(reading))
        detector.learn_one(reading)
        for vital in vitals:
            usual[vital].take(reading[vital])
    assert len(seen) > 10


def test_contributions_name_the_vital() -> None:
    """The one that is off contributes most; a usual vector has next to none."""
    rng = random.Random(17)
    detector = HalfSpaceTrees(features())
    for _ in range(300):
        detector.learn_one(vector(0, rng))
    usual = {vital: VITALS[vital].people[0][0] for vital in VECTOR}
    for vital in VECTOR:
        for gross in gross_values(vital, 0):
            parts = detector.contributions({**usual, vital: gross})
            assert max(parts, key=lambda name: parts[name]) == vital
            assert parts[vital] > 0.1
    assert max(map(abs, detector.contributions(usual).values())) < 0.05
    assert set(detector.contributions(usual)) == set(detector.expected()) == set(VECTOR)


@pytest.mark.parametrize("vitals", VECTOR_SETS, ids=len)
def test_a_vector_is_quiet_at_the_suggested_threshold(vitals: tuple[str, ...]) -> None:
    """At most 5 of 1,000 usual vectors of three and more vitals, 15 of two."""
    rng = random.Random(f"quiet {vitals}")
    detector = HalfSpaceTrees(features(vitals))
    flagged = [
        score_then_learn(detector, vector(0, rng, vitals), True) >= half_space_trees.THRESHOLD
        for _ in range(2000)
    ]
    assert sum(flagged) <= (10 if len(vitals) > 2 else 30)


def test_several_vitals_off_together_are_seen() -> None:
    """What it is for: three vitals, each still below its own detector's threshold, flagged as
    one vector.
    """
    rng = random.Random(19)
    detector = HalfSpaceTrees(features())
    for _ in range(300):
        detector.learn_one(vector(0, rng))
    expected = detector.expected()
    as_usual = {vital: usual for vital, (usual, _) in expected.items()}
    off = dict(as_usual)
    for vital, side in (("heart_rate", 1), ("respiratory_rate", 1), ("oxygen_saturation", -1)):
        usual, spread = expected[vital]
        off[vital] = usual * exp(side * 3.9 * spread / usual)  # the spread is one of the logarithm
        assert detector.score_one({**as_usual, vital: off[vital]}) < half_space_trees.THRESHOLD
    assert detector.score_one(off) >= half_space_trees.THRESHOLD


@pytest.mark.parametrize(
    "vitals", [(), ("heart_rate",), ("heart_rate", "heart_rate"), tuple(VITALS)]
)
def test_two_to_seven_different_features(vitals: tuple[str, ...]) -> None:
    """One vital has its own detector; the seed is tried for up to seven."""
    with pytest.raises(ValueError, match="2 to 7"):
        HalfSpaceTrees(features(vitals))


def test_features_in_another_order_are_other_settings() -> None:
    """The masses belong to positions: restored under another order they would be another
    patient's.
    """
    state = HalfSpaceTrees(features()).to_state()
    with pytest.raises(StateError, match="settings"):
        HalfSpaceTrees.from_state(features(VECTOR[::-1]), state)
