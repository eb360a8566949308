"""Any estimator of River with its state kept exactly and without pickle: what it learned last is
learned again.

River's checkpoint is a pickle, which must not be read from a topic that others can write. Here the
state is the last learned vectors. At fixed points, each ``keep`` vectors, the live estimator is
thrown away and a new one learns the last ``keep``; a restored one learns what is stored. So what is
live and what is restored are the same by construction: both are an estimator that has learned these
vectors in this order. The price: it forgets all that is older, and each vector is learned twice.
"""

from __future__ import annotations

import struct
from math import isfinite
from typing import ClassVar, Self
from zlib import crc32

import msgspec
from river.__version__ import __version__ as river_version

from rpm_stream.knowledge.estimators import Runnable
from rpm_stream.knowledge.scoring import Shadow
from rpm_stream.score.detectors.codec import Stamp, StateError, opened, seal
from rpm_stream.score.detectors.protocol import (
    LARGEST,
    SMALLEST,
    Detector,
    Feature,
    Vector,
    checked,
)

_COUNT = struct.Struct(">I")


class Relearned(Detector):
    """An estimator of a table's row over ``features``.

    Scores are River's own: any finite number, from the first on.
    """

    name: ClassVar[str] = "relearned"
    version: ClassVar[str] = "1"

    def __init__(self, row: Shadow, name: str, features: tuple[Feature, ...]) -> None:
        super().__init__(features)
        self.row = row
        self.label = name
        self._vitals = tuple(feature.vital for feature in features)
        self._numbers = struct.Struct(f">{len(features)}f")
        self._count = 0
        self._kept: list[tuple[float, ...]] = []
        self._model = Runnable(row)

    @property
    def count(self) -> int:
        """Vectors learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once the ``keep`` vectors were learned from which it is rebuilt."""
        return self._count >= self.row.keep

    def _checked(self, x: Vector) -> Vector | None:
        """The watched vitals of a vector in their order; None for an incomplete one.

        ValueError for an unusable one.
        """
        if not all(vital in x for vital in self._vitals):
            return None
        return {vital: checked(x[vital]) for vital in self._vitals}

    def score_one(self, x: Vector) -> float:
        """Return River's score; 0 until warm and for an incomplete vector.

        ValueError where River has none.
        """
        watched = self._checked(x)
        return self._model.score_one(watched) if watched is not None and self.warm else 0.0

    def learn_one(self, x: Vector) -> None:
        """Learn a complete vector, in single precision as it is stored; one that River cannot
        learn is left out.
        """
        watched = self._checked(x)
        if watched is None:
            return
        vector = self._numbers.unpack(self._numbers.pack(*watched.values()))
        try:
            self._learn(vector)
        except ValueError:
            self._rebuild()  # it may have learned a half
            return
        self._count += 1
        self._kept.append(vector)
        if len(self._kept) == 2 * self.row.keep:
            del self._kept[: -self.row.keep]
            self._rebuild()

    def _learn(self, vector: tuple[float, ...]) -> None:
        self._model.learn_one(dict(zip(self._vitals, vector, strict=True)))

    def _rebuild(self) -> None:
        self._model = Runnable(self.row)
        for vector in self._kept:
            self._learn(vector)

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return nothing: River's estimators do not say what is usual."""
        return {}

    def to_state(self) -> bytes:
        """Return the count and the kept vectors, sealed."""
        vectors = b"".join(self._numbers.pack(*vector) for vector in self._kept)
        return seal(_stamp(self.row, self.label, self._vitals), _COUNT.pack(self._count) + vectors)

    @classmethod
    def restored(cls, row: Shadow, name: str, features: tuple[Feature, ...], data: bytes) -> Self:
        """Restore exactly what ``to_state`` gave, or raise StateError."""
        detector = cls(row, name, features)
        _, payload = opened((_stamp(row, name, detector._vitals),), data)
        size = len(payload) - _COUNT.size
        if size < 0 or size % detector._numbers.size:
            raise StateError("payload of a wrong size")
        (detector._count,) = _COUNT.unpack_from(payload)
        detector._kept = list(detector._numbers.iter_unpack(payload[_COUNT.size :]))
        most = detector._count if detector._count < 2 * row.keep else 2 * row.keep - 1
        if not min(detector._count, row.keep) <= len(detector._kept) <= most:
            raise StateError("vectors do not fit the count")
        if not all(
            isfinite(x) and SMALLEST / 2 <= x <= LARGEST * 2
            for vector in detector._kept
            for x in vector
        ):
            raise StateError("values out of range")
        try:
            detector._rebuild()
        except ValueError:
            raise StateError("vectors that cannot be learned") from None
        return detector


def version_of(row: Shadow) -> str:
    """Return what changes whenever the same readings would give another score: River's version
    and the row.
    """
    recipe = (row.class_, row.parameters, row.pipeline, row.keep)
    return f"{river_version}-{crc32(msgspec.json.encode(recipe, order='deterministic')):08x}"


def _stamp(row: Shadow, name: str, vitals: tuple[str, ...]) -> Stamp:
    return Stamp(detector=name, version=version_of(row), settings=" ".join(vitals))
