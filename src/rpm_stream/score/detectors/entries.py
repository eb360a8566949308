"""The rows of the table ``detectors.toml``: each detector that runs, with its inputs and bounds.

The runner (``baseline/runner.py``) takes a row and does all that detectors have in common.
``baseline/learned.py`` loops over the rows. A clinic adds a row ``[shadow.NAME]`` and no code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.scoring import ShadowTable
from rpm_stream.score.detectors.detector_entry import PULSE, DetectorEntry, DetectorKind
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.detectors.half_space_trees import HalfSpaceTrees
from rpm_stream.score.detectors.protocol import Detector, Feature, Features
from rpm_stream.score.detectors.table import VECTOR_DETECTORS, VITAL_DETECTORS

SHADOW: Final = "shadow."
"""Prefix of the names of states that belong to shadow rows."""


def entries(knowledge: Knowledge) -> tuple[DetectorEntry, ...]:
    """Return all rows, the live ones first."""
    table = knowledge.detectors
    return (
        DetectorEntry(
            name=table.personal.detector,
            kind=VITAL_DETECTORS[table.personal.detector],
            features=_features(knowledge, sorted(table.personal.vitals)),
            when="reading",
        ),
        DetectorEntry(
            name=Drift.name,
            kind=VITAL_DETECTORS[Drift.name],
            features=_features(knowledge, sorted(table.lasting.vitals)),
            when="learned",
            prefix=f"{Drift.name}.",
        ),
        DetectorEntry(
            name=HalfSpaceTrees.name,
            kind=VECTOR_DETECTORS[HalfSpaceTrees.name],
            features=_features(knowledge, table.combined.features),
            when="moment",
            prefix=HalfSpaceTrees.name,
            fresh_for_minutes=table.combined.fresh_for_minutes,
        ),
        *_shadows(knowledge),
    )


def _shadows(knowledge: Knowledge) -> Iterator[DetectorEntry]:
    for name, row in knowledge.detectors.shadow.items():
        # imported here because only the rows of a clinic need it
        from rpm_stream.score.detectors.relearned import version_of

        yield DetectorEntry(
            name=name,
            kind=_kind(name, row),
            features=_features(knowledge, row.inputs),
            when="reading" if row.each else "moment",
            prefix=f"{SHADOW}{name}." if row.each else f"{SHADOW}{name}",
            mode="off" if name in knowledge.detectors.off else "shadow",
            fresh_for_minutes=knowledge.detectors.combined.fresh_for_minutes,
            version=version_of(row),
        )


def _kind(name: str, row: ShadowTable) -> DetectorKind:
    from rpm_stream.knowledge.checks import SHADOW_FRAME
    from rpm_stream.score.detectors.relearned import Relearned

    def fresh(features: Features) -> Detector:
        return Relearned(row, name, (features,) if isinstance(features, Feature) else features)

    return DetectorKind(
        fresh=fresh,
        restore=partial(Relearned.restored, row, name),
        threshold=row.threshold,
        adapts_within=2 * row.keep,
        state_bytes=row.vectors_bytes + SHADOW_FRAME,
    )


def _features(
    knowledge: Knowledge, vitals: Mapping[str, object] | list[str] | tuple[str, ...]
) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            vital=vital,
            resolution=float(knowledge.vitals[PULSE[0] if vital == "pulse" else vital].resolution),
        )
        for vital in vitals
    )
