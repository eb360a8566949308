"""Whether a score is higher before an onset than otherwise, at the same hour of the stay.

Onsets are commoner at some hours than at others, so a clock alone would seem to foresee them.
Pairs of hours from the same hour of the stay take the clock away.
"""

from __future__ import annotations

import numpy as np

from rpm_stream.evaluation.cohort import Cohort, Floats


def hour_matched_auroc(cohort: Cohort, scores: Floats) -> float | None:
    """Return the share of pairs in which the positive hour has the higher score.

    A pair is a positive hour and one that is not, of any stays, at the same hour of the stay. Pairs
    of all hours are pooled. Equal scores count half. An hour without a score is below all that have
    one. Returns None without pairs.
    """
    won = 0.0
    pairs = 0
    for hour in np.flatnonzero(cohort.positive.any(axis=1)):
        positive = cohort.positive[hour]
        before = scores[hour, positive]
        others = np.sort(scores[hour, cohort.counted[hour] & ~positive])
        won += np.searchsorted(others, before, "left").sum() / 2
        won += np.searchsorted(others, before, "right").sum() / 2
        pairs += len(before) * len(others)
    return float(won / pairs) if pairs else None
