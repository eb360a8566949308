"""Detector of one vital that compares it with its own recent values (River's ADWIN).

The window holds the readings since the vital last changed for good. It is the adaptive window of
Bifet and Gavaldà (SDM 2007), and River's ``ADWIN`` does the work. ``ADWIN`` keeps readings in
buckets of 1, 2, 4 and so on. When two parts of the window differ in mean by more than chance
allows, it drops the older part. This module adds:

- *state*: River's own serialization takes up to 1.4 kB and must not be read from a topic that
  others can write, because bad bytes end in a BaseException. Here the numbers of the window are
  read out, checked, and put back unchanged.
- *bound*: River's window grows without end. Here the oldest bucket is dropped beyond ``LONGEST``
  readings, so a change is looked for within days and not within a year.
- *continuity*: River begins with an empty window after each change. Here the part that is left
  stays.
- *scale*: the bound on chance is written for values between 0 and 1. Readings enter as multiples of
  the vital's resolution. For every vital the term that depends on the scale is then small beside
  the term of the spread.

The detector answers two questions. The first is how unusual a reading is: its distance from the
window's mean in spreads. The second is whether the usual value has changed. ``update`` and
``drift_detected`` work as in every drift detector of River, and ``take`` returns what was cut off.
A vital that follows day and night changes twice a day. Whether a change is *lasting* is decided in
``baseline/lasting_change.py``.

>>> from rpm_stream.score.detectors.protocol import Feature
>>> detector = Drift(Feature(vital="heart_rate", resolution=2.0))
>>> cuts = [detector.take(70.0 + n % 5 + (8.0 if n >= 200 else 0.0)) for n in range(400)]
>>> next((n, round(cut.before)) for n, cut in enumerate(cuts) if cut)
(206, 72)
>>> round(detector.expected()["heart_rate"][0])
80
"""

from __future__ import annotations

import struct
from itertools import pairwise
from math import isclose, isfinite, sqrt
from typing import ClassVar, Final, Self

from river.drift import ADWIN

from rpm_stream.records.base import Record
from rpm_stream.score.detectors.codec import Stamp, StateError, opened, seal
from rpm_stream.score.detectors.protocol import WARM_AFTER, Feature, Features, Vector, VitalDetector
from rpm_stream.score.detectors.ranges import LARGEST, checked

DELTA: Final = 0.002
"""Chance of a cut although nothing changed (River's default)."""

EACH: Final = 3
"""Buckets of one size before the two oldest are merged into one of twice the size.

River's default is 5. A value of 3 halves the state.
"""

LONGEST: Final = 1020
"""Readings in the window at most: a week and a half at one in 15 minutes."""

ROWS: Final = 9
"""Number of bucket sizes, 1 to 256.

With ``EACH`` buckets of each size, and one less of the largest, the window would exceed
``LONGEST``.
"""

SHORTEST: Final = 5
GRACE: Final = 10
"""Fewest readings in each part of a cut, and readings before the first cut (River's defaults)."""

ADAPTS_WITHIN: Final = 100
"""Learned readings after which a lasting shift is no longer flagged."""

THRESHOLD: Final = 16.0 / 17.0
"""Suggested threshold: z = 4, as for the Gaussian detector."""

_FIRST_HEAD: Final = struct.Struct(">I8B")
_HEAD: Final = struct.Struct(f">Idd{ROWS}B")
_BUCKET: Final = struct.Struct(">dd")
_TOP: Final = LARGEST * LARGEST * LONGEST
# River's serialization: parameters, running numbers and rows. A row has bounds, totals and
# variances.
_RIVER_HEAD: Final = struct.Struct("<diQdddddd4iQ")
_RIVER_ROW: Final = struct.Struct(f"<QQQ{EACH + 1}dQ{EACH + 1}d")
_RIVER_TAIL: Final = struct.Struct("<diQii")


class Cut(Record, frozen=True, kw_only=True):
    """The part of a window that was cut off.

    ``readings`` is its number of readings and ``before`` their mean, in the feature's unit.
    """

    readings: int
    before: float


class Bucket(Record, frozen=True, kw_only=True, gc=False):
    """The sum of some readings, and the sum of their squared distances from their mean.

    Both are in resolutions.
    """

    total: float
    squares: float


