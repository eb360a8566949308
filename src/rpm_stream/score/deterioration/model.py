"""The trained model: features in, a probability and what it is made of out.

It is a logistic regression, so each feature's part in the score is known exactly. Parts are added
up by group: a series of vitals, NEWS2, or the person as a whole.
"""

from __future__ import annotations

from math import exp, fsum

import numpy as np

from rpm_stream.knowledge.deterioration import FEATURES, DeteriorationTable
from rpm_stream.records.base import Record
from rpm_stream.score.deterioration.features import Numbers

FARTHEST = 30.0  # of a logit: beyond it a probability is 0 or 1
DIGITS = 6  # of a probability: more would show the rounding of one processor


class Risk(Record, frozen=True, kw_only=True):
    """The probability of an onset, and how far each group moves its logit up or down."""

    probability: float
    parts: dict[str, float]


class Model:
    """The model of a table."""

    def __init__(self, table: DeteriorationTable) -> None:
        weights = table.weights()
        self._centre = np.array([each.centre for each in weights])
        self._spread = np.array([each.spread for each in weights])
        self._weight = np.array([each.weight for each in weights])
        self._most = table.most
        self._intercept = table.intercept
        groups = [group for group, _ in FEATURES]
        self._groups = {
            name: slice(groups.index(name), len(groups) - groups[::-1].index(name))
            for name in dict.fromkeys(groups)
        }

    def risk(self, vector: Numbers) -> Risk:
        """Return the risk that the features show. An unknown feature (NaN) moves nothing."""
        apart = np.clip((vector - self._centre) / self._spread, -self._most, self._most)
        parts = np.nan_to_num(apart * self._weight, nan=0.0).tolist()
        logit = min(max(fsum((self._intercept, *parts)), -FARTHEST), FARTHEST)
        return Risk(
            probability=round(1 / (1 + exp(-logit)), DIGITS),
            parts={
                name: part
                for name, place in self._groups.items()
                if (part := round(fsum(parts[place]), 3))
            },
        )
