"""How far a figure may be off by chance: the stays are drawn again, with replacement.

All scores see the same draws, so the difference of two scores is a paired one.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from rpm_stream.evaluation.cohort import Counts, Floats

Interval: TypeAlias = tuple[float, float]
DRAWS = 1000
SEED = 20261130
COVERAGE = (2.5, 97.5)  # percentiles of a 95 % interval


def draw_counts(stays: int, draws: int = DRAWS) -> Counts:
    """Return how often each stay is in each draw: a row for each draw.

    >>> draw_counts(5, 2).sum(axis=1).tolist()
    [5, 5]
    """
    random = np.random.default_rng(SEED)
    made = np.zeros((draws, stays), dtype=np.int64)
    if stays:
        for row in range(draws):
            made[row] = np.bincount(random.integers(0, stays, stays), minlength=stays)
    return made


def drawn_means(counts: Counts, values: Floats) -> Floats:
    """Return the mean of ``values`` in each draw that holds any, weighted by ``counts``."""
    sizes = counts.sum(axis=1)
    filled = sizes > 0
    means: Floats = (counts[filled] @ values) / sizes[filled]
    return means


def interval_of(figures: Floats) -> Interval | None:
    """Return the 95 % interval of the draws' figures, or None without figures."""
    finite = figures[np.isfinite(figures)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, COVERAGE)
    return float(low), float(high)
