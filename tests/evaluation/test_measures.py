"""AUROC, calibration and bootstrap against plain references and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labelled import coarse_scores, labels, make_stay

from rpm_stream.evaluation.bootstrap import draw_counts, drawn_means, interval_of
from rpm_stream.evaluation.calibration import calibrate, fit_line, reliability
from rpm_stream.evaluation.cohort import Cohort
from rpm_stream.evaluation.discrimination import auroc_of, drawn_auroc, pair_sizes, pair_wins
from rpm_stream.evaluation.scored import Bench
from rpm_stream.evaluation.stays import StayLabel

# --- AUROC ----------------------------------------------------------------------------------------


def pair_by_pair(cohort: Cohort, scores: np.ndarray) -> float | None:
    points: list[float] = []
    for hour in range(cohort.hours):
        columns = [place for place in range(len(cohort.labels)) if cohort.counted[hour, place]]
        for one in columns:
            for other in columns:
                if cohort.positive[hour, one] and not cohort.positive[hour, other]:
                    a, b = scores[hour, one], scores[hour, other]
                    points.append(1.0 if a > b else 0.5 if a == b else 0.0)
    return float(np.mean(points)) if points else None


def matched_auroc(cohort: Cohort, scores: np.ndarray) -> float | None:
    return auroc_of(pair_wins(cohort, scores), pair_sizes(cohort))


@given(labels(), st.integers(0, 1000))
def test_auroc_is_that_of_all_pairs(found: list[StayLabel], seed: int) -> None:
    cohort = Cohort(found)
    scores = coarse_scores(cohort, seed)
    expected = pair_by_pair(cohort, scores)
    found_value = matched_auroc(cohort, scores)
    assert found_value == (None if expected is None else pytest.approx(expected))


def test_a_clock_has_no_auroc() -> None:
    """A score that only counts the hours is right half of the time."""
    cohort = Cohort([StayLabel(patient="a", hours=40, onset=30), StayLabel(patient="b", hours=40)])
    assert matched_auroc(cohort, cohort.matrix([list(range(40))] * 2)) == 0.5


@given(labels(), st.integers(0, 1000))
def test_a_draw_has_the_auroc_of_its_stays(found: list[StayLabel], seed: int) -> None:
    """A stay that is drawn twice counts like two stays."""
    cohort = Cohort(found)
    scores = coarse_scores(cohort, seed)
    counts = draw_counts(len(found), 3)
    drawn = drawn_auroc(cohort, counts, pair_wins(cohort, scores), pair_sizes(cohort))
    for row, value in zip(counts, drawn, strict=True):
        columns = np.repeat(np.arange(len(found)), row)
        again = Cohort([found[column] for column in columns])
        expected = pair_by_pair(again, scores[: again.hours, columns])
        assert np.isnan(value) if expected is None else value == pytest.approx(expected)


# --- calibration ----------------------------------------------------------------------------------


def outcomes(chance: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(3).random(len(chance)) < chance).astype(float)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (1.0, -1.0), (2.0, 0.7)])
def test_the_line_of_known_odds_is_found(slope: float, intercept: float) -> None:
    odds = np.random.default_rng(2).normal(-1.0, 1.5, 60_000)
    chance = 1 / (1 + np.exp(-odds))
    line = fit_line(chance, outcomes(1 / (1 + np.exp(-(intercept + slope * odds)))))
    assert line == pytest.approx((intercept, slope), abs=0.05)


def test_no_line_goes_through_one_score_or_parted_outcomes() -> None:
    assert fit_line(np.full(9, 0.2), np.array([0.0, 1.0, 0.0] * 3)) is None
    assert fit_line(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])) is None


def test_tenths_by_hand() -> None:
    chance = np.arange(20) / 20
    outcome = np.array([0.0] * 18 + [0.0, 1.0])
    bins = reliability(chance, outcome)
    assert [each.hours for each in bins] == [2] * 10
    assert (bins[-1].expected, bins[-1].observed) == (pytest.approx(0.925), 0.5)
    assert bins[0].expected == pytest.approx(0.025)


def test_skill_by_hand() -> None:
    """24 hours, 12 of them before the onset: the base rate's error is a quarter."""
    cohort = Cohort([StayLabel(patient="a", hours=24, onset=23)])
    counts = draw_counts(1)
    right = calibrate(cohort, cohort.matrix([[0.0] * 12 + [1.0] * 12]), counts)
    same = calibrate(cohort, cohort.matrix([[0.5] * 24]), counts)
    wrong = calibrate(cohort, cohort.matrix([[1.0] * 12 + [0.0] * 12]), counts)
    assert right is not None and same is not None and wrong is not None
    assert [each.skill for each in (right, same, wrong)] == [1.0, 0.0, -3.0]
    assert right.skill_interval == (1.0, 1.0)
    assert (same.base_rate, same.brier, same.slope) == (0.5, 0.25, None)
    assert right.top_observed_over_expected == 1.0


