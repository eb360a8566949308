"""A person's own part of a forecast: River's linear regression on what the prior got wrong.

The prior is the same for everybody. Of each person a few weights are learned online, from zero on
and with a pull back to zero, so a new person begins with the prior alone and one with few readings
stays near it. The target is the difference between the value that came and the prior's forecast.

Two settings of River's regression matter. The gradient of its squared loss is clipped, which makes
a large error count like a moderate one (Huber's loss): a meal that was not announced says little
about the next hour. And the constant is a weight like the others, so that it too is pulled to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from river import optim
from river.linear_model import LinearRegression

WEIGHTS: Final = ("always", "above_usual", "expected", "over_15")
"""What the weights are of, in the order in which they are stored."""

LEVEL_STEP: Final = 50.0
CHANGE_STEP: Final = 20.0
MOST_LEVEL: Final = 100.0
"""Distances from usual and changes are divided by these, so that one rate fits all weights."""


class OwnPart(LinearRegression):
    """River's linear regression with the settings above.

    >>> part = OwnPart(rate=0.001, shrink=0.02, most_error=20.0)
    >>> for _ in range(2000):
    ...     part.learn_one({"always": 1.0}, 5.0)
    >>> round(part.predict_one({"always": 1.0}), 1)
    4.3
    """

    def __init__(self, rate: float = 0.001, shrink: float = 0.02, most_error: float = 20.0) -> None:
        # River's squared loss has the gradient 2 * error
        super().__init__(
            optimizer=optim.SGD(rate / 2),
            l2=2 * shrink,
            intercept_lr=0.0,
            clip_gradient=2 * most_error,
        )
        self.rate = rate
        self.shrink = shrink
        self.most_error = most_error

    def learned(self, weights: Sequence[float], by: Sequence[float], error: float) -> list[float]:
        """Return ``weights`` after one more outcome: an ``error`` of the prior at the terms ``by``.

        All that is learned is in the weights, so one object serves all people in turn.
        """
        self._weights.update(dict(zip(WEIGHTS, weights, strict=True)))
        self.learn_one(dict(zip(WEIGHTS, by, strict=True)), error)
        now = self.weights
        return [now[name] for name in WEIGHTS]


def terms(level: float, change: float, slope: float) -> list[float]:
    """Return what the weights are multiplied with, in the order of ``WEIGHTS``.

    ``level`` is the distance from usual, ``change`` what the prior expects, and ``slope`` the
    change over 15 minutes.
    """
    return [
        1.0,
        max(-MOST_LEVEL, min(MOST_LEVEL, level)) / LEVEL_STEP,
        change / CHANGE_STEP,
        slope / CHANGE_STEP,
    ]


def correction(weights: Sequence[float], by: Sequence[float]) -> float:
    """Return what River's regression with these weights predicts at the terms ``by``."""
    always, level, change, slope = weights
    return always * by[0] + level * by[1] + change * by[2] + slope * by[3]
