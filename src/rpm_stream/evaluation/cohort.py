"""All stays side by side: a row for each hour, a column for each stay.

A matrix has as many rows as the longest stay has hours, so a loop over hours handles all stays at
once. Cells that do not count hold ``ABSENT`` or False.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rpm_stream.evaluation.collect import NEWS2, STATIC
from rpm_stream.evaluation.stays import WINDOW, Stay, StayLabel, seed_of

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Counts: TypeAlias = NDArray[np.int64]

ABSENT = -np.inf  # below every score: an hour without a score never alarms
RANDOM = "random"
FIRST_NAMES = (NEWS2, STATIC, RANDOM)  # the lines beside every other score, in this order


class Cohort:
    """The labels of all stays as matrices.

    ``counted`` are the hours that count, and ``positive`` those among them in the window before an
    onset. ``onsets`` has the columns of the stays with an onset, ``onset_hours`` its hour in each.
    """

    def __init__(self, labels: Sequence[StayLabel]) -> None:
        self.labels = tuple(labels)
        self.hours = max((label.hours for label in labels), default=0)
        hour = np.arange(self.hours)[:, None]
        ends = np.array([label.counted for label in labels], dtype=np.int64)
        onset = np.array([-1 if label.onset is None else label.onset for label in labels])
        self.counted: Flags = hour < ends[None, :]
        self.onsets: Counts = np.flatnonzero(onset >= 0)
        self.onset_hours: Counts = onset[self.onsets].astype(np.int64)
        self.controls: Flags = onset < 0
        near = (hour > onset[None, :] - WINDOW) & (hour <= onset[None, :])
        self.positive: Flags = self.counted & near & (onset >= 0)[None, :]
        self.days = float(self.counted.sum()) / 24

    def matrix(self, rows: Iterable[Sequence[float] | Floats], fill: float = ABSENT) -> Floats:
        """Return one row of numbers for each stay as a matrix.

        NaN and hours that do not count become ``fill``.
        """
        made = np.full((self.hours, len(self.labels)), fill)
        for column, (label, row) in enumerate(zip(self.labels, rows, strict=True)):
            values = np.asarray(row[: label.counted], dtype=np.float64)
            made[: len(values), column] = np.where(np.isnan(values), fill, values)
        return made

    def uniform(self, purpose: str) -> Floats:
        """Return a random number from 0 to 1 for each hour.

        It is the same in every run, and whatever other stays there are.
        """
        return self.matrix(
            np.random.default_rng(seed_of(label.patient, purpose)).random(label.hours)
            for label in self.labels
        )


def score_names(stays: Sequence[Stay]) -> tuple[str, ...]:
    """Return the names of all scores, those to compare with first."""
    found = {name for stay in stays for name in stay.series}
    return (*FIRST_NAMES, *sorted(found - set(FIRST_NAMES)))


def score_matrix(cohort: Cohort, stays: Sequence[Stay], name: str) -> Floats:
    """Return the score of each hour. ``RANDOM`` is a random number."""
    if name == RANDOM:
        return cohort.uniform(RANDOM)
    return cohort.matrix(stay.series.get(name, ()) for stay in stays)
