"""One vital against its own present: a window that ends where the vital last changed for good (ADWIN).

The adaptive window of Bifet and Gavaldà (SDM 2007), as River's ``ADWIN`` builds it: readings in buckets of 1, 2, 4 …,
and whenever two parts of the window differ in mean by more than chance allows, the older part goes. A test runs both
side by side; ours differs where a law asks for it:

- *state*: River's stands in 1.4 kB of its own serialization, which must not be read from a topic that others can
  write; here two numbers a bucket, checked;
- *bounded*: River's window grows for ever; here the oldest bucket goes beyond ``ROWS`` sizes (about ``LONGEST``
  readings), so that a change is looked for within days and not within a year;
- *scale*: the bound on chance is written for values between 0 and 1. Readings go in as multiples of the vital's
  resolution: then the term that depends on the scale is small beside the one of the spread, for every vital.

It answers two things: how unusual a reading is (distance from the window's mean in its spreads), and that the usual
has changed (``learn_one`` returns nothing; ``take`` is ``learn_one`` with what was cut off). A vital that follows day
and night changes twice a day: what is a *lasting* change is judged in ``lasting.py``.

>>> from rpm_stream.score.detector import Feature
>>> detector = Drift(Feature(vital="heart_rate", resolution=2.0))
>>> cuts = [detector.take(70.0 + n % 5 + (8.0 if n >= 200 else 0.0)) for n in range(400)]
>>> next((n, round(cut.before)) for n, cut in enumerate(cuts) if cut)
(206, 72)
>>> round(detector.expected()[0])
80
"""

from __future__ import annotations

import struct
from itertools import pairwise
from math import isfinite, log, sqrt
from typing import Final

from rpm_stream.records import Record
from rpm_stream.score.codec import Stamp, StateError, seal, unseal
from rpm_stream.score.detector import LARGEST, WARM_AFTER, Feature, checked

DELTA: Final = 0.002
"""Chance of a cut where nothing changed (River's default)."""

EACH: Final = 3
"""Buckets of one size before the two oldest become one of twice the size. River has 5; 3 halves the state."""

ROWS: Final = 8
LONGEST: Final = (EACH + 1) * (2**ROWS - 1)
"""Sizes of buckets, 1 to 128, and the readings that they can hold: 1,020, a week and a half at one in 15 minutes."""

SHORTEST: Final = 5
GRACE: Final = 10
"""No part of a cut is shorter, and no cut before so many readings (River's defaults)."""

ADAPTS_WITHIN: Final = 100
"""Learned readings after which a lasting shift is no longer flagged."""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested: z = 4, as for the Gaussian detector."""

_HEAD: Final = struct.Struct(f">I{ROWS}B")
_BUCKET: Final = struct.Struct(">dd")
_MOST: Final = ROWS * (EACH + 1)
_TOP: Final = LARGEST * LARGEST * LONGEST


class Cut(Record, frozen=True, kw_only=True):
    """What was cut off: how many readings, and their mean in the feature's unit."""

    readings: int
    before: float


class Bucket(Record, frozen=True, kw_only=True, gc=False):
    """Sum of some readings in resolutions, and the sum of their squared distances from their mean."""

    total: float
    squares: float


def _joined(first: Bucket, second: Bucket, n: int) -> Bucket:
    """Two buckets of ``n`` readings as one."""
    apart = (first.total - second.total) / n
    return Bucket(total=first.total + second.total, squares=first.squares + second.squares + apart * apart * n / 2)


