"""Detector of several vitals together: River's half-space trees over their unusualness.

River's ``HalfSpaceTrees`` builds the trees. Of a patient only the count at each node (the mass) is
kept.

- *Why each patient has no River object of its own*: its nodes carry the masses, so nothing can be
  shared, at about 150 kB and 3 ms of building each. The trees depend on the seed and the number of
  features alone. Here all patients share one set, and each has two byte strings. Scores equal
  River's bit by bit (a test runs both side by side).
- *Why the input is not the raw vitals*: unscaled, River scores everything 0. Scaled by their
  limits, about 30 % of gross single values score no higher than usual ones, because trees of six
  levels seldom cut a vital between its usual and its gross values. River also picks the vital to
  cut by the width of its limits, so temperature is hardly ever cut. The input is ``unusualness``:
  near 0 for a usual value of this patient, towards 1 beyond ``KNEE`` spreads, and the same for
  every vital, patient and side. The price is that values which are each usual, but never occur
  together, are not seen.
- *Why a vector must be complete*: River sends a missing vital down the busier branch, and a normal
  heart rate alone scores 0.905.

Compared with River by the laws of ``tests/score``. *Missed* is how many of 186 vectors with one
gross value rank no higher than the 95th percentile of usual ones. *Score* is microseconds of CPU to
score and learn a vector, and *made* those to make a detector. *State* is in bytes.

=================================  ======  =====  =====  ===============
detector                           missed  score  made   state
=================================  ======  =====  =====  ===============
River ``HalfSpaceTrees``, raw      186     7      1,200  24,600, pickled
River ``MinMaxScaler``, the same   153     11     2,100  25,300, pickled
River ``StandardScaler``, an SVM   117     7      64     1,300, pickled
this one                           0       11     12     1,400
=================================  ======  =====  =====  ===============

Tan, Ting, Liu: Fast anomaly detection for streaming data, IJCAI 2011.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar, Final, Self, TypeAlias

from river.anomaly import HalfSpaceTrees as RiverTrees

from rpm_stream.score.detectors.codec import Stamp, StateError, seal, unseal
from rpm_stream.score.detectors.gaussian import MEMORY, Gaussian
from rpm_stream.score.detectors.protocol import Detector, Feature, Features, Vector

TREES: Final = 5
HEIGHT: Final = 6
"""Trees and levels: 635 nodes, a byte each in the state.

(10, 8) was three times as slow and eight times as large.
"""

WINDOW: Final = 100
"""Vectors whose masses a vector is scored against, until the next window replaces them.

A lasting shift is usual after at most two windows. Two windows are full when the warm-up ends. A
mass fits a byte.
"""

SEED: Final = 647
"""Fixed seed, so that the same readings give the same scores everywhere.

It was chosen from 1 to 1,500 for trees that cut the vitals evenly where usual vectors pass. Of five
vitals each is cut in at least four of the five trees, of seven vitals each in three. With seed 1
(tried with 2 to 7 vitals) 4 of 522 single gross values scored no higher than usual vectors. With
this seed none did.
"""

KNEE: Final = 4.0
"""Spreads at which a vital is half way to wholly unusual.

Of 162 gross values the worst of 24 seeds missed 3 at a knee of 4, and 17 at 3. Beyond 4 a joint
change of three spreads is no longer seen.
"""

ADAPTS_WITHIN: Final = 2 * WINDOW + 60
"""Learned vectors after which a lasting shift is no longer flagged.

The moments must fit first, and then two windows must pass.
"""

THRESHOLD: Final = 0.9
"""Suggested threshold.

Measured on 10,000 drawn usual vectors of each of three people: none was flagged with 5 vitals, at
most 8 with 7, 11 with 3, and 71 with 2. With 5 vitals, three that are four spreads off together
reach it (0.94). One alone does not (0.76 at most), because its own detector and the limits look for
that.
"""

MOST_FEATURES: Final = 7
_KNEE_POWER: Final = KNEE**4
_NODES: Final = 2 ** (HEIGHT + 1) - 1
_LEVELS: Final = range(HEIGHT)
# below this mass the descent stops (the constant of the paper and of River)
_BARE: Final = 0.1 * WINDOW
_MOST: Final = TREES * WINDOW * _NODES
_MOMENTS: Final = struct.Struct(">dd")
_COUNT: Final = struct.Struct(">I")

Tree: TypeAlias = tuple[tuple[int, ...], tuple[float, ...]]
"""Feature and threshold of each inner node in heap order.

