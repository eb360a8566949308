"""The base class of every learned detector: a River estimator with a fixed way to use it.

This module has the base classes and the warm-up. It must not have a detector, a clinical limit or a
record of a topic. A detector is a small mutable object that belongs to one patient. It holds no
identifier and reads no clock. The laws that each detector meets are in
``tests/score/detectors/test_table.py``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar, Self, TypeAlias

from river.base import AnomalyDetector

from rpm_stream.records.base import Record
from rpm_stream.score.detectors.ranges import LARGEST, SMALLEST

WARM_AFTER = 200
"""Learned readings before a detector returns scores other than 0.

The laws on detectors hold from here on.
"""

Vector: TypeAlias = dict[Hashable, Any]
"""The input of River's estimators: values by feature, here numbers by vital."""


class Feature(Record, frozen=True, kw_only=True):
    """One vital as a detector sees it, always in one unit.

    The caller fixes the unit, which is that of the knowledge table. ``resolution`` is the smallest
    difference that means anything, in that unit (1 for a pulse in beats a minute, 0.1 for a
    temperature in degrees Celsius). It is the floor of the spread. Without it, the first other
    value of a vital that never varied would be infinitely unusual.
    """

    vital: str
    resolution: float

    def __post_init__(self) -> None:
        """Raise ValueError unless the resolution is a positive, finite number."""
        if not SMALLEST <= self.resolution <= LARGEST:
            raise ValueError(f"{self.vital}: the resolution must be above zero and finite")


Features: TypeAlias = Feature | tuple[Feature, ...]


class Detector(AnomalyDetector):
    """A learned detector of one vital or of several.

    It is a River estimator that composes in a River pipeline. ``features`` are the vitals that it
    watches, and other entries of a vector are ignored. ``score_one`` changes nothing and returns 0
    (usual) to 1 (unusual), and 0 until ``warm``. Where a watched vital is missing, ``score_one``
    returns 0 and ``learn_one`` does nothing. Both raise ValueError for an unusable number and then
    change nothing.
    """

    name: ClassVar[str]
    """Name in the table of detectors and in ``Score.detector``."""

    version: ClassVar[str]
    """Changes whenever the same readings would give another score."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.watched = (features,) if isinstance(features, Feature) else features

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of readings learned."""

    @property
    def warm(self) -> bool:
        """True once ``WARM_AFTER`` readings were learned."""
        return self.count >= WARM_AFTER

    @abstractmethod
    def expected(self) -> dict[str, tuple[float, float]]:
        """Return usual value and spread of each vital, in its unit.

        Raises ValueError before the first reading.
        """

    def contributions(self, x: Vector) -> dict[str, float]:
        """Return each vital's part in the score, which for one vital is the whole score."""
        return {feature.vital: self.score_one(x) for feature in self.watched}

    @abstractmethod
    def to_state(self) -> bytes:
        """Return all that was learned, sealed by ``codec.seal``.

        ``DetectorKind`` in the table has the function that restores it.
        """

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        """Yield the parameters with which River's checks construct the detector."""
        yield {"features": Feature(vital="heart_rate", resolution=1.0)}


class VitalDetector(Detector):
    """A learned detector of one vital."""

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        self._feature = one_of(features)
        self._vital = self._feature.vital
        self._count = 0

    @property
    def count(self) -> int:
        """Number of readings learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once ``WARM_AFTER`` readings were learned."""
        return self._count >= WARM_AFTER

    @classmethod
    def from_state(cls, features: tuple[Feature, ...], data: bytes) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError."""
        return cls.restored(one_of(features), data)

    @classmethod
    @abstractmethod
    def restored(cls, feature: Feature, data: bytes) -> Self:
        """Restore the detector of one vital as ``from_state`` does."""


def one_of(features: Features) -> Feature:
    """Return the feature of a detector that watches one vital.

    Raises ValueError for more or fewer.
    """
    if isinstance(features, Feature):
        return features
    if len(features) != 1:
        raise ValueError("the detector takes one vital")
    return features[0]


def score_then_learn(detector: Detector, x: Vector, learn: bool) -> float:
    """Score ``x``, then learn it if ``learn``.

    No other order is allowed: a reading must not be scored against itself. The caller passes
    ``learn=False`` for a late reading, while an episode of the vital is open, and for a continuous
    vital that was learned a moment ago.
    """
    score = detector.score_one(x)
    if learn:
        detector.learn_one(x)
    return score
