"""The rows of the table ``detectors.toml``: each detector that runs, with its inputs and bounds.

The shipped rows and a clinic's own are made alike: what runs, on what and when is data. The runner
(``baseline/runner.py``) takes a row and does all that detectors have in common.
``baseline/learned.py`` loops over the rows. A clinic adds a row ``[shadow.NAME]`` and no code.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.scoring import (
    CombinedTable,
    DetectorRow,
    DetectorTrigger,
    LastingTable,
    PersonalTable,
    ShadowTable,
)
from rpm_stream.records import Record
from rpm_stream.score.detectors.protocol import Detector, Feature, Features
from rpm_stream.score.detectors.table import DETECTORS, DetectorKind

Mode: TypeAlias = Literal["live", "shadow", "off"]
"""What becomes of a detector's output.

``live``: its findings become alerts. ``shadow``: its scores are written, but it raises no alert.
``off``: it does not run, and its states are only kept.
"""

SHADOW: Final = "shadow."
"""Prefix of the names of states that belong to shadow rows."""

PULSE: Final = ("heart_rate", "pulse_rate")
"""The vitals that make up the input ``pulse`` of a detector of several vitals.

The one that was measured last is used.
"""


class DetectorEntry(Record, frozen=True, kw_only=True):
    """A row: a detector, what it watches, when it runs, and whether its findings become alerts.

    ``prefix`` is the prefix of the names of its states. ``fresh_for_minutes`` is how long the
    vitals of a moment count as fresh. ``rest`` is the least measured time between two vectors of
    one detector.
    """

    name: str
    kind: DetectorKind
    features: tuple[Feature, ...]
    when: DetectorTrigger
    prefix: str = ""
    mode: Mode = "live"
    fresh_for_minutes: int = 0
    rest: timedelta = timedelta(0)

    @property
    def label(self) -> str:
        """The name by which ids of scores differ from those of other rows."""
        return self.name if self.mode == "live" else f"{SHADOW}{self.name}"

    @property
    def is_of_each(self) -> bool:
        """Whether each vital has a detector of its own."""
        return self.when != "moment"

    def key(self, vital: str) -> str:
        """Return the name of a state: that of a vital's detector, or that of the single one."""
        return f"{self.prefix}{vital}" if self.is_of_each else self.prefix

    def of(self, vital: str) -> tuple[Feature, ...]:
        """Return the features of the detector that looks at a vital."""
        return (
            tuple(each for each in self.features if each.vital == vital)
            if self.is_of_each
            else self.features
        )

    @property
    def states(self) -> int:
        """The most detectors of this row that a patient can have."""
        return len(self.features) if self.is_of_each else 1


def sources_of(features: tuple[Feature, ...]) -> dict[str, tuple[str, ...]]:
    """Return for each feature the vitals that it may come from."""
    return {each.vital: PULSE if each.vital == "pulse" else (each.vital,) for each in features}


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
