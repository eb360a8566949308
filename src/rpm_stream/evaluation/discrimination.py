"""Whether a score is higher before an onset than otherwise, at the same hour of the stay.

Onsets are commoner at some hours than at others, so a clock alone would seem to foresee them.
Pairs of hours from the same hour of the stay take the clock away. A pair is a positive hour and one
that is not, of any stays, at the same hour of the stay. Pairs of all hours are pooled. The AUROC is
the share of pairs in which the positive hour has the higher score. Equal scores count half. An hour
without a score is below all that have one.

Pairs are kept by their two stays. A draw of the bootstrap then weighs them again without looking at
the hours.
"""

from __future__ import annotations

import numpy as np

from rpm_stream.evaluation.cohort import Cohort, Counts, Flags, Floats


def pair_sizes(cohort: Cohort) -> Floats:
    """Return the number of pairs: a row for each onset, a column for each stay."""
    positive = cohort.positive[:, cohort.onsets].astype(np.float64)
    sizes: Floats = positive.T @ _others(cohort).astype(np.float64)
    return sizes


def pair_wins(cohort: Cohort, scores: Floats) -> Floats:
    """Return in how many pairs the positive hour has the higher score, in the form of the sizes."""
    wins = np.zeros((len(cohort.onsets), len(cohort.labels)))
    others = _others(cohort)
    for row, column in enumerate(cohort.onsets):
        for hour in np.flatnonzero(cohort.positive[:, column]):
            score = scores[hour, column]
            higher = (score > scores[hour]) + 0.5 * (score == scores[hour])
            wins[row] += np.where(others[hour], higher, 0.0)
    return wins


def auroc_of(wins: Floats, sizes: Floats) -> float | None:
    """Return the hour-matched AUROC, or None without pairs."""
    pairs = sizes.sum()
    return float(wins.sum() / pairs) if pairs else None


def drawn_auroc(cohort: Cohort, counts: Counts, wins: Floats, sizes: Floats) -> Floats:
    """Return the AUROC of each draw, NaN without pairs."""
    weights = counts.astype(np.float64)
    of_onsets = weights[:, cohort.onsets]
    won = np.einsum("ds,ds->d", of_onsets @ wins, weights)
    pairs = np.einsum("ds,ds->d", of_onsets @ sizes, weights)
    drawn: Floats = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
    return drawn


def _others(cohort: Cohort) -> Flags:
    return cohort.counted & ~cohort.positive