class AdwinWindow(Record, frozen=True, kw_only=True):
    """The contents of River's window.

    ``total`` and ``squares`` are the sum and the squared distances of the whole window. ``rows``
    holds the buckets of size 2**row, oldest first. The two sums follow from the buckets except for
    the last digits. They are kept so that a restored window continues bit by bit like the live one.
    """

    total: float
    squares: float
    rows: tuple[tuple[Bucket, ...], ...]

    @classmethod
    def of(cls, rows: tuple[tuple[Bucket, ...], ...]) -> Self:
        """Return the window of these buckets, with sums computed from the buckets."""
        width = 0
        total = 0.0
        squares = 0.0
        for row in range(len(rows) - 1, -1, -1):
            n = 1 << row
            for bucket in rows[row]:
                apart = bucket.total / n - (total / width if width else bucket.total / n)
                squares += bucket.squares + apart * apart * n * width / (n + width)
                width = width + n
                total = total + bucket.total
        return cls(total=total, squares=squares, rows=rows)

    @property
    def width(self) -> int:
        """Number of readings in the window."""
        return sum(len(buckets) << row for row, buckets in enumerate(self.rows))


class Drift(ADWIN, VitalDetector):
    """Scores one vital, in the feature's unit, and finds when it changed.

    The state takes at most 600 bytes.
    """

    name: ClassVar[str] = "drift"
    version: ClassVar[str] = "2"

    def __init__(self, features: Features) -> None:
        VitalDetector.__init__(self, features)
        ADWIN.__init__(  # type: ignore[no-untyped-call]
            self,
            delta=DELTA,
            clock=1,
            max_buckets=EACH,
            min_window_length=SHORTEST,
            grace_period=GRACE,
        )
        self._resolution = self._feature.resolution

    def score_one(self, x: Vector) -> float:
        """Return how unusual the vital is for the window, 0 to 1: ``z**2 / (1 + z**2)``.

        The score is 0 until warm.
        """
        value = x.get(self._vital)
        if value is None:
            return 0.0
        place = checked(value) / self._resolution
        if self._count < WARM_AFTER:
            return 0.0
        window = self._helper
        width = window.get_width()
        distance = place - window.get_total() / width
        square = distance * distance / (1.0 + max(0.0, window.get_variance()) / width)
        return square / (1.0 + square)

    def learn_one(self, x: Vector) -> None:
        """Add the vital to the window."""
        value = x.get(self._vital)
        if value is not None:
            self.update(value)

    def update(self, x: float) -> None:
        """Add a value, in the feature's unit, to the window.

        ``drift_detected`` is true afterwards if that cut off a part of the window.
        """
        place = checked(x) / self._resolution
        self._count += 1
        self._drift_detected = self._helper.update(place)
        if self._helper.get_width() > LONGEST:
            self._drop_oldest()

    def take(self, x: float) -> Cut | None:
        """Add a value to the window and return the part that a change has cut off."""
        width = self.width
        total = self.total
        self.update(x)
        if not self._drift_detected:
            return None
        gone = width + 1 - self.width
        before = (total + x / self._resolution - self.total) / gone
        return Cut(readings=int(gone), before=before * self._resolution)

    def _drop_oldest(self) -> None:
        rows = list(self.window().rows)
        oldest = max(row for row, buckets in enumerate(rows) if buckets)
        rows[oldest] = rows[oldest][1:]
        self._helper.__setstate__(_river_state(AdwinWindow.of(tuple(rows))))

    def expected(self) -> dict[str, tuple[float, float]]:
        """Return mean and spread of the window, in the vital's unit.

        Raises ValueError before the first reading.
        """
        if not self._count:
            raise ValueError("nothing learned yet")
        spread = sqrt(1.0 + max(0.0, self.variance) / self.width)
        return {self._vital: (self.estimation * self._resolution, spread * self._resolution)}

    def window(self) -> AdwinWindow:
        """Return the contents of River's window."""
        return _window_of(self._helper.__getstate__())

    def to_state(self) -> bytes:
        """Return the count, the sums, the number of buckets in each row and the buckets, sealed."""
        window = self.window()
        rows = (*window.rows, *[()] * (ROWS - len(window.rows)))
        buckets = b"".join(
            _BUCKET.pack(bucket.total, bucket.squares) for row in rows for bucket in row
        )
        head = _HEAD.pack(self._count, window.total, window.squares, *map(len, rows))
        return seal(_stamp(self._feature, Drift.version), head + buckets)

    @classmethod
    def restored(cls, feature: Feature, data: bytes) -> Self:
        """Restore exactly what ``to_state`` returned, or raise StateError.

        Version 1 kept the buckets alone.
        """
        stamp, payload = opened((_stamp(feature, Drift.version), _stamp(feature, "1")), data)
        head = _HEAD if stamp.version == Drift.version else _FIRST_HEAD
        if len(payload) < head.size:
            raise StateError("the payload has a wrong size")
        fields = head.unpack_from(payload)
        lengths = fields[3:] if head is _HEAD else fields[1:]
        rows = _rows(lengths, payload[head.size :])
        window = AdwinWindow.of(rows)
        if head is _HEAD:
            kept = AdwinWindow(total=fields[1], squares=fields[2], rows=rows)
            if not _is_near(kept, window):
                raise StateError("the sums do not fit the buckets")
            window = kept
        if window.width > fields[0] or (fields[0] and not window.width) or window.width > LONGEST:
            raise StateError("buckets do not fit the count")
        detector = cls(feature)
        detector._count = fields[0]
        detector._helper.__setstate__(_river_state(window))
        return detector


