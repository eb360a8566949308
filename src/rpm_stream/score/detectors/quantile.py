"""Detector of one vital by this patient's own quantiles, with no assumption about the distribution.

River's ``RollingQuantile`` over the last ``WINDOW`` learned readings does the work, once for each
of ``QUANTILES``. The state is these readings in the order in which they came, and a restored
detector learns them again. Version 2 differs from version 1 in the last digit of a quantile.

It sees what a mean and a spread do not. Vitals lean to one side (a saturation has a ceiling at 100,
a glucose a long upper tail), so each side has a spread of its own. A tenth of the readings may be
arbitrarily wrong on either side without any effect.

- *spread of a side*: the distance from the median to the ``OUTER`` quantile of that side, on the
  logarithmic scale, divided by the same distance in standard deviations of a bell curve. It is
  never less than the vital's resolution.
- *score*: ``z**2 / (1 + z**2)`` as in ``gaussian.py``, with ``z`` in spreads of the side that the
  reading lies on.
- *forgetting*: complete after ``WINDOW`` learned readings.

>>> from rpm_stream.score.detectors.protocol import Feature
>>> detector = Quantile(Feature(vital="oxygen_saturation", resolution=1.0))
>>> for n in range(200):
...     detector.learn_one({"oxygen_saturation": (96.0, 97.0, 98.0, 99.0)[n % 4]})
>>> [round(detector.score_one({"oxygen_saturation": x}), 2) for x in (97.0, 99.0, 90.0)]
[0.1, 0.49, 0.96]
"""

from __future__ import annotations

import struct
from math import log, sqrt
from statistics import NormalDist
from typing import ClassVar, Final, Self

import numpy as np
from river.stats import RollingQuantile

from rpm_stream.score.detectors.codec import Stamp, StateError, opened, seal
from rpm_stream.score.detectors.protocol import WARM_AFTER, Feature, Features, Vector, VitalDetector
from rpm_stream.score.detectors.ranges import checked
from rpm_stream.score.detectors.windows import SINGLE, Window, stored_window

WINDOW: Final = 100
"""Learned readings that count.

It is half of the warm-up, so the readings of a device being put on are forgotten before the first
score. Ten readings lie beyond each outer quantile, so the quantile is known to about a quarter of a
spread.
"""

OUTER: Final = 0.9
"""The quantile whose distance from the median is the spread of the high side.

On the low side it is 1 - ``OUTER``.
"""

QUANTILES: Final = (1 - OUTER, 0.5, OUTER)

ADAPTS_WITHIN: Final = 60
"""Learned readings after which a lasting shift is no longer flagged.

The outer quantile has moved after 10 to 15.
"""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested threshold: z = 4, as for the Gaussian detector."""

_OUTER_DEVIATION: Final = NormalDist().inv_cdf(OUTER)
_COUNT: Final = struct.Struct(">I")


class Quantile(VitalDetector):
    """Scores one vital, in the feature's unit.

    The state takes about 440 bytes.
    """

    name: ClassVar[str] = "quantile"
    version: ClassVar[str] = "2"

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        # a ring buffer: reading n is at n % WINDOW
        self._came: Window = np.zeros(WINDOW, SINGLE)
        self._quantiles = {q: RollingQuantile(q=q, window_size=WINDOW) for q in QUANTILES}
        # ln of the median, spread below, spread above, computed from the quantiles
        self._places = (0.0, 1.0, 1.0)

    def quantile(self, q: float) -> float:
        """Return the ``q`` quantile of the window, one of ``QUANTILES``.

        Raises ValueError before the first reading.
        """
        value = self._quantiles[q].get()
        if value is None:
            raise ValueError("nothing learned yet")
        return value

    def _settle(self) -> None:
        low, median, high = map(self.quantile, QUANTILES)
        middle = log(median)
        floor = self._feature.resolution / median
        below = (middle - log(low)) / _OUTER_DEVIATION
        above = (log(high) - middle) / _OUTER_DEVIATION
        self._places = (
            middle,
            sqrt(below * below + floor * floor),
            sqrt(above * above + floor * floor),
        )

    def score_one(self, x: Vector) -> float:
        """Return how unusual the vital is, 0 to 1: ``z**2 / (1 + z**2)``. It is 0 until warm."""
        value = x.get(self._vital)
        if value is None:
            return 0.0
        place = log(checked(value))
        if self._count < WARM_AFTER:
            return 0.0
        middle, below, above = self._places
        distance = place - middle
        deviation = distance / (above if distance > 0 else below)
        square = deviation * deviation
        return square / (1.0 + square)

    def learn_one(self, x: Vector) -> None:
        """Add the vital to the window and drop the oldest one.

        It is rounded to single precision, as it is kept in the state.
        """
        value = x.get(self._vital)
        if value is None:
            return
        at = self._count % WINDOW
        self._came[at] = checked(value)
        kept = self._came.item(at)
        for each in self._quantiles.values():
            each.update(kept)
        self._count += 1
        self._settle()

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return the usual value (the median) and the wider side's spread, in the vital's unit.

        Raises ValueError before the first reading.
        """
        usual = self.quantile(0.5)
        return {self._vital: (usual, usual * max(self._places[1:]))}

    def to_state(self) -> bytes:
        """Return count and window, sealed. Places that no reading has taken yet hold 0."""
        payload = _COUNT.pack(self._count) + self._came.tobytes()
        return seal(_stamp(self._feature, Quantile.version), payload)

    @classmethod
    def restored(cls, feature: Feature, data: bytes) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError."""
        _, payload = opened((_stamp(feature, Quantile.version), _stamp(feature, "1")), data)
        if len(payload) != _COUNT.size + WINDOW * SINGLE.itemsize:
            raise StateError("the payload has a wrong size")
        (count,) = _COUNT.unpack_from(payload)
        known = min(count, WINDOW)
        window = stored_window(payload[_COUNT.size :], known)
        if window[known:].any():
            raise StateError("values out of range")
        detector = cls(feature)
        detector._count = count
        detector._came = window
        # in the order in which they came
        for x in np.roll(window[:known], -count if known == WINDOW else 0).tolist():
            for each in detector._quantiles.values():
                each.update(x)
        if known:
            detector._settle()
        return detector


def _stamp(feature: Feature, version: str) -> Stamp:
    # The settings leave out the resolution. The window does not depend on it, so it stays valid
    # when the table gets a better one.
    return Stamp(
        detector=Quantile.name, version=version, settings=f"{feature.vital} window={WINDOW}"
    )
