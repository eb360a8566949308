"""The range of numbers that a detector accepts."""

from __future__ import annotations

from typing import Final

SMALLEST: Final = 1e-9
LARGEST: Final = 1e9
"""The range of values that a detector accepts.

Vitals are positive in every unit in use, and none comes near either end. The bounds keep every
later step (logarithm, fourth power) inside what a float can hold.
"""


def checked(x: float) -> float:
    """Return ``x``, or raise ValueError if a detector does not accept it.

    Not accepted are NaN, infinity, zero, negative numbers and numbers outside the range of vitals.
    """
    if not SMALLEST <= x <= LARGEST:  # NaN fails both comparisons
        raise ValueError("a detector takes finite numbers above zero")
    return x
