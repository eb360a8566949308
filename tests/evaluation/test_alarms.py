"""Alarms of a score: silence, budget, ties and the lead before an onset, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.labelled import coarse_scores, labels

from rpm_stream.evaluation.alarms import alarms, first_before_onset, ranks, threshold_for
from rpm_stream.evaluation.cohort import ABSENT, Cohort
from rpm_stream.evaluation.stays import StayLabel

SEEDS = st.integers(0, 1000)


def plain_alarms(scores: list[float], threshold: float, silence: int) -> list[int]:
    found: list[int] = []
    for hour, score in enumerate(scores):
        if score >= threshold and (not found or hour - found[-1] >= silence):
            found.append(hour)
    return found


@given(labels(), SEEDS, st.integers(0, 5), st.sampled_from([1, 4, 12]))
def test_alarms_are_those_of_a_plain_loop(
    found: list[StayLabel], seed: int, threshold: int, silence: int
) -> None:
    cohort = Cohort(found)
    scores = coarse_scores(cohort, seed)
    made = alarms(scores, threshold, silence)
    for column in range(len(found)):
        expected = plain_alarms(scores[:, column].tolist(), threshold, silence)
        assert np.flatnonzero(made[:, column]).tolist() == expected


def test_the_second_alarm_comes_when_the_silence_ends() -> None:
    scores = np.array([[9.0]] * 10)
    assert np.flatnonzero(alarms(scores, 9, 4)[:, 0]).tolist() == [0, 4, 8]
    assert np.flatnonzero(alarms(scores, 9, 12)[:, 0]).tolist() == [0]


def test_an_hour_without_a_score_never_alarms() -> None:
    """Also where the threshold is below every score."""
    assert not alarms(np.full((5, 2), ABSENT), ABSENT, 4).any()


@given(labels(), SEEDS, st.sampled_from([0.25, 0.5, 1.0, 3.0]), st.sampled_from([4, 12]))
def test_a_threshold_keeps_the_budget(
    found: list[StayLabel], seed: int, budget: float, silence: int
) -> None:
    cohort = Cohort(found)
    placed = ranks(coarse_scores(cohort, seed), cohort.uniform("ties"))
    threshold = threshold_for(cohort, placed, budget, silence)
    assert alarms(placed, threshold, silence).sum() <= budget * cohort.days


@pytest.mark.parametrize("budget", [0.25, 0.5, 1.0])
def test_a_coarse_score_uses_its_whole_budget(budget: float) -> None:
    """All hours have one of three scores, so without an order of ties 0.5 a day is out of reach."""
    cohort = Cohort([StayLabel(patient=f"p{number}", hours=48) for number in range(50)])
    placed = ranks(coarse_scores(cohort, 1, values=3), cohort.uniform("ties"))
    rate = alarms(placed, threshold_for(cohort, placed, budget, 4), 4).sum() / cohort.days
    assert budget - 0.02 < rate <= budget


@given(labels(), SEEDS)
def test_ties_change_no_order_of_different_scores(found: list[StayLabel], seed: int) -> None:
    cohort = Cohort(found)
    scores = coarse_scores(cohort, seed)
    placed = ranks(scores, cohort.uniform("ties"))
    known = scores > ABSENT
    order = np.argsort(placed[known])
    assert (np.diff(scores[known][order]) >= 0).all()
    assert (placed[~known] == ABSENT).all()


@given(labels(), SEEDS)
def test_the_lead_is_that_of_the_first_alarm_in_the_window(
    found: list[StayLabel], seed: int
) -> None:
    cohort = Cohort(found)
    rung = alarms(coarse_scores(cohort, seed), 4, 4)
    expected = []
    for column, label in enumerate(found):
        if label.onset is None:
            continue
        window = range(max(label.onset - 11, 0), min(label.onset + 1, label.hours))
        leads = [label.onset - hour for hour in window if rung[hour, column]]
        expected.append(max(leads, default=-1))
    assert first_before_onset(cohort, rung).tolist() == expected


def test_hours_after_the_onset_count_nowhere() -> None:
    cohort = Cohort([StayLabel(patient="a", hours=30, onset=14)])
    assert cohort.days == 15 / 24
    assert np.flatnonzero(cohort.positive[:, 0]).tolist() == list(range(3, 15))
    assert (cohort.matrix([[1.0] * 30])[15:] == ABSENT).all()


def test_random_numbers_of_a_stay_do_not_depend_on_the_others() -> None:
    one = StayLabel(patient="a", hours=5)
    other = StayLabel(patient="b", hours=9)
    alone = Cohort([one]).uniform("random")[:5, 0]
    assert alone.tolist() == Cohort([other, one]).uniform("random")[:5, 1].tolist()
    assert alone.tolist() != Cohort([one]).uniform("ties")[:5, 0].tolist()