class Drift:
    """Scores readings of one vital (``float``, in the feature's unit); state at most 600 bytes."""

    name: Final = "drift"
    version: Final = "1"

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self._count = 0
        self._rows: list[list[Bucket]] = [[] for _ in range(ROWS)]  # of size 2**row, oldest first
        self._settle_whole()

    @property
    def count(self) -> int:
        """Readings learned."""
        return self._count

    @property
    def warm(self) -> bool:
        """True once enough readings were learned to speak."""
        return self._count >= WARM_AFTER

    @property
    def width(self) -> int:
        """Readings in the window."""
        return self._width

    def score_one(self, x: float) -> float:
        """How unusual ``x`` is beside the window, 0 to 1: ``z**2 / (1 + z**2)``; 0 until warm."""
        place = checked(x) / self._feature.resolution
        if self._count < WARM_AFTER:
            return 0.0
        distance = place - self._total / self._width
        square = distance * distance / (1.0 + self._squares / self._width)
        return square / (1.0 + square)

    def learn_one(self, x: float) -> None:
        """Take ``x`` into the window."""
        self.take(x)

    def take(self, x: float) -> Cut | None:
        """Take ``x`` into the window; what a change has cut off."""
        place = checked(x) / self._feature.resolution
        self._count += 1
        self._rows[0].append(Bucket(total=place, squares=0.0))
        self._compress()
        self._settle_whole()
        width, total = self._width, self._total
        while self._width > GRACE and self._differs():
            self._drop_oldest()
        if width == self._width:
            return None
        gone = width - self._width
        return Cut(readings=gone, before=(total - self._total) / gone * self._feature.resolution)

    def _compress(self) -> None:
        for row, buckets in enumerate(self._rows):
            if len(buckets) <= EACH:
                return
            if row + 1 == ROWS:
                del buckets[0]
                return
            self._rows[row + 1].append(_joined(buckets[0], buckets[1], 1 << row))
            del buckets[:2]

    def _differs(self) -> bool:
        """Whether some older part of the window differs from the rest by more than chance allows."""
        chance = log(2.0 * log(self._width) / DELTA)
        spread = 2.0 * chance * self._squares / self._width
        older, older_total = 0, 0.0
        for row in range(ROWS - 1, -1, -1):
            for bucket in self._rows[row]:
                older += 1 << row
                older_total += bucket.total
                newer = self._width - older
                if newer < SHORTEST:
                    return False
                if older < SHORTEST:
                    continue
                apart = abs(older_total / older - (self._total - older_total) / newer)
                weight = 1.0 / (older - SHORTEST + 1) + 1.0 / (newer - SHORTEST + 1)
                if apart > sqrt(spread * weight) + 2.0 / 3.0 * chance * weight:
                    return True
        return False

    def _drop_oldest(self) -> None:
        row = max(row for row, buckets in enumerate(self._rows) if buckets)
        del self._rows[row][0]
        self._settle_whole()

    def _settle_whole(self) -> None:
        """Width, total and squares of the window: always from its buckets, so that a restored one goes on alike."""
        width, total, squares = 0, 0.0, 0.0
        for row in range(ROWS - 1, -1, -1):
            n = 1 << row
            for bucket in self._rows[row]:
                apart = bucket.total / n - (total / width if width else bucket.total / n)
                squares += bucket.squares + apart * apart * n * width / (n + width)
                width, total = width + n, total + bucket.total
        self._width, self._total, self._squares = width, total, squares

    def expected(self) -> tuple[float, float]:
        """Mean and spread of the window, in the feature's unit. ValueError before the first reading."""
        if not self._width:
            raise ValueError("nothing learned yet")
        resolution = self._feature.resolution
        return self._total / self._width * resolution, sqrt(1.0 + self._squares / self._width) * resolution

    def to_state(self) -> bytes:
        """Count, buckets a row and the buckets, sealed."""
        buckets = b"".join(_BUCKET.pack(bucket.total, bucket.squares) for row in self._rows for bucket in row)
        return seal(_stamp(self._feature), _HEAD.pack(self._count, *map(len, self._rows)) + buckets)

    @classmethod
    def from_state(cls, feature: Feature, data: bytes) -> Drift:
        """Restore exactly what ``to_state`` gave, or raise StateError."""
        payload = unseal(_stamp(feature), data, None)
        if len(payload) < _HEAD.size:
            raise StateError("payload of a wrong size")
        count, *lengths = _HEAD.unpack_from(payload)
        if max(lengths) > EACH + 1 or len(payload) != _HEAD.size + sum(lengths) * _BUCKET.size:
            raise StateError("buckets do not fit the window")
        values = [Bucket(total=total, squares=squares) for total, squares in _BUCKET.iter_unpack(payload[_HEAD.size :])]
        if not all(_is_possible(bucket) for bucket in values):
            raise StateError("buckets out of range")
        detector = cls(feature)
        bounds = [sum(lengths[:row]) for row in range(ROWS + 1)]
        detector._count, detector._rows = count, [values[begin:end] for begin, end in pairwise(bounds)]
        detector._settle_whole()
        if detector._width > count or (count and not detector._width):
            raise StateError("buckets do not fit the count")
        return detector


def _is_possible(bucket: Bucket) -> bool:
    """Whether readings can lead to it; NaN and infinity fail."""
    return isfinite(bucket.total) and 0.0 < bucket.total <= _TOP and 0.0 <= bucket.squares <= _TOP * _TOP


def _stamp(feature: Feature) -> Stamp:
    # With the resolution: the window is kept in multiples of it.
    settings = f"{feature.vital} {feature.resolution!r} delta={DELTA} buckets={EACH},{ROWS}"
    return Stamp(detector=Drift.name, version=Drift.version, settings=settings)
