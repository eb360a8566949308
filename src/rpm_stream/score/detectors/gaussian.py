"""Detector of one vital by a forgetting mean and spread on a logarithmic scale.

It follows River's ``GaussianScorer`` and differs where a law requires it:

- *forgetting*: River's scorer weighs all readings alike without end, or keeps a window of them (5.7
  kB of state). Its ``EWMean`` gives the very first reading 13 % of the weight after 200. Here a
  reading weighs ``1/n`` until ``MEMORY`` readings were learned and ``1/MEMORY`` from then on, in 20
  bytes.
- *bounded learning*: one wrong value moves mean and spread by at most ``CLIP`` spreads. A lasting
  shift widens the spread by 4 % a reading until it fits.
- *logarithm*: vitals vary by ratios. On the plain scale a glucose of 40 mg/dL lies nearer to a
  usual 140 than 280 does, so the low side could not be seen.
- *floor*: the spread is never less than the vital's resolution.
- *score*: ``z**2 / (1 + z**2)``, where ``z`` is the distance from usual in spreads. By Cantelli's
  inequality at least this share of readings lies nearer on that side, whatever their distribution.
  River's ``2 * |cdf - 0.5|`` assumes a bell curve and rounds to 1 from z = 8.3, so larger values
  cannot be ranked.

Compared with River by the laws of ``tests/score``. *Missed* is how many of 255 gross values rank no
higher than the 95th percentile of usual ones. *Score* and *learn* are microseconds of CPU. *State*
is in bytes.

====================================  ======  =====  =====  =======================================
detector                              missed  score  learn  state
====================================  ======  =====  =====  =======================================
River ``GaussianScorer``              5       0.5    0.3    4,060, pickled
River ``GaussianScorer``, window 100  5       0.9    0.9    5,694, pickled
River ``StandardAbsoluteDeviation``   0       0.3    0.3    254, pickled; score has no bound
this one                              0       0.2    0.4    58
====================================  ======  =====  =====  =======================================

After 5,000 readings a lasting shift of 60 % is no longer flagged after 20 more readings here, and
after 620 with those River detectors that weigh all readings alike.

>>> from rpm_stream.score.detectors.protocol import Feature
>>> detector = Gaussian(Feature(vital="heart_rate", resolution=1.0))
>>> for n in range(200):
...     detector.learn_one({"heart_rate": 70.0 + n % 5})
>>> [round(detector.score_one({"heart_rate": x}), 3) for x in (72.0, 75.0, 110.0)]
[0.0, 0.742, 0.997]
>>> usual, spread = detector.expected()["heart_rate"]
>>> (round(usual, 1), round(spread, 1))
(72.0, 1.7)
"""

from __future__ import annotations

import struct
from math import exp, isfinite, log, sqrt
from typing import ClassVar, Final, Self

from rpm_stream.score.detectors.codec import Stamp, StateError, seal, unseal
from rpm_stream.score.detectors.protocol import WARM_AFTER, Feature, Features, Vector, VitalDetector
from rpm_stream.score.detectors.ranges import LARGEST, checked

MEMORY: Final = 100
"""Readings over which the weight of the past falls to 37 %.

It is below the warm-up of 200, so that the first readings (a device being put on) keep at most 14 %
of their weight when the detector starts to score. It is large enough that the spread is known to
about 10 %.
"""

CLIP: Final = 3.0
"""Distance in spreads to which a reading is clipped when it is learned.

At three almost no usual reading is clipped.
"""

ADAPTS_WITHIN: Final = 60
"""Learned readings after which a lasting shift is no longer flagged.

It takes 5 for a shift of 6 spreads, 16 for one of 10 and 45 for one of 40.
"""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested threshold: z = 4.

