"""One vital against this patient's own quantiles: no shape of the distribution is assumed.

River's ``RollingQuantile`` over the last ``WINDOW`` learned readings, kept as one sorted list for all quantiles and as
the order in which they came. What it sees that a mean and a spread do not: vitals lean to one side (a saturation has a
ceiling at 100, a glucose a long upper tail), so here each side has a spread of its own; and a tenth of the readings may
be arbitrarily wrong on either side without moving anything.

- *spread of a side*: from the median to the ``OUTER`` quantile of that side, on the logarithmic scale, divided by what
  that is of a bell curve's standard deviation, and never less than the vital's resolution;
- *score*: ``z**2 / (1 + z**2)`` as in ``gaussian.py``, with ``z`` in spreads of the side that the reading lies on;
- *forgetting*: complete after ``WINDOW`` learned readings.

>>> from rpm_stream.score.detector import Feature
>>> detector = Quantile(Feature(vital="oxygen_saturation", resolution=1.0))
>>> for n in range(200):
...     detector.learn_one((96.0, 97.0, 98.0, 99.0)[n % 4])
>>> [round(detector.score_one(x), 2) for x in (97.0, 99.0, 90.0)]
[0.1, 0.49, 0.96]
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from math import isfinite, log, sqrt
from statistics import NormalDist
from typing import Final

from rpm_stream.score.codec import Stamp, StateError, seal, unseal
from rpm_stream.score.detector import LARGEST, SMALLEST, WARM_AFTER, Feature, checked

WINDOW: Final = 100
"""Learned readings that count; half of the warm-up, so that a device being put on is forgotten when it first speaks,
and ten readings lie beyond each outer quantile, which then is known to about a quarter of a spread."""

OUTER: Final = 0.9
"""The quantile whose distance from the median is a side's spread; 1 - ``OUTER`` on the low side."""

ADAPTS_WITHIN: Final = 60
"""Learned readings after which a lasting shift is no longer flagged: the outer quantile has moved after 10 to 15."""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested: z = 4, as for the Gaussian detector."""

_OUTER_DEVIATION: Final = NormalDist().inv_cdf(OUTER)
_STATE: Final = struct.Struct(f">I{WINDOW}f")
_SINGLE: Final = struct.Struct(">f")


class Quantile:
    """Scores readings of one vital (``float``, in the feature's unit); state about 440 bytes."""

    name: Final = "quantile"
    version: Final = "1"

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._count = 0
        self._came: list[float] = []  # a ring: reading n stands at n % WINDOW
        self._sorted: list[float] = []
        self._places = (0.0, 1.0, 1.0)  # ln of the median, spread below, spread above; follows from the sorted list

    @property
    def count(self) -> int:
        """Readings learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once enough readings were learned to speak."""
        return self._count >= WARM_AFTER

    def quantile(self, q: float) -> float:
        """The ``q`` quantile (0 to 1) of the window, between neighbours in proportion. IndexError before the first."""
        place = q * (len(self._sorted) - 1)
        below = int(place)
        low = self._sorted[below]
        if below + 1 == len(self._sorted):
            return low
        return low + (self._sorted[below + 1] - low) * (place - below)

    def _settle(self) -> None:
        median = self.quantile(0.5)
        middle, floor = log(median), self._feature.resolution / median
        below = (middle - log(self.quantile(1 - OUTER))) / _OUTER_DEVIATION
        above = (log(self.quantile(OUTER)) - middle) / _OUTER_DEVIATION
        self._places = (middle, sqrt(below * below + floor * floor), sqrt(above * above + floor * floor))

    def score_one(self, x: float) -> float:
        """How unusual ``x`` is, 0 to 1: ``z**2 / (1 + z**2)``; 0 until warm."""
        place = log(checked(x))
        if self._count < WARM_AFTER:
            return 0.0
        middle, below, above = self._places
        distance = place - middle
        deviation = distance / (above if distance > 0 else below)
        square = deviation * deviation
        return square / (1.0 + square)

    def learn_one(self, x: float) -> None:
        """Take ``x`` into the window, in single precision as it stands in the state; the oldest one goes."""
        (kept,) = _SINGLE.unpack(_SINGLE.pack(checked(x)))
        at = self._count % WINDOW
        if len(self._came) < WINDOW:
            self._came.append(kept)
        else:
            del self._sorted[bisect_left(self._sorted, self._came[at])]
            self._came[at] = kept
        insort(self._sorted, kept)
        self._count += 1
        self._settle()

    def expected(self) -> tuple[float, float]:
        """Usual value (the median) and the wider side's spread, in the unit. ValueError before the first reading."""
        if not self._count:
            raise ValueError("nothing learned yet")
        usual = self.quantile(0.5)
        return usual, usual * max(self._places[1:])

    def to_state(self) -> bytes:
        """Count and window, sealed; places that no reading has taken yet hold 0."""
        rest = [0.0] * (WINDOW - len(self._came))
        return seal(_stamp(self._feature), _STATE.pack(self._count, *self._came, *rest))

    @classmethod
    def from_state(cls, feature: Feature, data: bytes) -> Quantile:
        """Restore exactly what ``to_state`` gave, or raise StateError."""
        count, *window = _STATE.unpack(unseal(_stamp(feature), data, _STATE.size))
        known = min(count, WINDOW)
        if not all(isfinite(x) and SMALLEST / 2 <= x <= LARGEST * 2 for x in window[:known]) or any(window[known:]):
            raise StateError("values out of range")
        detector = cls(feature)
        detector._count, detector._came, detector._sorted = count, window[:known], sorted(window[:known])
        if known:
            detector._settle()
        return detector


def _stamp(feature: Feature) -> Stamp:
    # Not the resolution: what is learned does not depend on it, so a better one keeps what was learned.
    return Stamp(detector=Quantile.name, version=Quantile.version, settings=f"{feature.vital} window={WINDOW}")
