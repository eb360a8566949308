"""A person's own part is River's regression: by River's own checks, and by what it learns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import checks

from rpm_stream.score.forecast.personal import WEIGHTS, OwnPart, correction, terms

pytest.importorskip(
    "sklearn", reason="River's check of a regression needs scikit-learn (requirements/dev.txt)"
)

numbers = st.floats(-20, 20)
four = st.lists(numbers, min_size=4, max_size=4)


def test_rivers_checks() -> None:
    done = 0
    for check in checks.yield_checks(OwnPart()):
        check(OwnPart())
        done += 1
    assert done >= 15


@given(four, four, st.floats(-100, 100))
def test_what_is_learned_is_what_river_learns(
    weights: list[float], by: list[float], error: float
) -> None:
    """One object serves all people: it has no memory beside the weights that it is given."""
    used = OwnPart()
    used.learned([5.0, 4.0, 3.0, 2.0], [1.0, 1.0, 1.0, 1.0], 7.0)
    fresh = OwnPart()
    assert used.learned(weights, by, error) == fresh.learned(weights, by, error)


@given(four, four)
def test_the_correction_is_rivers_prediction(weights: list[float], by: list[float]) -> None:
    part = OwnPart(rate=0.0)
    part.learned(weights, [0.0] * 4, 0.0)
    predicted = part.predict_one(dict(zip(WEIGHTS, by, strict=True)))
    assert correction(weights, by) == pytest.approx(predicted, abs=1e-9)


def test_a_large_error_teaches_no_more_than_a_moderate_one() -> None:
    part = OwnPart(most_error=20.0)
    zero = [0.0] * 4
    by = terms(30.0, 10.0, 5.0)
    assert part.learned(zero, by, 20.0) == part.learned(zero, by, 2000.0)
    assert part.learned(zero, by, 19.0) != part.learned(zero, by, 20.0)


def test_without_errors_it_returns_to_the_prior() -> None:
    part = OwnPart()
    weights = [4.0, -3.0, 2.0, -1.0]
    for _ in range(100_000):
        weights = part.learned(weights, [0.0] * 4, 0.0)
    assert max(map(abs, weights)) < 0.6
