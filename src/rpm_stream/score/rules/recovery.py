"""When a vital is back inside its limits, by readings: the newest value, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Direction, PatientEntry
from rpm_stream.score.memory.history import (
    PlacingLevel,
    Segment,
    VitalHistory,
    inside_since,
    since_beyond,
)
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits import LimitTable
from rpm_stream.score.rules.oxygen import Oxygen
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2

VitalSide: TypeAlias = tuple[
    str, Direction | None
]  # a vital and a side of its limits, None for both


def history_of(
    oxygen: Oxygen, state: ScoreState, patient: PatientEntry, vital: str, at: datetime
) -> VitalHistory | None:
    """The history of a vital that counts at a time.

    A saturation on scale 2 has two: one on air and one on oxygen.
    """
    is_of_two = vital == SATURATION and has_scale_2(patient) and state.on_oxygen is not None
    if is_of_two and oxygen.scale(patient, state.histories, at) == "2 on oxygen":
        return state.on_oxygen
    return state.histories.get(vital)


class RecoveryRules:
    """Recovery, bound to the tables."""

    def __init__(self, knowledge: Knowledge, oxygen: Oxygen, limits: LimitTable) -> None:
        self._oxygen = oxygen
        self._limits = limits
        self._least = knowledge.limits.band_recovery_readings
        self._recovery = timedelta(minutes=knowledge.limits.recovery_minutes)
        self._band_recovery = timedelta(hours=knowledge.limits.band_recovery_hours)

    def is_back(
        self, state: ScoreState, patient: PatientEntry, of: VitalSide, since: datetime
    ) -> bool:
        """Whether the newest value of a vital is inside the recovery limit of a side.

        It must be measured after ``since``.
        """
        tail = self._tail(state, patient, of)
        return tail is not None and tail.is_inside(of[1]) and tail.end > since

    def level(self, state: ScoreState, patient: PatientEntry, of: VitalSide) -> PlacingLevel:
        """The level of the newest value of a vital against the limits of a side."""
        tail = self._tail(state, patient, of)
        return "inside" if tail is None or tail.is_inside(of[1]) else tail.level

    def is_beyond_unnamed(self, state: ScoreState, patient: PatientEntry, vital: str) -> bool:
        """Whether a vital ends with values beyond a limit of which only the time is kept."""
        tail = self._tail(state, patient, (vital, None))
        return tail is not None and tail.level == "beyond" and tail.reading is None

    def recovered(
        self, state: ScoreState, patient: PatientEntry, of: VitalSide, rang: datetime
    ) -> bool:
        """Whether a vital has been inside the recovery limit of a side for its recovery time.

        The readings must come after ``rang``, the last one that was beyond. A side that only bands
        limit has also recovered if it has not been beyond them for hours (CONTRACT 10).
        """
        (vital, side) = of
        tail = self._tail(state, patient, of)
        history = None if tail is None else self._history(state, patient, of, tail.end)
        if history is None or tail is None:
            return False
        newest = tail.end
        cut = state.cut.get(vital)
        # The time of voided readings does not count as inside, because nothing is known of it. The
        # time before the last breach does not either: it may have been judged by other oxygen.
        least = rang if cut is None else max(rang, cut)
        since = inside_since(history, side)
        if since is not None and newest - max(since, least) >= self._recovery:
            return True
        beyond, count = since_beyond(history, side)
        if beyond is None or count < self._least:
            return False
        return newest - max(beyond, least) >= self._band_recovery and self._is_banded(
            state, patient, of
        )

    def _is_banded(self, state: ScoreState, patient: PatientEntry, of: VitalSide) -> bool:
        """Whether the bands of a chart are the only limits on a side."""
        latest = state.latest.get(of[0])
        if latest is None or latest.value is None:
            return False
        verdict = self._limits.judge(
            latest, patient, self._scale(state, patient, of, latest.measured_at)
        )
        return verdict is not None and of[1] in verdict.banded

    def _tail(self, state: ScoreState, patient: PatientEntry, of: VitalSide) -> Segment | None:
        history = state.histories.get(of[0])
        if history is None or not history.segments:
            return None
        history = self._history(state, patient, of, history.segments[-1].end)
        return history.segments[-1] if history is not None and history.segments else None

    def _history(
        self, state: ScoreState, patient: PatientEntry, of: VitalSide, at: datetime
    ) -> VitalHistory | None:
        if self._scale(state, patient, of, at) == "2 on oxygen" and state.on_oxygen is not None:
            return state.on_oxygen
        return state.histories.get(of[0])

    def _scale(
        self, state: ScoreState, patient: PatientEntry, of: VitalSide, at: datetime
    ) -> OxygenScale:
        """The scale of a vital for the recovery of a side.

        A saturation can be too high on oxygen only. A patient who was on oxygen counts as on it
        until an answer or the registry reports otherwise.
        """
        vital, side = of
        if vital != SATURATION:
            return "1"
        scale = self._oxygen.scale(patient, state.histories, at)
        if (
            scale == "1"
            or side != "high"
            or not self._oxygen.is_still_on_oxygen(patient, state.histories, at)
        ):
            return scale
        return "2 on oxygen"
