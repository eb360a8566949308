"""Every score at every alarm budget, beside NEWS2 and the random line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np

from rpm_stream.evaluation.alarms import (
    BUDGETS,
    REACHED,
    SILENCES,
    alarms,
    first_before_onset,
    ranks,
    threshold_for,
)
from rpm_stream.evaluation.bootstrap import draw_counts, drawn_means, interval_of
from rpm_stream.evaluation.calibration import calibrate
from rpm_stream.evaluation.cohort import (
    ABSENT,
    FIRST_NAMES,
    RANDOM,
    Cohort,
    Counts,
    Flags,
    Floats,
    score_matrix,
    score_names,
)
from rpm_stream.evaluation.collect import NEWS2
from rpm_stream.evaluation.discrimination import auroc_of, drawn_auroc, pair_sizes, pair_wins
from rpm_stream.evaluation.report import BudgetResult, CurvePoint, ScoreResult, SubgroupResult
from rpm_stream.evaluation.stays import Stay, Traits

PROBABILITIES = frozenset({"deterioration"})  # detectors whose score is a chance of an onset
TIES = "ties"  # the purpose of the random numbers that part equal scores
AGES = ((0, 49), (50, 64), (65, 79), (80, 200))
RANDOM_LINES = 10
CURVE = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.5, 2.0)  # alarms a patient-day, of the picture
SUBGROUP_AT = (SILENCES[0], 0.5)
Budget: TypeAlias = tuple[int, float]  # silence and budget


class Reach(NamedTuple):
    """The alarms of one score at one budget.

    ``leads`` has the hours before each onset, -1 where none of the window's hours alarms.
    """

    threshold: float  # a place of ``ranks``
    rung: Flags
    leads: Counts

    def caught(self) -> Floats:
        """Return 1.0 for each onset that has an alarm before it, else 0.0."""
        return (self.leads >= 0).astype(np.float64)


class Bench:
    """Measures scores on one cohort. All scores share the ties and the draws."""

    def __init__(self, cohort: Cohort, stays: Sequence[Stay]) -> None:
        self.cohort = cohort
        self._stays = stays
        self._ties = cohort.uniform(TIES)
        self.counts = draw_counts(len(stays))
        news2 = score_matrix(cohort, stays, NEWS2)
        self._news2 = self.reaches(news2)
        self._sizes = pair_sizes(cohort)
        self._news2_wins = pair_wins(cohort, news2)
        self._news2_drawn = self._drawn(self._news2_wins)

    @cached_property
    def _lines(self) -> list[Floats]:
        return [self.cohort.uniform(f"{RANDOM} {number}") for number in range(RANDOM_LINES)]

    def names(self) -> tuple[str, ...]:
        """Return the names of all scores."""
        return score_names(self._stays)

    def scores(self, name: str) -> Floats:
        """Return the score of each hour."""
        return score_matrix(self.cohort, self._stays, name)

    def reaches(self, scores: Floats) -> dict[Budget, Reach]:
        """Return the alarms of a score at each budget."""
        placed = ranks(scores, self._ties)
        return {
            (silence, budget): self._reach(placed, budget, silence)
            for silence in SILENCES
            for budget in BUDGETS
        }

    def random_share(self, rate: float) -> float | None:
        """Return the share of onsets that random alarms of a rate reach, with 4 hours of silence.

        It is the mean of several random lines, because the events of one are few.
        """
        if not len(self.cohort.onsets):
            return None
        caught = [self._reach(line, rate, SILENCES[0]).caught().mean() for line in self._lines]
        return float(np.mean(caught))

    def result(self, name: str, scores: Floats, reaches: dict[Budget, Reach]) -> ScoreResult:
        """Return all figures of one score."""
        counted = self.cohort.counted
        wins = pair_wins(self.cohort, scores)
        drawn = self._drawn(wins)
        return ScoreResult(
            name=name,
            known=float((scores[counted] > ABSENT).mean()),
            auroc=auroc_of(wins, self._sizes),
            auroc_interval=interval_of(drawn),
            auroc_difference=auroc_of(wins - self._news2_wins, self._sizes),
            auroc_difference_interval=interval_of(drawn - self._news2_drawn),
            budgets=tuple(self._at(scores, budget, reach) for budget, reach in reaches.items()),
            curve=tuple(self._curve(ranks(scores, self._ties))),
            calibration=(
                calibrate(self.cohort, scores, self.counts) if name in PROBABILITIES else None
            ),
        )

    def _drawn(self, wins: Floats) -> Floats:
        return drawn_auroc(self.cohort, self.counts, wins, self._sizes)

    def _reach(self, placed: Floats, budget: float, silence: int) -> Reach:
        threshold = threshold_for(self.cohort, placed, budget, silence)
        rung = alarms(placed, threshold, silence)
        return Reach(threshold, rung, first_before_onset(self.cohort, rung))

    def _curve(self, placed: Floats) -> Iterator[CurvePoint]:
        if not len(self.cohort.onsets):
            return
        for budget in CURVE:
            reach = self._reach(placed, budget, SILENCES[0])
            yield CurvePoint(
                rate=float(reach.rung.sum()) / self.cohort.days,
                sensitivity=float(reach.caught().mean()),
            )

    def _at(self, scores: Floats, at: Budget, reach: Reach) -> BudgetResult:
        silence, budget = at
        draws = self.counts[:, self.cohort.onsets]
        caught = reach.caught()
        news2 = self._news2[at].caught()
        leads = reach.leads[reach.leads >= 0]
        values = np.unique(scores[scores > ABSENT])
        place = reach.threshold
        none = not np.isfinite(place)
        return BudgetResult(
            silence=silence,
            budget=budget,
            threshold=None if none else float(values[int(place)]),
            ties=0.0 if none else 1.0 - (place - int(place)),
            rate=float(reach.rung.sum()) / self.cohort.days,
            sensitivity=float(caught.mean()) if len(caught) else None,
            interval=interval_of(drawn_means(draws, caught)),
            lead=float(np.median(leads)) if len(leads) else None,
            difference=float((caught - news2).mean()) if len(caught) else None,
            difference_interval=interval_of(drawn_means(draws, caught - news2)),
        )


def subgroup_results(
    cohort: Cohort, name: str, reach: Reach, people: dict[str, Traits]
) -> Iterator[SubgroupResult]:
    """Yield a score's sensitivity and rate for each age band and sex that occurs.

    The lines to compare with have none, nor has a score that alarms too rarely at every threshold.
    """
    rate = float(reach.rung.sum()) / cohort.days
    if (name in FIRST_NAMES and name != NEWS2) or rate < REACHED * SUBGROUP_AT[1]:
        return
    traits = [people.get(label.patient) for label in cohort.labels]
    groups = [
        (
            f"age {low} to {high}" if high < AGES[-1][1] else f"age {low} and over",
            np.array([each is not None and low <= each.age <= high for each in traits]),
        )
        for low, high in AGES
    ]
    groups += [
        (sex, np.array([each is not None and each.sex == sex for each in traits]))
        for sex in sorted({each.sex for each in traits if each is not None})
    ]
    caught = reach.caught()
    for group, member in groups:
        of_onsets = member[cohort.onsets]
        days = float(cohort.counted[:, member].sum()) / 24
        if days:
            yield SubgroupResult(
                score=name,
                group=group,
                stays=int(member.sum()),
                onsets=int(of_onsets.sum()),
                sensitivity=float(caught[of_onsets].mean()) if of_onsets.any() else None,
                rate=float(reach.rung[:, member].sum()) / days,
            )
