"""Detectors that are only tried: their scores are written and counted, and none raises an alert.

Each rests between two vectors, in proportion to the cost that its row declares. The rest is
measured time. So what a row scores follows from the readings and the tables alone, and never from
the speed of a machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Reading, Score
from rpm_stream.score.baseline.learning import LiveDetectors, Numbers, Paused
from rpm_stream.score.baseline.report import score_record
from rpm_stream.score.baseline.runner import DetectorCall, Runner, vector_of
from rpm_stream.score.detectors.protocol import Vector
from rpm_stream.score.memory.state import ScoreState, emits

GROUP = "vital_signs"  # its open episode pauses the learning of several vitals together


class Shadow:
    """One shadow row of the table, bound to the knowledge."""

    def __init__(self, knowledge: Knowledge, runner: Runner, numbers: Numbers) -> None:
        self._runner = runner
        self._entry = runner.entry
        self._numbers = numbers
        self._groups = {name: row.group for name, row in knowledge.vitals.items()}

    def one(
        self, state: ScoreState, live: LiveDetectors, reading: Reading, late: bool, paused: Paused
    ) -> Score | None:
        """Score one reading of one of the row's vitals, then learn it.

        A late reading is left out: it lies before the end of a rest.
        """
        key = self._runner.keys.get(reading.vital)
        if key is None or reading.value is None or late:
            return None
        x: Vector = {reading.vital: self._numbers.of(reading)}
        asked = DetectorCall(key, x, reading.measured_at, self._groups[reading.vital], paused)
        return self._look(state, live, asked, (reading, reading))

    def together(
        self, state: ScoreState, live: LiveDetectors, instant: Sequence[Reading], paused: Paused
    ) -> Score | None:
        """Score one moment at which all vitals of the row are fresh, then learn it."""
        readings = self._runner.complete(state, instant)
        if readings is None:
            return None
        x = vector_of(self._numbers, readings)
        asked = DetectorCall(self._entry.prefix, x, instant[0].measured_at, GROUP, paused)
        return self._look(state, live, asked, (instant[0], *readings.values()))

    def _look(
        self,
        state: ScoreState,
        live: LiveDetectors,
        asked: DetectorCall,
        readings: Sequence[Reading],
    ) -> Score | None:
        if state.scored_at is UNSET:
            state.scored_at = {}
        last = state.scored_at.get(asked.key)
        if last is not None and asked.at < last + self._entry.rest:
            return None
        state.scored_at[asked.key] = asked.at
        record = None
        # River has no score for the vector, but may still learn it
        if self._runner.answer(state, live, asked) is None:
            asked.warm = live.of[asked.key].warm
        elif asked.warm and emits(state, asked.key, asked.at, "flagged" if asked.flagged else ""):
            record = score_record(self._entry, readings, asked.score)
        try:
            self._runner.learn(state, live, asked)
        except ValueError:
            return None  # no usable number
        return record
