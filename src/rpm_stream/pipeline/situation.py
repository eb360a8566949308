"""A patient as alert sees them, read from score's state: newest values, trends and recovery."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from rpm_stream.alert.episode import Member
from rpm_stream.alert.situation import LimitLevel
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.scoring import Limits
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.records import Direction, PatientEntry, Reading, Total, Trend
from rpm_stream.score.memory.continuous import number_of
from rpm_stream.score.rules.oxygen_scale import OXYGEN_WORDS, SCALE_WORDS
from rpm_stream.text import plain_value, with_unit

if TYPE_CHECKING:
    from rpm_stream.pipeline.score_instant import Scoring

TREND_OVER = timedelta(minutes=10)  # CONTRACT 10, What is so now


class PatientSituation:
    """The present situation of a patient (alert/situation.py), which moves on with the state."""

    def __init__(
        self, knowledge: Knowledge, scoring: Scoring, state: PatientState, entry: PatientEntry
    ) -> None:
        self._knowledge = knowledge
        self._scoring = scoring
        self._state = state
        self._entry = entry

    @property
    def latest(self) -> Mapping[str, Reading]:
        """The newest reading of each vital."""
        return self._state.score.latest

    @property
    def total(self) -> Total | None:
        """NEWS2 as of the newest reading that it is made of."""
        return self._state.score.total

    @property
    def limits(self) -> Limits:
        """The table of limits."""
        return self._knowledge.limits

    def number(self, reading: Reading) -> Decimal | None:
        """Return the value in its vital's first unit, infinite for LO and HI.

        Returns None for a reading without a value.
        """
        if reading.value is None and reading.absent not in (
            "positive-infinity",
            "negative-infinity",
        ):
            return None
        return number_of(self._knowledge, reading)

    def plain(self, vital: str) -> str:
        """Return the vital's name as text."""
        return self._knowledge.vitals[vital].plain

    def value_words(self, reading: Reading) -> str:
        """Return ``oxygen saturation 88 %``, on scale 2 with the oxygen.

        Example for scale 2: ``oxygen saturation 88 % (scale 2, on air)``.
        """
        row = self._knowledge.vitals[reading.vital]
        word = row.word(reading.value)
        if word:
            return f"{row.plain}: {word}"
        scale = SCALE_WORDS.get(self._scoring.scale(self._state, self._entry, reading))
        return f"{plain_value(reading)} ({scale})" if scale else plain_value(reading)

    def short(self, reading: Reading) -> str:
        """Return ``88 %``, on scale 2 with the oxygen: ``88 % (on air)``."""
        word = self._knowledge.vitals[reading.vital].word(reading.value)
        if word is not None:
            return word
        if reading.value is not None:
            scale = OXYGEN_WORDS.get(self._scoring.scale(self._state, self._entry, reading))
            oxygen = f" ({scale})" if scale else ""
            return f"{with_unit(reading.value, reading.unit)}{oxygen}"
        return {"positive-infinity": "HI", "negative-infinity": "LO"}.get(
            reading.absent or "", "without a value"
        )

    def trend(self, vital: str) -> Trend | None:
        """Return the direction of a vital against its last value that is at least 10 minutes older.

        A vital whose values are codes of words has no trend.
        """
        newest = self.latest.get(vital)
        if newest is None or newest.value is None or self._knowledge.vitals[vital].words:
            return None
        until = newest.measured_at - TREND_OVER
        older = [point for point in self._state.score.trail.get(vital, ()) if point.at <= until]
        if not older:
            return None
        moved = float(number_of(self._knowledge, newest)) - older[-1].number
        if abs(moved) <= float(self._knowledge.vitals[vital].resolution):
            return "steady"
        return "rising" if moved > 0 else "falling"

    def level(self, member: Member) -> LimitLevel:
        """Return how the newest value of a member relates to its limit."""
        return self._scoring.level(self._state, self._entry, member)

    def is_beyond_query(self, vital: str, side: Direction, number: Decimal) -> bool:
        """Return whether a value is beyond the query bound of a side."""
        query = self._knowledge.vitals[vital].query
        if side == "low":
            return query.below is not None and number < query.below
        return query.above is not None and number > query.above

    def heard_at(self, vital: str) -> datetime | None:
        """Return when the newest reading of a vital was measured."""
        newest = self.latest.get(vital)
        return None if newest is None else newest.measured_at
