"""Every detector is a River estimator: River's own checks, and those on data sets on our own data.

``river.checks.yield_checks`` gives the list. Its data-set checks would download River's credit
cards; here each runs on readings of a made-up person, every twentieth of them gross and labelled
so.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import checks, compose, preprocessing
from river.base import AnomalyDetector, DriftDetector
from support.people import VECTOR, VITALS, Vector, feature, features, gross_values, vector

from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.protocol import WARM_AFTER, Detector
from rpm_stream.score.detectors.table import DETECTORS, VITAL_DETECTORS

pytest.importorskip(
    "sklearn", reason="River's check of the ROC area needs scikit-learn (requirements/dev.txt)"
)

PLACES = {
    name: (feature("heart_rate"),) if name in VITAL_DETECTORS else features() for name in DETECTORS
}
each = pytest.mark.parametrize("name", DETECTORS)


def model(name: str) -> Detector:
    return DETECTORS[name].fresh(PLACES[name])


def labelled(scale: int = 1) -> list[tuple[Vector, bool]]:
    """Vectors of one person, each twentieth with one gross value."""
    rng = random.Random(23)
    rows = []
    for place in range(1000 * scale):
        row, gross = vector(0, rng), place % 20 == 19 and place > WARM_AFTER
        if gross:
            vital = "heart_rate" if place % 40 == 19 else VECTOR[place % len(VECTOR)]
            row = {
                **row,
                "heart_rate": rng.choice(gross_values("heart_rate", 0)),
                vital: gross_values(vital, 0)[0],
            }
        rows.append((row, gross))
    return rows


def checks_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """All checks of River for an anomaly detector, none left out, on our data."""

    def datasets(_model: object, scale: int = 1) -> Iterator[list[tuple[Vector, bool]]]:
        yield labelled(scale)

    monkeypatch.setattr(checks, "_yield_datasets", datasets)
    yield from checks.yield_checks(model(name))


@each
def test_rivers_checks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them; the list is at least as long as with the River of today."""
    done = set()
    assert model(name)._unit_test_skips() == set()
    for check in checks_of(name, monkeypatch):
        check(model(name))
        done.add(getattr(check, "__name__", ""))
    assert len(done) >= 26
    assert {"check_roc_auc", "check_disappearing_features", "check_bounded_memory_growth"} <= done


@each
def test_a_detector_works_in_a_pipeline_of_river(name: str) -> None:
    """``StandardScaler() | detector``: of a scaled vector what is not above zero is no vital, so
    it is moved up.
    """
    assert isinstance(model(name), AnomalyDetector)
    moved = compose.FuncTransformer(lambda x: {vital: 50.0 + value for vital, value in x.items()})
    pipeline = preprocessing.StandardScaler() | moved | model(name)
    rng = random.Random(3)
    for _ in range(2 * WARM_AFTER):
        pipeline.learn_one(vector(0, rng))
    usual = {vital: VITALS[vital].people[0][0] for vital in VECTOR}
    gross = {vital: value * 2 for vital, value in usual.items()}
    assert 0.0 <= pipeline.score_one(usual) < pipeline.score_one(gross) <= 1.0


# --- drift detectors: River has no checks for them, these are ours --------------------------------


def test_a_drift_detector_keeps_rivers_conventions() -> None:
    """``update`` returns nothing, ``drift_detected`` holds for the last value alone, a clone is
    fresh.
    """
    detector = Drift(feature("heart_rate"))
    assert isinstance(detector, DriftDetector)
    assert not detector.drift_detected
    assert inspect.signature(detector.update).parameters.keys() == {"x"}
    rng = random.Random(1)
    detected = []
    for step in range(600):
        assert detector.update(rng.gauss(72 if step < 300 else 95, 4)) is None
        if detector.drift_detected:
            detected.append(step)
    assert not [step for step in detected if step < 300], "a false alarm"
    assert detected, "no alarm"
    assert detected[0] <= 320, "a late one"
    assert not detector.drift_detected, "it holds for one value"
    clone = detector.clone()
    assert (clone.count, clone.width, clone.drift_detected) == (0, 0, False)
    assert detector.width > 0
