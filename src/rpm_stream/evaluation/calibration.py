"""Whether a probability means what it says.

Only a score that is a probability of an onset within the next 12 hours is measured. Its hours are
the counted ones that have a score.

- ``slope`` and ``intercept`` of a logistic regression of the outcome on the log odds that the
  score gives: 1 and 0 if it is right. A slope below 1 means that high values are too high and low
  ones too low.
- ``observed`` over ``expected`` in the tenth of the hours with the highest scores.
- ``skill``: how much smaller the mean squared error (Brier) is than that of the base rate for
  everybody. 0 is no better, 1 is perfect.
"""

from __future__ import annotations

import numpy as np

from rpm_stream.evaluation.bootstrap import interval_of
from rpm_stream.evaluation.cohort import ABSENT, Cohort, Counts, Flags, Floats
from rpm_stream.evaluation.report import Calibration, ReliabilityBin

BINS = 10
STEPS = 50  # of Newton's method, which needs fewer than 10 where there is a solution
NEAREST = 1e-6  # a probability of 0 or 1 has no log odds
SMALL = 1e-10


def calibrate(cohort: Cohort, scores: Floats, counts: Counts) -> Calibration | None:
    """Return the calibration of a probability, or None without hours of both outcomes.

    ``counts`` are the draws of the bootstrap.
    """
    known = cohort.counted & (scores > ABSENT)
    chance = np.clip(scores[known], 0.0, 1.0)
    outcome = cohort.positive[known].astype(np.float64)
    base = float(outcome.mean()) if len(outcome) else 0.0
    if not 0.0 < base < 1.0:
        return None
    bins = tuple(reliability(chance, outcome))
    line = fit_line(chance, outcome)
    return Calibration(
        hours=len(outcome),
        base_rate=base,
        slope=None if line is None else line[1],
        intercept=None if line is None else line[0],
        top_observed_over_expected=bins[-1].observed / max(bins[-1].expected, NEAREST),
        brier=float(np.mean((chance - outcome) ** 2)),
        skill=1 - float(np.mean((chance - outcome) ** 2)) / (base * (1 - base)),
        skill_interval=interval_of(_drawn_skill(cohort, scores, known, counts)),
        bins=bins,
    )


def reliability(chance: Floats, outcome: Floats) -> list[ReliabilityBin]:
    """Return tenths of the hours by rising score, each with its mean score and share of onsets."""
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return [
        ReliabilityBin(
            hours=len(part),
            expected=float(chance[part].mean()),
            observed=float(outcome[part].mean()),
        )
        for part in parts
    ]


def fit_line(chance: Floats, outcome: Floats) -> tuple[float, float] | None:
    """Return intercept and slope of the outcome's log odds over those of the score.

    Returns None if all scores are equal, or if they part the outcomes without an error.
    """
    clipped = np.clip(chance, NEAREST, 1 - NEAREST)
    odds = np.log(clipped / (1 - clipped))
    if np.ptp(odds) < SMALL:
        return None
    design = np.stack([np.ones_like(odds), odds], axis=1)
    line = np.zeros(2)
    for _ in range(STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        weight = fitted * (1 - fitted)
        hessian = design.T @ (design * weight[:, None])
        if np.linalg.cond(hessian) > 1 / SMALL:
            return None
        step = np.linalg.solve(hessian, design.T @ (outcome - fitted))
        line = line + step
        if float(np.abs(step).max()) < SMALL:
            return float(line[0]), float(line[1])
    return None


def _drawn_skill(cohort: Cohort, scores: Floats, known: Flags, counts: Counts) -> Floats:
    """Return the skill of each draw, with the base rate of the draw."""
    outcome = cohort.positive.astype(np.float64)
    error = np.where(known, (np.clip(scores, 0.0, 1.0) - outcome) ** 2, 0.0).sum(axis=0)
    hours = counts @ known.sum(axis=0)
    base = (counts @ (known & cohort.positive).sum(axis=0)) / np.maximum(hours, 1)
    variance = hours * base * (1 - base)
    usable = variance > 0
    skill: Floats = 1 - (counts @ error)[usable] / variance[usable]
    return skill
