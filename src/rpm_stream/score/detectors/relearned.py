"""Any River estimator, with its state kept exactly and without pickle.

River's checkpoint is a pickle, which must not be read from a topic that others can write. Here the
state is the last learned vectors. At fixed points, each ``keep`` vectors, the live estimator is
replaced by a new one that learns the last ``keep``. A restored estimator learns the stored vectors.
What is live and what is restored are therefore the same by construction: both are an estimator that
has learned these vectors in this order. The price is that it forgets all that is older, and that
each vector is learned twice.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Self
from zlib import crc32

import msgspec
import numpy as np
from river.__version__ import __version__ as river_version

from rpm_stream.knowledge.estimators import Runnable
from rpm_stream.knowledge.scoring import ShadowTable
from rpm_stream.score.detectors.codec import Stamp, StateError, opened, seal
from rpm_stream.score.detectors.protocol import Detector, Feature, Vector
from rpm_stream.score.detectors.ranges import checked
from rpm_stream.score.detectors.windows import SINGLE, Window, stored_window

_COUNT = struct.Struct(">I")


class Relearned(Detector):
    """An estimator of a row of the table over ``features``.

    Scores are River's own: any finite number, from the first on.
    """

    name: ClassVar[str] = "relearned"
    version: ClassVar[str] = "1"

    def __init__(self, row: ShadowTable, name: str, features: tuple[Feature, ...]) -> None:
        super().__init__(features)
        self.row = row
        self.label = name
        self._vitals = tuple(feature.vital for feature in features)
        self._count = 0
        self._window: Window = np.zeros((2 * row.keep, len(features)), SINGLE)
        self._used = 0  # so many vectors of the window were learned
        self._model = Runnable(row)

    @property
    def count(self) -> int:
        """Number of vectors learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once the ``keep`` vectors from which it is rebuilt were learned."""
        return self._count >= self.row.keep

    def _checked(self, x: Vector) -> Vector | None:
        """Return the watched vitals of a vector in their order, or None for an incomplete one.

        Raises ValueError for an unusable one.
        """
        if not all(vital in x for vital in self._vitals):
            return None
        return {vital: checked(x[vital]) for vital in self._vitals}

    def score_one(self, x: Vector) -> float:
        """Return River's score, or 0 until warm and for an incomplete vector.

        Raises ValueError where River has no score.
        """
        watched = self._checked(x)
        return self._model.score_one(watched) if watched is not None and self.warm else 0.0

    def learn_one(self, x: Vector) -> None:
        """Learn a complete vector, in single precision as it is stored.

        A vector that River cannot learn is left out.
        """
        watched = self._checked(x)
        if watched is None:
            return
        self._window[self._used] = list(watched.values())
        try:
            self._learn(self._window[self._used])
        except ValueError:
            self._rebuild()  # River may have learned a part of the vector
            return
        self._count += 1
        self._used += 1
        if self._used == len(self._window):
            self._used = self.row.keep
            self._window[: self._used] = self._window[self._used :]
            self._rebuild()

    def _learn(self, vector: Window) -> None:
        self._model.learn_one(dict(zip(self._vitals, vector.tolist(), strict=True)))

    def _rebuild(self) -> None:
        self._model = Runnable(self.row)
        for vector in self._window[: self._used]:
            self._learn(vector)

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return an empty mapping, because River's estimators have no usual value."""
        return {}

    def to_state(self) -> bytes:
        """Return the count and the kept vectors, sealed."""
        payload = _COUNT.pack(self._count) + self._window[: self._used].tobytes()
        return seal(_stamp(self.row, self.label, self._vitals), payload)

    @classmethod
    def restored(
        cls, row: ShadowTable, name: str, features: tuple[Feature, ...], data: bytes
    ) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError."""
        detector = cls(row, name, features)
        _, payload = opened((_stamp(row, name, detector._vitals),), data)
        most = len(detector._window)
        used, rest = divmod(len(payload) - _COUNT.size, len(features) * SINGLE.itemsize)
        if not 0 <= used < most or rest:
            raise StateError("the payload has a wrong size")
        (detector._count,) = _COUNT.unpack_from(payload)
        if not min(detector._count, row.keep) <= used <= min(detector._count, most - 1):
            raise StateError("vectors do not fit the count")
        numbers = stored_window(payload[_COUNT.size :], used * len(features))
        detector._window[:used] = numbers.reshape(used, len(features))
        detector._used = used
        try:
            detector._rebuild()
        except ValueError:
            raise StateError("vectors cannot be learned") from None
        return detector


def version_of(row: ShadowTable) -> str:
    """Return a text that changes whenever the same readings would give another score.

    It is made of River's version and the row.
    """
    recipe = (row.class_, row.parameters, row.pipeline, row.keep)
    return f"{river_version}-{crc32(msgspec.json.encode(recipe, order='deterministic')):08x}"


def _stamp(row: ShadowTable, name: str, vitals: tuple[str, ...]) -> Stamp:
    return Stamp(detector=name, version=version_of(row), settings=" ".join(vitals))