def test_without_an_onset_there_is_no_calibration() -> None:
    cohort = Cohort([StayLabel(patient="a", hours=24)])
    assert calibrate(cohort, cohort.matrix([[0.5] * 24]), draw_counts(1)) is None


# --- bootstrap ------------------------------------------------------------------------------------


@given(st.integers(1, 40))
def test_a_draw_has_as_many_stays_as_there_are(stays: int) -> None:
    counts = draw_counts(stays, 20)
    assert (counts.sum(axis=1) == stays).all()
    assert (counts == draw_counts(stays, 20)).all()


def test_the_interval_is_that_of_a_share() -> None:
    """For 25 of 100 the binomial interval is 0.25 ± 0.085."""
    values = np.array([1.0] * 25 + [0.0] * 75)
    interval = interval_of(drawn_means(draw_counts(100), values))
    assert interval == pytest.approx((0.165, 0.335), abs=0.02)


def test_a_draw_without_onsets_is_left_out() -> None:
    assert drawn_means(np.array([[0, 0], [2, 0]]), np.array([1.0, 0.0])).tolist() == [1.0]
    assert interval_of(np.array([])) is None


def test_a_score_equal_to_news2_differs_by_nothing() -> None:
    """The difference is paired: each draw has the same stays and the same ties on both sides."""
    random = np.random.default_rng(1)
    stays = []
    for number in range(30):
        values = random.integers(0, 9, 40).astype(float)
        series = {"news2": values, "twin": 10 * values}
        stays.append(make_stay(f"p{number}", 40, 30 if number % 2 else None, series))
    bench = Bench(Cohort([stay.label for stay in stays]), stays)
    scores = bench.scores("twin")
    result = bench.result("twin", scores, bench.reaches(scores))
    assert (result.auroc_difference, result.auroc_difference_interval) == (0.0, (0.0, 0.0))
    assert {each.difference for each in result.budgets} == {0.0}
    assert {each.difference_interval for each in result.budgets} == {(0.0, 0.0)}
    assert all(each.sensitivity is not None for each in result.budgets)


def test_a_score_that_knows_reaches_every_onset_with_the_whole_lead() -> None:
    stays = [
        make_stay(
            f"p{number}",
            48,
            30 if number < 5 else None,
            {"oracle": [float(number < 5 and hour > 18) for hour in range(48)]},
        )
        for number in range(40)
    ]
    bench = Bench(Cohort([stay.label for stay in stays]), stays)
    scores = bench.scores("oracle")
    result = bench.result("oracle", scores, bench.reaches(scores))
    at_one = next(each for each in result.budgets if (each.silence, each.budget) == (4, 1.0))
    assert (at_one.sensitivity, at_one.lead) == (1.0, 11.0)
    assert result.auroc == 1.0
    assert result.calibration is None
