"""What is particular to the detector of one vital; the laws of all are in ``test_table.py``."""

from __future__ import annotations

import random
from math import inf, log, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import stats
from support.people import PEOPLE, VITALS, feature, normal

from rpm_stream.score.detectors import gaussian
from rpm_stream.score.detectors.codec import StateError
from rpm_stream.score.detectors.gaussian import Gaussian
from rpm_stream.score.detectors.protocol import WARM_AFTER, Feature, score_then_learn


@given(st.lists(st.floats(60, 90), min_size=3, max_size=gaussian.MEMORY))
@settings(max_examples=50, deadline=None)
def test_moments_equal_rivers_while_all_readings_weigh_alike(values: list[float]) -> None:
    """Before forgetting begins, and where nothing is clipped, mean and variance are River's of
    the logarithms.
    """
    wide = Feature(vital="heart_rate", resolution=30.0)  # so wide that no reading is clipped
    detector, mean, variance = Gaussian(wide), stats.Mean(), stats.Var(ddof=0)
    for value in values:
        detector.learn_one({"heart_rate": value})
        mean.update(log(value))
        variance.update(log(value))
    _, learned_mean, learned_variance = detector.moments()
    assert learned_mean == pytest.approx(mean.get(), abs=1e-12)
    assert learned_variance == pytest.approx(variance.get(), abs=1e-12)


def test_expected_says_usual_value_and_spread_in_the_vitals_unit() -> None:
    """An alert says "7 above her usual 72, give or take 6"."""
    detector = Gaussian(feature("heart_rate"))
    with pytest.raises(ValueError, match="nothing learned"):
        detector.expected()
    rng = random.Random(2)
    for _ in range(400):
        detector.learn_one({"heart_rate": normal("heart_rate", 0, rng)})
    usual, spread = detector.expected()["heart_rate"]
    assert usual == pytest.approx(72, abs=2)
    assert spread == pytest.approx(6, abs=1.5)
    assert detector.deviation(usual + spread) == pytest.approx(1, abs=0.1)
    assert detector.deviation(usual - spread) == pytest.approx(-1, abs=0.1)


def test_a_vital_that_never_varied_has_its_resolution_as_spread() -> None:
    """One percent less than always is no anomaly; without the floor it would be an infinite one."""
    detector = Gaussian(feature("oxygen_saturation"))
    for _ in range(WARM_AFTER):
        detector.learn_one({"oxygen_saturation": 98})
    assert detector.expected()["oxygen_saturation"] == pytest.approx((98, 1))
    assert detector.score_one({"oxygen_saturation": 98}) == 0.0
    assert detector.score_one({"oxygen_saturation": 97}) == pytest.approx(0.5, abs=0.01)
    assert detector.score_one({"oxygen_saturation": 93}) > gaussian.THRESHOLD


def test_one_wrong_value_moves_little() -> None:
    """A gross value that is learned all the same leaves the usual where it was, and is still
    flagged.
    """
    rng = random.Random(4)
    detector = Gaussian(feature("heart_rate"))
    detector.learn_one({"heart_rate": 200})  # the very first: a strap that is being put on
    for _ in range(300):
        detector.learn_one({"heart_rate": normal("heart_rate", 0, rng)})
    usual, spread = detector.expected()["heart_rate"]
    assert usual == pytest.approx(72, abs=2)
    detector.learn_one({"heart_rate": 220})
    assert detector.expected()["heart_rate"][0] - usual < 0.05 * spread
    assert detector.score_one({"heart_rate": 220}) > gaussian.THRESHOLD


@pytest.mark.parametrize("vital", VITALS)
@pytest.mark.parametrize("person", PEOPLE)
def test_one_vital_is_quiet_at_the_suggested_threshold(vital: str, person: int) -> None:
    """At most 5 of 1,000 usual readings, learning as it goes: the alert feed can be trusted to
    be quiet.
    """
    rng = random.Random(f"quiet {vital} {person}")
    detector = Gaussian(feature(vital))
    flagged = [
        score_then_learn(detector, {vital: normal(vital, person, rng)}, True) >= gaussian.THRESHOLD
        for _ in range(2000)
    ]
    assert sum(flagged) <= 10


@pytest.mark.parametrize("resolution", [0.0, -1.0, nan, inf])
def test_a_resolution_must_be_a_number_above_zero(resolution: float) -> None:
    """It is the floor of the spread, hence a divisor."""
    with pytest.raises(ValueError):
        Feature(vital="heart_rate", resolution=resolution)


def test_another_resolution_keeps_what_was_learned() -> None:
    """Correcting the knowledge table must not make every patient's detector start again."""
    first = Gaussian(feature("heart_rate"))
    first.learn_one({"heart_rate": 70})
    other = Gaussian.from_state((Feature(vital="heart_rate", resolution=2.0),), first.to_state())
    assert other.moments() == first.moments()


def test_state_of_another_vital_is_refused() -> None:
    """The same bytes would be a plausible detector: 70 beats and 70 mmHg look alike."""
    state = Gaussian(feature("heart_rate")).to_state()
    with pytest.raises(StateError, match="settings"):
        Gaussian.from_state((feature("diastolic"),), state)
