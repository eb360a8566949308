"""What every learned detector is: one River estimator, the features that it watches, and the one
way to use it.

What lives here: the base class, the warm-up and the range of numbers that a detector accepts. What
must not: a detector, a clinical limit, a record of a topic. A detector is a small mutable object
that belongs to one patient; it holds no identifier and reads no clock. The laws that each one meets
are in ``tests/score/detectors/test_table.py``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar, TypeAlias

from river.base import AnomalyDetector

from rpm_stream.records import Record

WARM_AFTER = 200
"""Learned readings before a detector says anything but 0.

The laws on detectors hold from here on.
"""

SMALLEST = 1e-9
LARGEST = 1e9
"""Values that a detector takes: vitals are positive in every unit in use, and none comes near
either end. The bounds keep every later step (logarithm, fourth power) inside what a float can hold.
"""


Vector: TypeAlias = dict[Hashable, Any]
"""What River's estimators take: values by feature, here numbers by vital."""


class Feature(Record, frozen=True, kw_only=True):
    """One vital as a detector sees it, always in one unit that the caller fixes (the knowledge
    table's own).

    ``resolution`` is the smallest difference that means anything, in that unit (1 for a pulse in
    beats a minute, 0.1 for a temperature in degrees Celsius). It is the floor of the spread: a
    vital that never varied would otherwise make its first other value infinitely unusual.
    """

    vital: str
    resolution: float

    def __post_init__(self) -> None:
        """Refuse a resolution that is no positive, finite number (ValueError)."""
        if not SMALLEST <= self.resolution <= LARGEST:
            raise ValueError(f"{self.vital}: the resolution must be above zero and finite")


Features: TypeAlias = Feature | tuple[Feature, ...]


class Detector(AnomalyDetector):
    """A learned detector of one vital or of several: a River estimator that composes in a River
    pipeline.

    ``features``: the vitals that it watches; other entries of a vector are ignored. ``score_one``
    changes nothing and returns 0 (usual) to 1 (unusual), 0 until ``warm``. Where a watched vital is
    missing, ``score_one`` returns 0 and ``learn_one`` does nothing. Both raise ValueError for what
    is no usable number, and then nothing has changed.
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
        """Readings learned."""

    @property
    def warm(self) -> bool:
        """True once ``WARM_AFTER`` readings were learned."""
        return self.count >= WARM_AFTER

    @abstractmethod
    def expected(self) -> dict[str, tuple[float, float]]:
        """Return usual value and spread of each vital, in its unit.

        ValueError before the first reading.
        """

    def contributions(self, x: Vector) -> dict[str, float]:
        """Return each vital's part in the score; of one vital it is the whole."""
        return {feature.vital: self.score_one(x) for feature in self.watched}

    @abstractmethod
    def to_state(self) -> bytes:
        """Return all that was learned, sealed by ``codec.seal``; the table says how to restore
        it (``Kind``).
        """

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        """Yield what River's checks begin with."""
        yield {"features": Feature(vital="heart_rate", resolution=1.0)}


def one_of(features: Features) -> Feature:
    """Return the feature of a detector that watches one vital. ValueError for more or fewer."""
    if isinstance(features, Feature):
        return features
    if len(features) != 1:
        raise ValueError("the detector takes one vital")
    return features[0]


def checked(x: float) -> float:
    """Return ``x``, or raise ValueError if it is NaN, infinite, zero, negative or outside what a
    vital can be.
    """
    if not SMALLEST <= x <= LARGEST:  # NaN fails both comparisons
        raise ValueError("a detector takes finite numbers above zero")
    return x


def score_then_learn(detector: Detector, x: Vector, learn: bool) -> float:
    """Score ``x``, then learn it if ``learn``: the only order in which a reading cannot vouch for
    itself.

    The caller passes ``learn=False`` for a late reading, while an episode of the vital is open, and
    for a continuous vital that was learned a moment ago.
    """
    score = detector.score_one(x)
    if learn:
        detector.learn_one(x)
    return score