def _window_of(data: bytes) -> AdwinWindow:
    """Return the contents of a window that River has serialized."""
    head = _RIVER_HEAD.unpack_from(data)
    rows = []
    for row in range(head[-1]):
        kept = _RIVER_ROW.unpack_from(data, _RIVER_HEAD.size + row * _RIVER_ROW.size)
        totals = kept[3 : 4 + EACH]
        squares = kept[5 + EACH :]
        rows.append(
            tuple(Bucket(total=totals[place], squares=squares[place]) for place in range(kept[1]))
        )
    return AdwinWindow(total=head[5], squares=head[6], rows=tuple(rows))


def _river_state(window: AdwinWindow) -> bytes:
    """Return River's serialization of a window.

    Its numbers were checked before, because River would end the process on bad ones.
    """
    most = max((row + 1 for row, buckets in enumerate(window.rows) if buckets), default=1)
    head = _RIVER_HEAD.pack(
        DELTA,
        1,
        EACH,
        SHORTEST,
        GRACE,
        window.total,
        window.squares,
        window.width,
        0.0,
        0,
        0,
        0,
        0,
        most,
    )
    rows = [_river_row(window.rows[row] if row < len(window.rows) else ()) for row in range(most)]
    return head + b"".join(rows) + _RIVER_TAIL.pack(DELTA, 1, EACH, SHORTEST, GRACE)


def _river_row(buckets: tuple[Bucket, ...]) -> bytes:
    rest = [0.0] * (EACH + 1 - len(buckets))
    totals = [bucket.total for bucket in buckets] + rest
    squares = [bucket.squares for bucket in buckets] + rest
    return _RIVER_ROW.pack(EACH, len(buckets), EACH + 1, *totals, EACH + 1, *squares)


def _rows(lengths: tuple[int, ...], payload: bytes) -> tuple[tuple[Bucket, ...], ...]:
    """Return the buckets of a payload by size.

    Raises StateError for buckets that no readings can lead to.
    """
    if max(lengths) > EACH or len(payload) != sum(lengths) * _BUCKET.size:
        raise StateError("buckets do not fit the window")
    values = [
        Bucket(total=total, squares=squares) for total, squares in _BUCKET.iter_unpack(payload)
    ]
    if not all(_is_possible(bucket) for bucket in values):
        raise StateError("buckets out of range")
    bounds = [sum(lengths[:row]) for row in range(len(lengths) + 1)]
    return tuple(tuple(values[begin:end]) for begin, end in pairwise(bounds))


def _is_possible(bucket: Bucket) -> bool:
    """Whether readings can lead to the bucket. NaN and infinity fail."""
    return (
        isfinite(bucket.total)
        and 0.0 < bucket.total <= _TOP
        and 0.0 <= bucket.squares <= _TOP * _TOP
    )


def _is_near(kept: AdwinWindow, exact: AdwinWindow) -> bool:
    """Whether running sums equal those of the buckets except for rounding."""
    error = 1e-6 * (1.0 + exact.squares + exact.total * exact.total)
    return (
        isclose(kept.total, exact.total, rel_tol=1e-6, abs_tol=1e-6)
        and abs(kept.squares - exact.squares) <= error
    )


def _stamp(feature: Feature, version: str) -> Stamp:
    # The settings name the resolution because the window is kept in multiples of it.
    sizes = "8" if version == "1" else f"{ROWS}"
    settings = f"{feature.vital} {feature.resolution!r} delta={DELTA} buckets={EACH},{sizes}"
    return Stamp(detector=Drift.name, version=version, settings=settings)
