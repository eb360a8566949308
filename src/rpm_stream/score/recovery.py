"""When a vital is back inside its limits, by readings: the newest value, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Direction, PatientEntry
from rpm_stream.score.history import Level, Segment, VitalHistory, inside_since, since_beyond
from rpm_stream.score.limits import LimitTable
from rpm_stream.score.news2 import SATURATION, Chart
from rpm_stream.score.state import ScoreState

Of: TypeAlias = tuple[str, Direction | None]  # a vital and a side of its limits; None: both


def history_of(chart: Chart, state: ScoreState, patient: PatientEntry, vital: str, at: datetime) -> VitalHistory | None:
    """The history by which a vital counts at a time: of a saturation on scale 2 that on air or that on oxygen."""
    is_of_two = vital == SATURATION and patient.oxygen_scale == 2 and state.on_oxygen is not None
    if is_of_two and chart.scale(patient, state.histories, at) == "2 on oxygen":
        return state.on_oxygen
    return state.histories.get(vital)


class Recovery:
    """Recovery, bound to the tables."""

    def __init__(self, knowledge: Knowledge, chart: Chart, limits: LimitTable) -> None:
        self._chart, self._limits, self._least = chart, limits, knowledge.limits.band_recovery_readings
        self._recovery = timedelta(minutes=knowledge.limits.recovery_minutes)
        self._band_recovery = timedelta(hours=knowledge.limits.band_recovery_hours)

    def is_back(self, state: ScoreState, patient: PatientEntry, of: Of, since: datetime) -> bool:
        """Whether the newest value of a vital lies inside the recovery limit of a side, measured after ``since``."""
        vital, side = of
        tail = self._tail(state, patient, vital)
        return tail is not None and tail.is_inside(side) and tail.end > since

    def level(self, state: ScoreState, patient: PatientEntry, of: Of) -> Level:
        """Where the newest value of a vital stands to the limits of a side."""
        vital, side = of
        tail = self._tail(state, patient, vital)
        return "inside" if tail is None or tail.is_inside(side) else tail.level

    def is_beyond_unnamed(self, state: ScoreState, patient: PatientEntry, vital: str) -> bool:
        """Whether a vital ends with values beyond a limit of which only the time is kept."""
        tail = self._tail(state, patient, vital)
        return tail is not None and tail.level == "beyond" and tail.reading is None

    def recovered(self, state: ScoreState, patient: PatientEntry, of: Of) -> bool:
        """Whether a vital has been inside the recovery limit of a side for its recovery time, by readings.

        Of a side whose only limits are bands also one that has not been beyond them for hours (CONTRACT 10).
        """
        (vital, side), tail = of, self._tail(state, patient, of[0])
        history = None if tail is None else history_of(self._chart, state, patient, vital, tail.end)
        if history is None or tail is None:
            return False
        newest, cut = tail.end, state.cut.get(vital)
        since = inside_since(history, side)
        # Of the time in which readings were taken back nobody knows: it was no time inside.
        if since is not None and newest - (since if cut is None else max(since, cut)) >= self._recovery:
            return True
        beyond, count = since_beyond(history, side)
        if beyond is None or count < self._least:
            return False
        is_long = newest - (beyond if cut is None else max(beyond, cut)) >= self._band_recovery
        return is_long and self._is_banded(state, patient, vital, side)

    def _is_banded(self, state: ScoreState, patient: PatientEntry, vital: str, side: Direction | None) -> bool:
        """Whether no limit holds on a side but the bands of a chart."""
        latest = state.latest.get(vital)
        if latest is None or latest.value is None:
            return False
        scale = self._chart.scale(patient, state.histories, latest.measured_at) if vital == SATURATION else "1"
        verdict = self._limits.judge(latest, patient, scale)
        return verdict is not None and side in verdict.banded

    def _tail(self, state: ScoreState, patient: PatientEntry, vital: str) -> Segment | None:
        history = state.histories.get(vital)
        if history is None or not history.segments:
            return None
        history = history_of(self._chart, state, patient, vital, history.segments[-1].end)
        return history.segments[-1] if history is not None and history.segments else None
