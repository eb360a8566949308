"""Judge one reading by the limits: enter it into its history, and find what is beyond a limit.

``recovery.py`` decides what is back. A saturation on scale 2 counts differently on air and on
oxygen, and an answer about the oxygen may come later. Such a patient has a history for each, and
the readings that an answer reaches are judged again (``limits_again.py``, CONTRACT 10).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.history import (
    Placing,
    VitalHistory,
    add,
    goes_on,
)
from rpm_stream.score.memory.recent import enter, forget
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limit_findings import (
    NO_LIMIT,
    LimitFindings,
    PlacedVerdict,
    alone,
    worst_of,
)
from rpm_stream.score.rules.limits import LimitTable, Verdict
from rpm_stream.score.rules.oxygen import Oxygen
from rpm_stream.score.rules.oxygen_scale import SATURATION, has_scale_2


class LimitJudge:
    """The limits, bound to the tables."""

    def __init__(self, knowledge: Knowledge, oxygen: Oxygen, limits: LimitTable) -> None:
        self._oxygen = oxygen
        self._limits = limits
        self._findings = LimitFindings(knowledge)

    def limits(
        self, state: ScoreState, reading: Reading, patient: PatientEntry
    ) -> tuple[Placing | None, list[Finding]]:
        """Enter one reading into its history.

        Return its place, and a finding for each limit that has been breached for long enough.
        """
        seen = self._entered(state, reading, patient)
        if seen is None:
            return None, []
        verdict = seen.verdict
        breaches = seen.verdict.breaches
        if verdict.counted:
            recent = state.recent.setdefault(reading.vital, [])
            place = enter(recent, reading.measured_at, verdict.broken)
            breaches = tuple(
                each
                for each in breaches
                if self._findings.is_frequent(recent, place, reading, each)
            )
            forget(recent)
        return seen.placing, worst_of(
            self._findings.finding(state, reading, each, seen) for each in breaches
        )

    def calm_until(self, state: ScoreState, entry: PatientEntry, column: Column) -> datetime:
        """Up to when the readings join the newest segment of their vital, none beyond a limit."""
        vital = column.vital
        history = state.histories.get(vital)
        if not self._limits.is_steady(entry, vital, column.begin, column.end):
            return column.begin
        tail = None
        if history is not None:
            tail = goes_on(history, column.begin, column.end)
            if tail is None or tail.broken:
                return column.begin
        moving: set[str | None] = set()
        for value, reading in column.by_value().items():
            verdict = self._limits.judge(reading, entry, "1")
            if tail is None:
                is_calm = verdict is None  # no limit knows the vital
            else:
                verdict = verdict or NO_LIMIT
                is_calm = not verdict.counted and tail.matches(alone(reading, verdict))
            if not is_calm:
                moving.add(value)
        if not moving:
            return FOREVER
        return next(each.measured_at for each in column.readings if each.value in moving)

    def _entered(
        self, state: ScoreState, reading: Reading, patient: PatientEntry
    ) -> PlacedVerdict | None:
        """Enter a reading into its history, or on scale 2 into both.

        On scale 2 the one that counts is that of the scale at the reading's time.
        """
        if reading.vital != SATURATION or not has_scale_2(patient):
            verdict = self._limits.judge(reading, patient, "1")
            history = state.histories.get(reading.vital)
            if verdict is None and history is not None and reading.value is not None:
                verdict = NO_LIMIT  # the limit has ended, and what it found recovers by this
            if verdict is None:
                return None
            if history is None:
                history = state.histories[reading.vital] = VitalHistory()
            return PlacedVerdict(verdict, history, _enter(history, reading, verdict))
        on_air, on_oxygen = (
            self._limits.judge(reading, patient, scale) for scale in ("2 on air", "2 on oxygen")
        )
        if on_air is None or on_oxygen is None:
            return None
        history = state.histories.setdefault(reading.vital, VitalHistory())
        if state.on_oxygen is None:
            state.on_oxygen = VitalHistory()
        placing = _enter(history, reading, on_air)
        beside_it = _enter(state.on_oxygen, reading, on_oxygen)
        placing = msgspec.structs.replace(placing, changed=placing.changed or beside_it.changed)
        scale = self._oxygen.scale(patient, state.histories, reading.measured_at)
        reach = self._oxygen.reach(patient, state.histories, reading.measured_at)
        if scale == "2 on oxygen":
            placing = msgspec.structs.replace(placing, index=beside_it.index)
            return PlacedVerdict(on_oxygen, state.on_oxygen, placing, reach, is_sided=True)
        return PlacedVerdict(
            self._limits.judge(reading, patient, scale) or on_air,
            history,
            placing,
            reach,
            is_sided=True,
        )


def _enter(history: VitalHistory, reading: Reading, verdict: Verdict) -> Placing:
    return add(history, alone(reading, verdict))
