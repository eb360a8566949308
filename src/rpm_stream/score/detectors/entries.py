"""The rows of the table ``detectors.toml``: each detector that runs, with its inputs and bounds.

The shipped rows and a clinic's own are made alike: what runs, on what and when is data. The runner
(``baseline/runner.py``) takes a row and does all that detectors have in common.
``baseline/learned.py`` loops over the rows. A clinic adds a row ``[shadow.NAME]`` and no code.
"""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.scoring import (
    CombinedTable,
    DetectorRow,
    LastingTable,
    PersonalTable,
    ShadowTable,
)
from rpm_stream.score.detectors.detector_entry import PULSE, SHADOW, DetectorEntry, DetectorKind
from rpm_stream.score.detectors.protocol import Detector, Feature, Features
from rpm_stream.score.detectors.table import DETECTORS


def entries(knowledge: Knowledge) -> tuple[DetectorEntry, ...]:
    """Return all rows, the live ones first."""
    table = knowledge.detectors
    return (
        *(_live(knowledge, row) for row in table.live),
        *(_shadow(knowledge, name, row) for name, row in table.shadow.items()),
    )


def _live(knowledge: Knowledge, row: PersonalTable | LastingTable | CombinedTable) -> DetectorEntry:
    kind = DETECTORS[row.detector]
    entry = _entry(knowledge, row.detector, row, kind)
    # the states of single readings have the names of their vitals alone
    return replace(entry, prefix="") if row.when == "reading" else entry


def _shadow(knowledge: Knowledge, name: str, row: ShadowTable) -> DetectorEntry:
    return replace(
        _entry(knowledge, f"{SHADOW}{name}", row, _kind(name, row)),
        name=name,
        mode="off" if name in knowledge.detectors.off else "shadow",
        rest=row.rest,
    )


def _entry(
    knowledge: Knowledge, states: str, row: DetectorRow, kind: DetectorKind
) -> DetectorEntry:
    """Return a live row. ``states`` is the name of its states."""
    return DetectorEntry(
        name=states,
        kind=kind,
        features=_features(knowledge, row.inputs),
        when=row.when,
        prefix=f"{states}." if row.is_of_each else states,
        fresh_for_minutes=knowledge.detectors.combined.fresh_for_minutes,
    )


def _kind(name: str, row: ShadowTable) -> DetectorKind:
    # imported here because only the rows of a clinic need it
    from rpm_stream.knowledge.checks import SHADOW_FRAME
    from rpm_stream.score.detectors.relearned import Relearned, version_of

    def fresh(features: Features) -> Detector:
        return Relearned(row, name, (features,) if isinstance(features, Feature) else features)

    return DetectorKind(
        fresh=fresh,
        restore=partial(Relearned.restored, row, name),
        version=version_of(row),
        threshold=row.threshold,
        adapts_within=2 * row.keep,
        state_bytes=row.vectors_bytes + SHADOW_FRAME,
    )


def _features(knowledge: Knowledge, vitals: tuple[str, ...]) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            vital=vital,
            resolution=float(knowledge.vitals[PULSE[0] if vital == "pulse" else vital].resolution),
        )
        for vital in vitals
    )
