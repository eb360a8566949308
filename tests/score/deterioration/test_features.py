"""The features and the model: NEWS2's own points, what is unknown, and parts that add up."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.deterioration import FEATURES, MEASURED, SERIES
from rpm_stream.score.deterioration.features import Chart, Features
from rpm_stream.score.deterioration.hours import EPOCH, HOUR, KEPT_HOURS, Hours, hour_of
from rpm_stream.score.deterioration.model import Model
from rpm_stream.score.deterioration.taking import Taker
from rpm_stream.score.rules.news2 import News2Chart

TABLE = shipped().deterioration
FEATURES_OF = Features(TABLE, shipped().news2)
MODEL = Model(TABLE)
WELL = {
    "heart_rate": 72.0,
    "respiratory_rate": 15.0,
    "oxygen_saturation": 97.0,
    "systolic": 125.0,
    "diastolic": 75.0,
    "body_temperature": 36.8,
}
ILL = {
    "heart_rate": 118.0,
    "respiratory_rate": 27.0,
    "oxygen_saturation": 91.0,
    "systolic": 98.0,
    "diastolic": 52.0,
    "body_temperature": 38.9,
}
PLACE = {feature: place for place, feature in enumerate(FEATURES)}
PARTS = {
    "respiratory_rate": "respiratory_rate",
    "oxygen_saturation": "oxygen_saturation",
    "systolic": "systolic",
    "heart_rate": "pulse",
    "body_temperature": "body_temperature",
}


def course(*hours: dict[str, float]) -> tuple[Hours, int]:
    """Return what is kept after these hours, and the last of them."""
    kept = Hours()
    taker = Taker(TABLE)
    at = EPOCH
    for values in hours:
        at += HOUR
        taker.take(kept, at, values)
    return kept, hour_of(at)


@given(st.sampled_from(sorted(PARTS)), st.integers(0, 30_000))
def test_points_are_those_of_the_chart(vital: str, hundredths: int) -> None:
    """For every value, at the ends of each band and between two steps of the chart."""
    row = shipped().news2.parameters()[PARTS[vital]]
    grid = np.full((len(SERIES), KEPT_HOURS), np.nan)
    grid[MEASURED.index(PARTS[vital])] = hundredths / 100
    points = Chart(shipped().news2).points(grid)[:, -1]
    expected = News2Chart(shipped()).points(vital, Decimal(hundredths) / 100, row.unit, "1")
    assert points.sum() == expected


def test_one_value_a_vital_is_a_course_without_any_change() -> None:
    kept, now = course(WELL)
    vector = FEATURES_OF.vector(kept, now, {"age": 50.0})
    assert vector.shape == (len(FEATURES),)
    for series in SERIES:
        newest = vector[PLACE[series, "now"]]
        for width in (6, 12, 24):
            for name in ("mean", "highest", "lowest"):
                assert vector[PLACE[series, f"{name}_{width}"]] == pytest.approx(newest)
        for name in ("from_own", "change", "slope"):
            assert vector[PLACE[series, name]] == pytest.approx(0)
        assert np.isnan(vector[PLACE[series, "own_spread"]]), "of one hour no spread is known"
    assert vector[PLACE["news2", "total"]] == 0
    assert vector[PLACE["person", "oxygen"]] == 0
    assert vector[PLACE["person", "age"]] == 50


def test_windows_look_as_far_back_as_they_say() -> None:
    hours = [{"heart_rate": 60.0}] * 12 + [{"heart_rate": 80.0}] * 6 + [{"heart_rate": 90.0}] * 6
    kept, now = course(*hours)
    vector = FEATURES_OF.vector(kept, now, {})
    found = {name: vector[PLACE["pulse", name]] for group, name in FEATURES if group == "pulse"}
    assert found["mean_6"] == 90
    assert found["mean_12"] == 85
    assert found["mean_24"] == pytest.approx(72.5)
    assert (found["lowest_6"], found["lowest_12"], found["lowest_24"]) == (90, 80, 60)
    assert found["slope"] == 10
    assert found["change"] == 10
    assert found["own_spread"] == pytest.approx(np.std([60] * 12 + [80] * 6 + [90] * 6))


def test_a_constant_series_has_a_finite_distance_from_its_own_mean() -> None:
    kept, now = course(*[WELL] * 23, {**WELL, "oxygen_saturation": 96.0})
    vector = FEATURES_OF.vector(kept, now, {})
    assert vector[PLACE["oxygen_saturation", "from_own"]] == pytest.approx(-0.96, abs=0.05)


@given(st.sets(st.sampled_from(sorted(WELL))))
def test_what_is_unknown_moves_nothing(unknown: set[str]) -> None:
    kept, now = course(*[{name: WELL[name] for name in WELL if name not in unknown}] * 6)
    if unknown == set(WELL):
        return
    risk = MODEL.risk(FEATURES_OF.vector(kept, now, {}))
    for vital in unknown:
        assert PARTS.get(vital, vital) not in risk.parts
    assert 0 < risk.probability < 1


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=len(FEATURES)))
def test_any_features_give_a_probability_and_its_parts(numbers: list[float]) -> None:
    risk = MODEL.risk(np.array(numbers[: len(FEATURES)]))
    assert 0 <= risk.probability <= 1
    if 1e-3 < risk.probability < 1 - 1e-3:
        logit = log(risk.probability / (1 - risk.probability))
        assert logit == pytest.approx(TABLE.intercept + sum(risk.parts.values()), abs=0.02)


def test_who_is_ill_has_a_higher_score_than_who_is_well() -> None:
    """The score of a person who was well and turns ill comes above the threshold."""
    well = MODEL.risk(FEATURES_OF.vector(*course(*[WELL] * 24), {})).probability
    turning = MODEL.risk(FEATURES_OF.vector(*course(*[WELL] * 18, *[ILL] * 6), {})).probability
    assert well < min(TABLE.thresholds.values()) < TABLE.alarm_from < turning


def test_a_pressure_of_zero_gives_no_shock_index() -> None:
    kept, now = course({**WELL, "systolic": 0.0}, WELL)
    vector = FEATURES_OF.vector(kept, now, {})
    assert np.isnan(vector[PLACE["shock_index", "mean_6"]])
    assert 0 < MODEL.risk(vector).probability < 1


def test_the_horizon_of_a_day_shifts_nothing() -> None:
    """Time is data: the same course on other days gives the same features (law 4)."""
    hours = [WELL] * 5 + [ILL] * 2
    vectors = []
    for days in (0, 17):
        kept = Hours()
        at = EPOCH + timedelta(days=days)
        for values in hours:
            at += HOUR
            Taker(TABLE).take(kept, at, values)
        vectors.append(FEATURES_OF.vector(kept, hour_of(at), {"age": 70.0}))
    np.testing.assert_array_equal(*vectors)
