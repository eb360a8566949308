"""The table of learned detectors: the one place that lists them.

A new detector is a file and a line here. README's table "To add a …" names what else it needs.
The laws in ``tests/score/detectors/test_table.py`` and
the table of ``benchmarks/detectors.py`` run over it. A clinic adds River's own classes without a
line of code, in shadow (``baseline/shadow.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rpm_stream.score.detectors import drift, gaussian, half_space_trees, quantile
from rpm_stream.score.detectors.detector_entry import DetectorKind
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.gaussian import Gaussian
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.protocol import Detector, Feature, VitalDetector
from rpm_stream.score.detectors.quantile import Quantile


def _kind(
    detector: type[VitalDetector] | type[HalfSpaceTrees],
    flags: tuple[float, int],
    state_bytes: int,
    around: Callable[[Feature, tuple[float, float]], Detector] | None = None,
) -> DetectorKind:
    """Return a row. ``flags`` are the threshold, and the readings after which it has adapted."""
    return DetectorKind(
        fresh=detector,
        restore=detector.from_state,
        version=detector.version,
        threshold=flags[0],
        adapts_within=flags[1],
        state_bytes=state_bytes,
        around=around,
    )


VITAL_DETECTORS: Final[Mapping[str, DetectorKind]] = {
    Gaussian.name: _kind(
        Gaussian, (gaussian.THRESHOLD, gaussian.ADAPTS_WITHIN), 100, Gaussian.around
    ),
    Quantile.name: _kind(Quantile, (quantile.THRESHOLD, quantile.ADAPTS_WITHIN), 460),
    Drift.name: _kind(Drift, (drift.THRESHOLD, drift.ADAPTS_WITHIN), 600),
}
"""Detectors of one vital."""

VECTOR_DETECTORS: Final[Mapping[str, DetectorKind]] = {
    HalfSpaceTrees.name: _kind(
        HalfSpaceTrees, (half_space_trees.THRESHOLD, half_space_trees.ADAPTS_WITHIN), 1536
    ),
}
"""Detectors of several vitals together."""

DETECTORS: Final[Mapping[str, DetectorKind]] = {**VITAL_DETECTORS, **VECTOR_DETECTORS}
