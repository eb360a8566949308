"""What rows of the table have in common when they report what they found."""

from __future__ import annotations

from collections.abc import Sequence

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Reading, Record, Score
from rpm_stream.score.baseline.learning import Numbers
from rpm_stream.score.baseline.runner import Runner
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.detectors.detector_entry import DetectorEntry


class ReportTables(Record, frozen=True, kw_only=True):
    """The knowledge, and what was bound to it for all rows: numbers and texts."""

    knowledge: Knowledge
    numbers: Numbers
    words: UsualWords


class LiveReport:
    """A live row, bound to the tables."""

    def __init__(self, tables: ReportTables, runner: Runner) -> None:
        self._tables = tables
        self._runner = runner
        self._entry = runner.entry
        self._kind = runner.entry.kind
        self._keys = runner.keys
        self._numbers = tables.numbers
        self._vitals = tables.knowledge.vitals


def score_record(
    entry: DetectorEntry,
    readings: Sequence[Reading],
    score: float,
    limits: dict[str, float] | None = None,
    contributions: dict[str, float] | None = None,
) -> Score:
    """Return the record of a score.

    ``readings`` are the one that gives the id, then those of the vector.
    """
    first = readings[0]
    return Score(
        id=deterministic_id("score", entry.label, first.id),
        patient=first.patient,
        readings=tuple(reading.id for reading in readings[1:]),
        vital=first.vital if entry.is_of_each else None,
        value=first.value if entry.is_of_each else None,
        detector=entry.name,
        version=entry.kind.version,
        score=score,
        score_min=score,
        score_max=score,
        threshold=entry.kind.threshold,
        limits=limits or {},
        contributions=contributions or {},
        measured_at=first.measured_at,
    )
