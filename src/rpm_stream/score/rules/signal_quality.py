"""Signs of a bad signal that no device reports.

These are jumps, wrong units, sensors that disagree and values that come again. They are reported in
groups of their own (``device:<kind>``) and named in the texts of other findings. A high alert is
raised with the doubt in its text, and its priority is never lower for it (law 3). Nothing here
removes a finding or changes its priority. Late readings are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rpm_stream.records import PatientEntry, Reading
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.compared_signals import HEART, PULSE, ComparedSignals
from rpm_stream.score.rules.device_runs import DeviceReport, Teller, any_going_on, is_well
from rpm_stream.score.rules.doubt_texts import DoubtTexts
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.signal_values import keep_last, key_of
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.score.rules.unit_mismatch import OtherUnits
from rpm_stream.score.rules.value_checks import SignalChecks, ValueChecks, checks_of

MOVEMENT = ("cadence", "speed")


class Quality(MomentRule):
    """The signal-quality rules, bound to the tables."""

    kind = "quality"
    source = ("signal.toml",)
    words = "A device whose values do not fit together"
    keeps = "whose readings they were, the device has sent them"

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        signal = knowledge.signal
        self._teller = Teller(knowledge, self.kind, signal.version)
        self._units = OtherUnits(knowledge)
        self._compared = ComparedSignals(knowledge)
        self._texts = DoubtTexts(signal)
        self._plans = {vital: checks_of(signal, vital) for vital in {PULSE, *signal.compared()}}
        self._values = ValueChecks(self._units, self._plans)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Name doubts about the moment's readings in its findings, and add those about the signal.

        ``state.latest`` must have the moment already.
        """
        doubts: dict[str, str] = {}
        reports = [
            each for reading in moment.judged for each in self._reports(state, reading, doubts)
        ]
        if moment.findings:
            moment.findings = [
                self._texts.explained(state, finding, doubts) for finding in moment.findings
            ]
        if reports:
            moment.findings += [self._teller.finding(each) for each in reports]

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """To its end where no vital jumps or disagrees with another one; all or nothing."""
        if state.doubts and any_going_on(state.doubts):
            return stretch.begin
        for vital, column in stretch.columns.items():
            plan = self._plans.get(vital)
            if vital in MOVEMENT or (plan and not self._is_calm(state, plan, column)):
                return stretch.begin
        pulse = stretch.columns.get(PULSE)
        if pulse is not None and not self._compared.agrees(
            state, pulse, stretch.columns.get(HEART)
        ):
            return stretch.begin
        return FOREVER

    def _is_calm(self, state: ScoreState, plan: SignalChecks, column: Column) -> bool:
        """Whether the values of one device have nothing to compare, or lie near each other."""
        if plan.mixes_units or plan.resent is not None:
            return False
        if plan.step is None:
            return True
        last = state.signal.get(key_of(column.first))
        if last is None or column.begin < last.at or column.unit != last.unit:
            return False
        values = {last.value, *(reading.value or last.value for reading in column.readings)}
        numbers = [self._units.number(column.vital, each, column.unit) for each in values]
        return max(numbers) - min(numbers) < plan.by

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """The newest value of each device moves on."""
        for vital, column in stretch.columns.items():
            plan = self._plans.get(vital)
            if plan is not None and plan.step is not None:
                keep_last(state, key_of(column.last), column.last)

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Whether the device's values fit together again."""
        return is_well(state.doubts.get(name))

    def _reports(
        self, state: ScoreState, reading: Reading, doubts: dict[str, str]
    ) -> Iterator[DeviceReport]:
        if reading.value is None:
            return
        if reading.vital in MOVEMENT:
            keep_last(state, reading.vital, reading)
            return
        if (plan := self._plans.get(reading.vital)) is None:
            return
        key = key_of(reading)
        last = state.signal.get(key)
        if last is not None and reading.measured_at < last.at:
            return
        unit = None
        if plan.mixes_units:
            unit = self._units.suspect(state, reading)
            yield from self._values.unit(state, reading, unit, doubts)
            self._units.learn(state, reading)
        if plan.step is not None:
            if last is None:
                keep_last(state, key, reading)
            else:
                differs = last.value != reading.value or last.unit != reading.unit
                jump = self._values.jump(plan, reading, last) if unit is None and differs else 0.0
                if jump >= plan.by or (state.doubts and any_going_on(state.doubts)):
                    yield from self._values.step(state, reading, last, jump, doubts)
                last.value = reading.value
                last.unit = reading.unit
                last.at = reading.measured_at
        if plan.resent is not None:
            yield from self._compared.resent(state, reading, plan.resent, key)
        if reading.vital == PULSE:
            yield from self._compared.agreement(state, reading)
