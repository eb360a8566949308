"""From a score to alarms: a threshold, the silence after each alarm, and a budget.

An alarm is an hour whose score is at least the threshold, if no alarm of the same stay came in the
hours of silence before it. With a silence of 4 hours an alarm in hour 10 is followed by one in hour
14 at the earliest. The rate is the number of alarms over all counted hours, a patient-day.

A coarse score such as NEWS2 jumps over a budget: at 7 points there are too few alarms, at 6 too
many. So hours of one score are put in a random order. A threshold then takes all hours of 7 points
and a part of those of 6. ``ranks`` has the place of a score among all scores, plus a random number
below 1 that is the same in every run.
"""

from __future__ import annotations

import numpy as np

from rpm_stream.evaluation.cohort import ABSENT, Cohort, Counts, Flags, Floats

BUDGETS = (0.25, 0.5, 1.0)  # alarms a patient-day
SILENCES = (4, 12)  # hours
REACHED = 0.9  # of a budget; a score with fewer alarms has too few hours to be compared


def ranks(scores: Floats, ties: Floats) -> Floats:
    """Return the place of each score among the different scores, ties in the order of ``ties``.

    An hour without a score stays ``ABSENT``.

    >>> ranks(np.array([[5.0, 7.0], [5.0, -np.inf]]), np.array([[0.1, 0.5], [0.7, 0.2]])).tolist()
    [[0.1, 1.5], [0.7, -inf]]
    """
    known = scores > ABSENT
    placed = np.full(scores.shape, ABSENT)
    placed[known] = np.unique(scores[known], return_inverse=True)[1] + ties[known]
    return placed


def alarms(scores: Floats, threshold: float, silence: int) -> Flags:
    """Return the hours of alarms.

    >>> score = np.array([[1.0], [9.0], [9.0], [9.0], [9.0], [9.0]])
    >>> alarms(score, 5, 4)[:, 0].tolist()
    [False, True, False, False, False, True]
    """
    above = (scores >= threshold) & (scores > ABSENT)
    made = np.zeros_like(above)
    quiet_until = np.zeros(above.shape[1], dtype=np.int64)
    for hour in np.flatnonzero(above.any(axis=1)):
        ring = above[hour] & (quiet_until <= hour)
        made[hour] = ring
        quiet_until[ring] = hour + silence
    return made


def threshold_for(cohort: Cohort, scores: Floats, budget: float, silence: int) -> float:
    """Return the lowest threshold with at most ``budget`` alarms a patient-day, by bisection.

    It is one of the scores, or infinite where even the highest score alone is too much.
    """
    values = np.unique(scores[scores > ABSENT])
    most = budget * cohort.days
    low = 0
    high = len(values)
    while low < high:
        middle = (low + high) // 2
        if alarms(scores, values[middle], silence).sum() <= most:
            high = middle
        else:
            low = middle + 1
    return float(values[low]) if low < len(values) else float("inf")


def first_before_onset(cohort: Cohort, rung: Flags) -> Counts:
    """Return for each onset the hours from the first alarm of its window to it, -1 without one.

    The onset comes in the order of ``cohort.onsets``.
    """
    window = rung[:, cohort.onsets] & cohort.positive[:, cohort.onsets]
    reached = window.any(axis=0)
    if not window.size:
        return np.full(len(cohort.onsets), -1, dtype=np.int64)
    return np.where(reached, cohort.onset_hours - window.argmax(axis=0), -1)
