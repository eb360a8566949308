"""What is particular to the quantile detector; the laws of all are in ``test_table.py``."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import feature

from rpm_stream.score.detectors import quantile
from rpm_stream.score.detectors.protocol import WARM_AFTER
from rpm_stream.score.detectors.quantile import Quantile


@given(
    values=st.lists(st.floats(30, 250, width=32), min_size=1, max_size=260),
    q=st.sampled_from(quantile.QUANTILES),
)
@settings(max_examples=60, deadline=None)
def test_quantiles_are_those_of_the_window(values: list[float], q: float) -> None:
    """numpy is the oracle, while the window fills and after it is full; also after a restart in
    between.
    """
    detector = Quantile(feature("heart_rate"))
    for place, value in enumerate(values):
        detector.learn_one({"heart_rate": value})
        if place == 130:
            detector = Quantile.from_state((feature("heart_rate"),), detector.to_state())
    assert detector.quantile(q) == pytest.approx(
        np.quantile(values[-quantile.WINDOW :], q), rel=1e-6
    )


def test_each_side_has_its_own_spread() -> None:
    """A saturation at its ceiling: a fall of 4 is unusual for one who never falls, not for one
    who often does.
    """
    steady, falling = Quantile(feature("oxygen_saturation")), Quantile(feature("oxygen_saturation"))
    for n in range(WARM_AFTER):
        steady.learn_one({"oxygen_saturation": 98})
        falling.learn_one({"oxygen_saturation": 92 if n % 5 == 0 else 98})
    assert (
        steady.score_one({"oxygen_saturation": 93})
        > quantile.THRESHOLD
        > falling.score_one({"oxygen_saturation": 93}) + 0.3
    )
    assert steady.score_one({"oxygen_saturation": 99}) == pytest.approx(
        falling.score_one({"oxygen_saturation": 99})
    )


def test_a_tenth_of_wrong_values_moves_little() -> None:
    """A strap that reads double now and then leaves the usual where it was, and its values are
    still flagged.
    """
    rng = random.Random(4)
    detector = Quantile(feature("heart_rate"))
    for n in range(400):
        detector.learn_one({"heart_rate": 150 if n % 12 == 0 else round(rng.gauss(72, 4))})
    assert detector.expected()["heart_rate"][0] == pytest.approx(72, abs=1.5)
    assert detector.score_one({"heart_rate": 150}) > quantile.THRESHOLD


def test_restored_to_the_last_digit() -> None:
    """Kept in single precision from the first moment: what is restored is what was there."""
    detector = Quantile(feature("body_temperature"))
    for n in range(150):
        detector.learn_one({"body_temperature": 36.4 + n % 7 / 10})
    (kept,) = struct.unpack(">f", struct.pack(">f", detector.quantile(0.5)))
    assert kept == detector.quantile(0.5)
    restored = Quantile.from_state((feature("body_temperature"),), detector.to_state())
    assert restored.expected() == detector.expected()
