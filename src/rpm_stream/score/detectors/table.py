"""The table of learned detectors: the one place that lists them.

A new detector is a file and a line here. README's table "To add a …" names what else it needs.
The laws in ``tests/score/detectors/test_table.py`` and
the table of ``benchmarks/detectors.py`` run over it. A clinic adds River's own classes without a
line of code, in shadow (``baseline/shadow.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rpm_stream.score.detectors import drift, gaussian, half_space_trees, quantile
from rpm_stream.score.detectors.detector_entry import DetectorKind
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.gaussian import Gaussian
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.quantile import Quantile

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