The children of node n are 2n + 1 and 2n + 2.
"""


def unusualness(deviation: float) -> float:
    """Map a distance from usual in spreads to 0 (usual) .. 1: ``d**4 / (d**4 + KNEE**4)``."""
    square = deviation * deviation
    power = square * square
    return power / (power + _KNEE_POWER)


@lru_cache(maxsize=MOST_FEATURES)
def forest(features: int) -> tuple[Tree, ...]:
    """Return River's trees for that many features, flattened.

    They are built once in a process and shared by all patients.
    """
    built: Any = RiverTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=SEED)
    built.learn_one(dict.fromkeys(range(features), 0.0))  # River builds at the first vector
    return tuple(_flatten(tree) for tree in built.trees)


def _flatten(root: Any) -> Tree:  # Any: River's nodes are untyped
    level = [root]
    inner = []
    for _ in _LEVELS:
        inner += level
        level = [child for node in level for child in node.children]
    return tuple(node.feature for node in inner), tuple(node.threshold for node in inner)


class HalfSpaceTrees(Detector):
    """Scores complete vectors ``{vital: value}`` of 2 to 7 features.

    The state takes less than 1.5 kB, and a vector about 20 µs.
    """

    name: ClassVar[str] = "half_space_trees"
    version: ClassVar[str] = "1"

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        if (
            not 2
            <= len({feature.vital for feature in self.watched})
            == len(self.watched)
            <= MOST_FEATURES
        ):
            raise ValueError(f"half-space trees take 2 to {MOST_FEATURES} different vitals")
        self._usual = tuple((feature.vital, Gaussian(feature)) for feature in self.watched)
        self._forest = forest(len(self.watched))
        # masses of the window that is being learned, and of the last complete window
        self._filling = [bytearray(_NODES) for _ in range(TREES)]
        self._full = [bytearray(_NODES) for _ in range(TREES)]

    @property
    def count(self) -> int:
        """Number of vectors learned."""
        return self._usual[0][1].count

    def _places(self, x: Vector) -> list[float] | None:
        """Return the unusualness of each vital, or None for an incomplete vector.

        Raises ValueError for an unusable one.
        """
        places = [
            unusualness(usual.deviation(x[vital])) for vital, usual in self._usual if vital in x
        ]
        return places if len(places) == len(self._usual) else None

    def _score(self, places: list[float]) -> float:
        total = 0
        for (features, thresholds), masses in zip(self._forest, self._full, strict=True):
            node = 0
            weight = 1
            for _ in _LEVELS:
                mass = masses[node]
                total += mass * weight
                if mass < _BARE:
                    break
                node = 2 * node + (1 if places[features[node]] < thresholds[node] else 2)
                weight <<= 1
            else:
                total += masses[node] * weight
        return 1 - total / _MOST

    def score_one(self, x: Vector) -> float:
        """Return how unusual the vector is, 0 to 1.

        It is 0 until warm and for an incomplete vector.
        """
        places = self._places(x)
        return self._score(places) if places is not None and self.warm else 0.0

    def learn_one(self, x: Vector) -> None:
        """Add a complete vector to the masses and to what is usual for each vital."""
        places = self._places(x)
        if places is None:
            return
        for (features, thresholds), masses in zip(self._forest, self._filling, strict=True):
            node = 0
            for _ in _LEVELS:
                masses[node] += 1
                node = 2 * node + (1 if places[features[node]] < thresholds[node] else 2)
            masses[node] += 1
        for vital, usual in self._usual:
            usual.take(x[vital])
        if self.count % WINDOW == 0:
            self._full, self._filling = self._filling, [bytearray(_NODES) for _ in range(TREES)]

    def contributions(self, x: Vector) -> dict[str, float]:
        """Return by how much the score would fall if that vital alone were usual.

        This costs one score a feature. It is an approximation: what two vitals share is credited to
        neither or to both.
        """
        places = self._places(x)
        if places is None or not self.warm:
            return dict.fromkeys((vital for vital, _ in self._usual), 0.0)
        whole = self._score(places)
        drops = {}
        for index, (vital, _) in enumerate(self._usual):
            others = [*places[:index], 0.0, *places[index + 1 :]]
            drops[vital] = whole - self._score(others)
        return drops

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return usual value and spread of each vital, in its unit.

        Raises ValueError before the first vector.
        """
        return {vital: usual.expected()[vital] for vital, usual in self._usual}

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {
            "features": tuple(
                Feature(vital=vital, resolution=1.0) for vital in ("heart_rate", "systolic")
            )
        }

    def to_state(self) -> bytes:
        """Return the count, the moments of each vital and the masses of both windows, sealed."""
        moments = b"".join(_MOMENTS.pack(*usual.moments()[1:]) for _, usual in self._usual)
        masses = b"".join((*self._full, *self._filling))
        return seal(_stamp(self.watched), _COUNT.pack(self.count) + moments + masses)

    @classmethod
    def from_state(cls, features: tuple[Feature, ...], data: bytes) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError."""
        detector = cls(features)
        begin = _COUNT.size + len(features) * _MOMENTS.size
        payload = unseal(_stamp(features), data, begin + 2 * TREES * _NODES)
        (count,) = _COUNT.unpack_from(payload)
        pairs = _MOMENTS.iter_unpack(payload[_COUNT.size : begin])
        detector._usual = tuple(
            (feature.vital, Gaussian.from_moments(feature, (count, mean, variance)))
            for feature, (mean, variance) in zip(features, pairs, strict=True)
        )
        masses = [bytearray(payload[at : at + _NODES]) for at in range(begin, len(payload), _NODES)]
        detector._full = masses[:TREES]
        detector._filling = masses[TREES:]
        detector._check_masses()
        return detector

    def _check_masses(self) -> None:
        """Raise StateError unless the masses of each tree fit the count.

        Each tree must hold one complete window (or none yet) and the vectors learned since.
        """
        whole = WINDOW if self.count >= WINDOW else 0
        for masses, expected in ((self._full, whole), (self._filling, self.count % WINDOW)):
            if any(tree[0] != expected or max(tree) != expected for tree in masses):
                raise StateError("masses do not fit the count")


def _stamp(features: tuple[Feature, ...]) -> Stamp:
    vitals = " ".join(feature.vital for feature in features)
    settings = f"{vitals} trees={TREES},{HEIGHT},{WINDOW},{SEED} knee={KNEE} memory={MEMORY}"
    return Stamp(detector=HalfSpaceTrees.name, version=HalfSpaceTrees.version, settings=settings)
