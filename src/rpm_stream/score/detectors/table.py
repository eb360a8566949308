"""The table of learned detectors: the one place that lists them.

A new detector is a file and a line here. README's table "To add a …" names what else it needs.
The laws in ``tests/score/detectors/test_table.py`` and
the table of ``benchmarks/detectors.py`` run over it. A clinic adds River's own classes without a
line of code, in shadow (``baseline/shadow.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rpm_stream.records.base import Record
from rpm_stream.score.detectors import drift, gaussian, half_space_trees, quantile
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.gaussian import Gaussian
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.protocol import Detector, Feature, Features
from rpm_stream.score.detectors.quantile import Quantile


class DetectorKind(Record, frozen=True, kw_only=True):
    """A detector: how to begin, how to restore it, and from which score to flag.

    ``restore`` continues from a state or raises StateError. ``adapts_within`` is the number of
    learned readings after which a lasting shift is no longer flagged. ``state_bytes`` is the bound
    of the state's size. ``around`` begins again, warm, around a usual value and a spread. It is
    None where the detector forgets by itself.
    """

    fresh: Callable[[Features], Detector]
    restore: Callable[[tuple[Feature, ...], bytes], Detector]
    threshold: float
    adapts_within: int
    state_bytes: int
    around: Callable[[Feature, tuple[float, float]], Detector] | None = None


VITAL_DETECTORS: Final[Mapping[str, DetectorKind]] = {
    Gaussian.name: DetectorKind(
        fresh=Gaussian,
        restore=Gaussian.from_state,
        threshold=gaussian.THRESHOLD,
        adapts_within=gaussian.ADAPTS_WITHIN,
        state_bytes=100,
        around=Gaussian.around,
    ),
    Quantile.name: DetectorKind(
        fresh=Quantile,
        restore=Quantile.from_state,
        threshold=quantile.THRESHOLD,
        adapts_within=quantile.ADAPTS_WITHIN,
        state_bytes=460,
    ),
    Drift.name: DetectorKind(
        fresh=Drift,
        restore=Drift.from_state,
        threshold=drift.THRESHOLD,
        adapts_within=drift.ADAPTS_WITHIN,
        state_bytes=600,
    ),
}
"""Detectors of one vital."""

VECTOR_DETECTORS: Final[Mapping[str, DetectorKind]] = {
    HalfSpaceTrees.name: DetectorKind(
        fresh=HalfSpaceTrees,
        restore=HalfSpaceTrees.from_state,
        threshold=half_space_trees.THRESHOLD,
        adapts_within=half_space_trees.ADAPTS_WITHIN,
        state_bytes=1536,
    ),
}
"""Detectors of several vitals together."""

DETECTORS: Final[Mapping[str, DetectorKind]] = {**VITAL_DETECTORS, **VECTOR_DETECTORS}
