"""One vital against what is usual for this patient: a forgetting mean and spread on a logarithmic
scale.

Follows River's ``GaussianScorer``, changed where a law asks for it:

- *forgetting*: River's scorer weighs all readings alike for ever, or keeps a window of them (5.7 kB
  of state); its ``EWMean`` gives the very first reading 13 % of the weight after 200. Here a
  reading weighs ``1/n`` until ``MEMORY`` were learned and ``1/MEMORY`` from then on, in 20 bytes;
- *bounded learning*: one wrong value moves mean and spread by at most ``CLIP`` spreads, while a
  lasting shift widens the spread by 4 % a reading until it fits;
- *logarithm*: vitals vary by ratios. On the plain scale a glucose of 40 mg/dL lies nearer to a
  usual 140 than 280 does, so the low side could not be seen;
- *floor*: the spread is never less than the vital's resolution;
- *score*: ``z**2 / (1 + z**2)``, where ``z`` is the distance from usual in spreads. By Cantelli's
  inequality at least this share of readings lies nearer on that side, whatever their distribution;
  River's ``2 * |cdf - 0.5|`` claims a bell curve and rounds to 1 from z = 8.3, where ranking ends.

What River lacks, measured by the laws of ``tests/score`` (gross values that rank no higher than the
95th percentile of usual ones, of 255; microseconds of CPU a score and a learning; bytes of state):

====================================  ======  =====  =====  =======================================
detector                              missed  score  learn  state
====================================  ======  =====  =====  =======================================
River ``GaussianScorer``              5       0.5    0.3    4,060, pickled
River ``GaussianScorer``, window 100  5       0.9    0.9    5,694, pickled
River ``StandardAbsoluteDeviation``   0       0.3    0.3    254, pickled; score has no bound
this one                              0       0.2    0.4    58
====================================  ======  =====  =====  =======================================

After 5,000 readings a lasting shift of 60 % is no longer flagged after 20 more here, after 620 with
those of River that weigh all alike.

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
from rpm_stream.score.detectors.protocol import (
    LARGEST,
    WARM_AFTER,
    Detector,
    Feature,
    Features,
    Vector,
    checked,
    one_of,
)

MEMORY: Final = 100
"""Readings over which the past fades to 37 %. Below the warm-up of 200, so that the first readings
(a device being put on) keep at most 14 % of their say when the detector starts to speak; large
enough that the spread is known to about 10 %."""

CLIP: Final = 3.0
"""Spreads beyond which a reading counts no more than at this distance.

Three: of usual readings almost none is cut.
"""

ADAPTS_WITHIN: Final = 60
"""Learned readings after which a lasting shift is no longer flagged (5 for one of 6 spreads, 16
for 10, 45 for 40).
"""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested: z = 4. At most one usual reading in 17 on that side whatever the distribution, one in
15,000 of a bell curve's. A learned detector alone is never more than low priority."""

_WEIGHT: Final = 1.0 / MEMORY
_STATE: Final = struct.Struct(">Idd")
_LOG_RANGE: Final = 2 * log(LARGEST)


class Gaussian(Detector):
    """Scores one vital, in the feature's unit; state about 55 bytes, about 1 µs a reading."""

    name: ClassVar[str] = "gaussian"
    version: ClassVar[str] = "1"

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        self._feature = one_of(features)
        self._vital = self._feature.vital
        self._count = 0
        self._mean = 0.0  # of ln x
        self._variance = 0.0  # of ln x, without the floor
        self._spread = 1.0  # of ln x, with the floor; follows from the two above

    @property
    def count(self) -> int:
        """Readings learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once ``WARM_AFTER`` readings were learned."""
        return self._count >= WARM_AFTER

    def _settle(self) -> None:
        # the resolution as a ratio of the usual value
        floor = self._feature.resolution * exp(-self._mean)
        self._spread = sqrt(self._variance + floor * floor)

    def deviation(self, x: float) -> float:
        """Signed distance of ``x`` from usual in spreads; 0 before the first reading.

        ValueError if unusable.
        """
        place = log(checked(x))
        return (place - self._mean) / self._spread if self._count else 0.0

    def score_one(self, x: Vector) -> float:
        """Return how unusual the vital is, 0 to 1: ``z**2 / (1 + z**2)``; 0 until warm."""
        value = x.get(self._vital)
        if value is None:
            return 0.0
        deviation = self.deviation(value)
        square = deviation * deviation
        return square / (1.0 + square) if self._count >= WARM_AFTER else 0.0

    def learn_one(self, x: Vector) -> None:
        """Take the vital into mean and spread, at most ``CLIP`` spreads of it."""
        value = x.get(self._vital)
        if value is not None:
            self.take(value)

    def take(self, x: float) -> None:
        """Take a value into mean and spread, at most ``CLIP`` spreads of it."""
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
        """Return usual value and spread around it, in the vital's unit.

        ValueError before the first reading.
        """
        if not self._count:
            raise ValueError("nothing learned yet")
        usual = exp(self._mean)
        return {self._vital: (usual, usual * self._spread)}

    def moments(self) -> tuple[int, float, float]:
        """Count, mean and variance of ``ln x``: all that was learned."""
        return self._count, self._mean, self._variance

    @classmethod
    def from_moments(cls, feature: Feature, moments: tuple[int, float, float]) -> Self:
        """Continue from ``moments()``; StateError if they are none that readings can lead to."""
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
        """Begin warm, around a usual value and spread in the vital's unit (as ``expected`` gives
        them).
        """
        value, spread = usual
        return cls.from_moments(feature, (WARM_AFTER, log(checked(value)), (spread / value) ** 2))

    def to_state(self) -> bytes:
        """Count and moments, sealed."""
        return seal(_stamp(self._feature), _STATE.pack(*self.moments()))

    @classmethod
    def from_state(cls, features: tuple[Feature, ...], data: bytes) -> Self:
        """Restore exactly what ``to_state`` gave, or raise StateError."""
        feature = one_of(features)
        count, mean, variance = _STATE.unpack(unseal(_stamp(feature), data, _STATE.size))
        return cls.from_moments(feature, (count, mean, variance))


def _stamp(feature: Feature) -> Stamp:
    # Not the resolution: what is learned does not depend on it, so a better one keeps what was
    # learned.
    return Stamp(
        detector=Gaussian.name,
        version=Gaussian.version,
        settings=f"{feature.vital} memory={MEMORY}",
    )
