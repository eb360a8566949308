"""What every learned detector is: one Protocol, the feature that it watches, and the one way to use it.

What lives here: the Protocol, the warm-up and the range of numbers that a detector accepts. What must not: a
detector, a clinical limit, a record of a topic. A detector is a small mutable object that belongs to one patient;
it holds no identifier and reads no clock. The laws that each one meets are in ``tests/score/test_detectors.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias, TypeVar

from rpm_stream.records import Record

WARM_AFTER = 200
"""Learned readings before a detector says anything but 0. The laws on detectors hold from here on."""

SMALLEST = 1e-9
LARGEST = 1e9
"""Values that a detector takes: vitals are positive in every unit in use, and none comes near either end. The
bounds keep every later step (logarithm, fourth power) inside what a float can hold."""

X_contra = TypeVar("X_contra", contravariant=True)


class Feature(Record, frozen=True, kw_only=True):
    """One vital as a detector sees it, always in one unit that the caller fixes (the knowledge table's own).

    ``resolution`` is the smallest difference that means anything, in that unit (1 for a pulse in beats a minute, 0.1
    for a temperature in degrees Celsius). It is the floor of the spread: a vital that never varied would otherwise
    make its first other value infinitely unusual.
    """

    vital: str
    resolution: float

    def __post_init__(self) -> None:
        """Refuse a resolution that is no positive, finite number (ValueError)."""
        if not SMALLEST <= self.resolution <= LARGEST:
            raise ValueError(f"{self.vital}: the resolution must be above zero and finite")


class Detector(Protocol[X_contra]):
    """A learned detector; ``X_contra`` is ``float`` for one vital and ``Mapping[str, float]`` for several.

    ``score_one`` changes nothing and gives 0 (usual) to 1 (unusual), 0 until ``warm``. Both ``score_one`` and
    ``learn_one`` raise ValueError for what is no usable number, and then nothing has changed. ``to_state`` gives all
    that was learned; the table in ``detectors.py`` says how to restore it.
    """

    @property
    def name(self) -> str:
        """Name in the table of detectors and in ``Score.detector``."""

    @property
    def version(self) -> str:
        """Changes whenever the same readings would give another score."""

    @property
    def warm(self) -> bool:
        """True once ``WARM_AFTER`` readings were learned."""

    def score_one(self, x: X_contra) -> float:
        """How unusual ``x`` is, 0 to 1."""

    def learn_one(self, x: X_contra) -> None:
        """Take ``x`` into what is usual."""

    def to_state(self) -> bytes:
        """All that was learned, sealed by ``codec.seal``."""


class VitalDetector(Detector[float], Protocol):
    """A detector of one vital: it can also say what is usual, for the words that a person reads."""

    def expected(self) -> tuple[float, float]:
        """Usual value and spread around it, in the feature's unit. ValueError before the first reading."""


VectorDetector: TypeAlias = Detector[Mapping[str, float]]


def checked(x: float) -> float:
    """Return ``x``, or raise ValueError if it is NaN, infinite, zero, negative or outside what a vital can be."""
    if not SMALLEST <= x <= LARGEST:  # NaN fails both comparisons
        raise ValueError("a detector takes finite numbers above zero")
    return x


def score_then_learn(detector: Detector[X_contra], x: X_contra, learn: bool) -> float:
    """Score ``x``, then learn it if ``learn``: the only order in which a reading cannot vouch for itself.

    The caller passes ``learn=False`` for a late reading, while an episode of the vital is open, and for a continuous
    vital that was learned a moment ago.
    """
    score = detector.score_one(x)
    if learn:
        detector.learn_one(x)
    return score