At most one usual reading in 17 on that side reaches it, whatever the distribution, and one in
15,000 of a bell curve. A learned detector alone is never more than low priority.
"""

_WEIGHT: Final = 1.0 / MEMORY
_STATE: Final = struct.Struct(">Idd")
_LOG_RANGE: Final = 2 * log(LARGEST)


class Gaussian(VitalDetector):
    """Scores one vital, in the feature's unit.

    The state takes about 55 bytes, and a reading about 1 µs.
    """

    name: ClassVar[str] = "gaussian"
    version: ClassVar[str] = "1"

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        self._mean = 0.0  # of ln x
        self._variance = 0.0  # of ln x, without the floor
        self._spread = 1.0  # of ln x, with the floor, computed from the two above

    def _settle(self) -> None:
        # the resolution as a ratio of the usual value
        floor = self._feature.resolution * exp(-self._mean)
        self._spread = sqrt(self._variance + floor * floor)

    def deviation(self, x: float) -> float:
        """Return the signed distance of ``x`` from usual in spreads, 0 before the first reading.

        Raises ValueError if ``x`` is unusable.
        """
        place = log(checked(x))
        return (place - self._mean) / self._spread if self._count else 0.0

    def score_one(self, x: Vector) -> float:
        """Return how unusual the vital is, 0 to 1: ``z**2 / (1 + z**2)``. It is 0 until warm."""
        value = x.get(self._vital)
        if value is None:
            return 0.0
        deviation = self.deviation(value)
        square = deviation * deviation
        return square / (1.0 + square) if self._count >= WARM_AFTER else 0.0

    def learn_one(self, x: Vector) -> None:
        """Learn the vital, clipped to ``CLIP`` spreads from the mean."""
        value = x.get(self._vital)
        if value is not None:
            self.take(value)

    def take(self, x: float) -> None:
        """Learn a value, clipped to ``CLIP`` spreads from the mean."""
        place = log(checked(x))
        if not self._count:
            self._mean = place
        step = place - self._mean
        bound = CLIP * self._spread
        if step > bound:
            step = bound
        elif step < -bound:
            step = -bound
        self._count += 1
        weight = 1.0 / self._count if self._count < MEMORY else _WEIGHT
        self._mean += weight * step
        # Finch 2009, incremental weighted variance: exact for the weights 1/n, exponential for a
        # fixed one.
        self._variance = (1.0 - weight) * (self._variance + weight * step * step)
        self._settle()

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return the usual value and the spread around it, in the vital's unit.

        Raises ValueError before the first reading.
        """
        if not self._count:
            raise ValueError("nothing learned yet")
        usual = exp(self._mean)
        return {self._vital: (usual, usual * self._spread)}

    def moments(self) -> tuple[int, float, float]:
        """Return count, mean and variance of ``ln x``: all that was learned."""
        return self._count, self._mean, self._variance

    @classmethod
    def from_moments(cls, feature: Feature, moments: tuple[int, float, float]) -> Self:
        """Continue from ``moments()``, or raise StateError if no readings can lead to them."""
        count, mean, variance = moments
        usable = isfinite(mean) and abs(mean) <= _LOG_RANGE and 0.0 <= variance <= _LOG_RANGE**2
        if not usable or count < 0:
            raise StateError("moments out of range")
        detector = cls(feature)
        detector._count = count
        detector._mean = mean
        detector._variance = variance
        detector._settle()
        return detector

    @classmethod
    def around(cls, feature: Feature, usual: tuple[float, float]) -> Self:
        """Begin warm, around a usual value and a spread as ``expected`` returns them."""
        value, spread = usual
        return cls.from_moments(feature, (WARM_AFTER, log(checked(value)), (spread / value) ** 2))

    def to_state(self) -> bytes:
        """Return count and moments, sealed."""
        return seal(_stamp(self._feature), _STATE.pack(*self.moments()))

    @classmethod
    def restored(cls, feature: Feature, data: bytes) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError."""
        count, mean, variance = _STATE.unpack(unseal(_stamp(feature), data, _STATE.size))
        return cls.from_moments(feature, (count, mean, variance))


def _stamp(feature: Feature) -> Stamp:
    # The settings leave out the resolution. The moments do not depend on it, so they stay valid
    # when the table gets a better one.
    return Stamp(
        detector=Gaussian.name,
        version=Gaussian.version,
        settings=f"{feature.vital} memory={MEMORY}",
    )
