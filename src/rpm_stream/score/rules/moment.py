"""One moment of one patient on its way through the rules: their input and their findings."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from rpm_stream.records import Finding, PatientEntry, Reading, Score, Total
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.memory.history import Placing


class Moment(msgspec.Struct, gc=False):
    """The input of the rules, and the place for their findings.

    ``readings`` are all of the moment. ``judged`` are those that are about the patient.
    ``also_seen`` are second readings of a known measurement, which are not judged again.
    ``open_groups`` have an alert, and ``paused`` has since when learning waits for it.

    The limits, which are the first rule, fill ``placings`` (the places of NEWS2's readings in their
    histories), ``late`` (ids of the readings that came late) and ``gaps`` (seconds to the reading
    of a vital before).
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
        """Seconds since the reading before, or None where none is known.

        Of several vitals the shortest counts.
        """
        gaps = [
            (reading.measured_at - each.before).total_seconds()
            for reading in self.judged[:1]
            for each in self.placings
            if each.before is not None
        ]
        return min(gaps, default=None)
