"""One detector that runs: which one it is, its inputs, when it runs and what becomes of its output.

``table.py`` lists the kinds of detectors, and ``entries.py`` the detectors that run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from rpm_stream.knowledge.scoring import DetectorTrigger
from rpm_stream.records.base import Record
from rpm_stream.score.detectors.protocol import Detector, Feature, Features

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


class DetectorKind(Record, frozen=True, kw_only=True):
    """A detector: how to begin, how to restore it, and from which score to flag.

    ``restore`` continues from a state or raises StateError. ``version`` changes whenever the same
    readings would give another score. ``adapts_within`` is the number of learned readings after
    which a lasting shift is no longer flagged. ``state_bytes`` is the bound of the state's size.
    ``around`` begins again, warm, around a usual value and a spread. It is None where the detector
    forgets by itself.
    """

    fresh: Callable[[Features], Detector]
    restore: Callable[[tuple[Feature, ...], bytes], Detector]
    version: str
    threshold: float
    adapts_within: int
    state_bytes: int
    around: Callable[[Feature, tuple[float, float]], Detector] | None = None


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
