"""One moment of one patient on its way through the rules: what they look at, and what they
found.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from rpm_stream.records import Finding, PatientEntry, Reading, Score, Total
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.memory.history import Placing


class Moment(msgspec.Struct, gc=False):
    """What the rules get, and where they put what they found.

    ``readings`` are all of the moment, ``judged`` those that say something of the patient,
    ``also_seen`` those that tell of a known measurement again and are judged no second time.
    ``open_groups`` have an alert; ``paused`` says since when learning waits for it. The limits,
    which are the first rule, fill ``placings`` (where NEWS2's readings lie in their histories),
    ``late`` (ids of what came late) and ``gaps`` (seconds to the reading of a vital before).
    """

    entry: PatientEntry
    readings: Sequence[Reading]
    judged: list[Reading]
    live: LiveDetectors
    paused: Paused
    open_groups: Collection[str]
    findings: list[Finding] = []
    scores: list[Score] = []
    placings: list[Placing] = []
    late: set[str] = set()
    total: Total | None = None  # NEWS2, where this moment may have changed it
    also_seen: list[Reading] = []
    gaps: dict[str, float] = {}

    @property
    def apart(self) -> float | None:
        """Seconds since the reading before, of the vital where that is shortest; None where none
        is known.
        """
        gaps = [
            (reading.measured_at - each.before).total_seconds()
            for reading in self.judged[:1]
            for each in self.placings
            if each.before is not None
        ]
        return min(gaps, default=None)
