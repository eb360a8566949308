"""Signs of a bad signal that no device reports.

These are jumps, wrong units, sensors that disagree and values that come again. They are reported in
groups of their own (``device:<kind>``) and named in the texts of other findings. A high alert is
raised with the doubt in its text, and its priority is never lower for it (law 3). Nothing here
removes a finding or changes its priority. Late readings are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from rpm_stream.knowledge.signal import JumpTable, Resent
from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.state import DeviceRun, LastValue, ScoreState
from rpm_stream.score.rules.device_runs import (
    DeviceReport,
    Teller,
    any_going_on,
    count,
    is_news,
    is_well,
    lasts,
    member_of,
)
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.signal_values import is_part_of, keep_last, key_of, make_place
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.score.rules.unit_mismatch import OtherUnits
from rpm_stream.text import plain_flags, plain_unit, plain_value, with_unit

HEART = "heart_rate"
PULSE = "pulse_rate"
MOVEMENT = ("cadence", "speed")
AGAIN = "measure again"
# sequences of a patient: two meters and a sensor, and room for devices that were handed in
MOST_SEQUENCES = 8


class SignalChecks(msgspec.Struct, frozen=True):
    """The checks for the values of one vital."""

    step: JumpTable | None
    mixes_units: bool
    resent: Resent | None
    by: float  # of a step
    within: timedelta


class Quality(MomentRule):
    """The signal-quality rules, bound to the tables."""

    kind = "quality"
    source = ("signal.toml",)
    words = "A device whose values do not fit together"
    keeps = "whose readings they were, the device has sent them"

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self._knowledge = knowledge
        self._signal = knowledge.signal
        self._teller = Teller(knowledge, self.kind, knowledge.signal.version)
        self._units = OtherUnits(knowledge)
        self._plans = {vital: self._plan(vital) for vital in {PULSE, *knowledge.signal.compared()}}
        self._gap = float(knowledge.signal.agreement.gap)
        self._together = timedelta(seconds=knowledge.signal.agreement.seconds)
        self._moving_for = timedelta(seconds=knowledge.signal.motion.seconds)

    def _plan(self, vital: str) -> SignalChecks:
        signal = self._signal
        step = next((row for row in signal.step if row.vital == vital), None)
        return SignalChecks(
            step=step,
            mixes_units=any(row.vital == vital for row in signal.other_unit),
            resent=next((row for row in signal.resent if row.vital == vital), None),
            by=float(step.by) if step else float("inf"),
            within=timedelta(seconds=step.seconds if step else 0),
        )

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
                self._explained(state, finding, doubts) for finding in moment.findings
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
        if pulse is not None and not self._agrees(state, pulse, stretch.columns.get(HEART)):
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

    def _agrees(self, state: ScoreState, pulse: Column, heart: Column | None) -> bool:
        """Whether no value of a pulse can disagree with a heart rate of another device."""
        known = state.latest.get(HEART)
        if heart is not None and heart.device != pulse.device:
            return False
        if known is None or known.value is None or known.device == pulse.device:
            return True
        if heart is not None:
            return False
        since = pulse.begin - known.measured_at
        if since > self._together or known.measured_at - pulse.end > self._together:
            return True
        rate = float(known.value)
        return all(abs(rate - float(value or rate)) <= self._gap for value in pulse.by_value())

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
            yield from self._unit(state, reading, unit, doubts)
            self._units.learn(state, reading)
        if plan.step is not None:
            if last is None:
                keep_last(state, key, reading)
            else:
                differs = last.value != reading.value or last.unit != reading.unit
                jump = self._jump(plan, reading, last) if unit is None and differs else 0.0
                if jump >= plan.by or (state.doubts and any_going_on(state.doubts)):
                    yield from self._step(state, reading, last, jump, doubts)
                last.value = reading.value
                last.unit = reading.unit
                last.at = reading.measured_at
        if plan.resent is not None:
            yield from self._resent(state, reading, plan.resent, key)
        if reading.vital == PULSE:
            yield from self._agreement(state, reading)

    def _unit(
        self, state: ScoreState, reading: Reading, unit: str | None, doubts: dict[str, str]
    ) -> Iterator[DeviceReport]:
        """A value that does not fit this person, and would in another unit."""
        if unit is None and not (state.doubts and any_going_on(state.doubts)):
            return
        member = member_of("unit", reading.vital, reading.device)
        run = count(state.doubts, member, reading.measured_at, unit is not None)
        if unit is None:
            return
        words = (
            f"does not fit this person, and would in {plain_unit(unit)}: is the device's unit set"
            " right?"
        )
        doubts[reading.id] = words
        if is_news(run):
            why = f"{plain_value(reading)} {words} (shipped)"
            yield DeviceReport(
                kind="unit",
                of=reading.vital,
                title="Unit looks wrong",
                why=why,
                evidence=(reading,),
            )

    def _jump(self, plan: SignalChecks, reading: Reading, last: LastValue) -> float:
        """The distance of a value from the one before, or 0 if too much time lies between them."""
        if reading.measured_at - last.at > plan.within:
            return 0.0
        vital = reading.vital
        value = reading.value or last.value
        return abs(
            self._units.number(vital, value, reading.unit)
            - self._units.number(vital, last.value, last.unit)
        )

    def _step(
        self,
        state: ScoreState,
        reading: Reading,
        last: LastValue,
        jump: float,
        doubts: dict[str, str],
    ) -> Iterator[DeviceReport]:
        """A jump from the value before, of the same device, that no body makes."""
        plan = self._plans[reading.vital]
        at = reading.measured_at
        assert plan.step is not None
        member = member_of("step", reading.vital, reading.device)
        run = state.doubts.get(member)
        if jump < plan.by or self._is_back(plan, reading, run):
            if run is not None and at - run.until >= timedelta(minutes=plan.step.hold_minutes):
                count(state.doubts, member, at, False)
            return
        words = (
            f"a jump from {with_unit(last.value, last.unit)} {_before(at - last.at)} that hardly"
            " any body makes"
        )
        doubts[reading.id] = f"{words}: {AGAIN}"
        run = count(state.doubts, member, at, True)
        if run is not None and run.count == 1:
            run.value = f"{self._units.number(reading.vital, last.value, last.unit)}"
        if lasts(run, plan.step.times, 0) and is_news(run):
            why = (
                f"{plain_value(reading)}, {words}: another person, a slipped sensor?"
                f" {AGAIN.capitalize()} (shipped)"
            )
            yield DeviceReport(
                kind="step", of=reading.vital, title="Value jumps", why=why, evidence=(reading,)
            )

    def _is_back(self, plan: SignalChecks, reading: Reading, run: DeviceRun | None) -> bool:
        """Whether a repeated measurement is back at the value before the jump.

        The value in between was an artefact then.
        """
        if (
            plan.step is None
            or plan.step.times > 1
            or run is None
            or not run.count
            or reading.value is None
        ):
            return False
        return (
            abs(self._units.number(reading.vital, reading.value, reading.unit) - float(run.value))
            < plan.by
        )

    def _resent(
        self, state: ScoreState, reading: Reading, rules: Resent, key: str
    ) -> Iterator[DeviceReport]:
        """The newest values in the order of older ones: stored values that come as new."""
        values = state.sequences.get(key)
        if values is None:
            make_place(state.sequences, MOST_SEQUENCES)
            values = state.sequences[key] = []
        values.append(reading.value or "")
        del values[: -rules.kept]
        tail = values[-rules.length :]
        again = len(set(tail)) >= rules.different and is_part_of(tail, values[:-1])
        if not again and not (state.doubts and any_going_on(state.doubts)):
            return
        of = f"resent.{reading.vital}"
        run = count(
            state.doubts, member_of("clock", of, reading.device), reading.measured_at, again
        )
        if again and is_news(run):
            plain = self._knowledge.vitals[reading.vital].plain
            why = (
                f"the last {rules.length} values of {plain} came in the same order before: stored"
                " ones, sent as new?"
            )
            words = f"{why} (shipped)"
            yield DeviceReport(
                kind="clock", of=of, title="Old values sent again", why=words, evidence=(reading,)
            )

    def _agreement(self, state: ScoreState, pulse: Reading) -> Iterator[DeviceReport]:
        """The pulse of one sensor against the heart rate of another."""
        rules = self._signal.agreement
        heart = state.latest.get(HEART)
        if (
            heart is None
            or heart.value is None
            or pulse.value is None
            or heart.device == pulse.device
        ):
            return
        if abs(heart.measured_at - pulse.measured_at) > self._together:
            return
        apart = abs(float(heart.value) - float(pulse.value)) > self._gap
        if not apart and not (state.doubts and any_going_on(state.doubts)):
            return
        member = member_of("disagreement", PULSE, pulse.device)
        run = count(state.doubts, member, pulse.measured_at, apart)
        if lasts(run, rules.count, rules.minutes) and is_news(run):
            why = (
                f"pulse {pulse.value} a minute{self._from(pulse)}, heart rate {heart.value} a"
                f" minute{self._from(heart)}: a bad signal in one of them, or beats that do not"
                " reach the finger (shipped)"
            )
            title = "Pulse and heart rate disagree"
            yield DeviceReport(
                kind="disagreement", of=PULSE, title=title, why=why, evidence=(pulse, heart)
            )

    def _from(self, reading: Reading) -> str:
        sensor = self._signal.agreement.sensors.get(reading.attributes.get("characteristic", ""))
        return f" from {sensor}" if sensor else ""

    def _explained(self, state: ScoreState, finding: Finding, doubts: dict[str, str]) -> Finding:
        """A finding with the doubts about its first reading, and whether the person was moving."""
        first = finding.evidence[0]
        words = []
        if flags := self._signal.ask_repeat.intersection(first.flags):
            named = plain_flags(flag for flag in first.flags if flag in flags)
            if "the device doubts it" not in finding.why:  # texts of the limits have it already
                words.append(f"the device doubts it, {named}: {AGAIN}")
            elif "repeat" not in finding.why:
                words.append(AGAIN)
        if beside := self._signal.said_beside.intersection(first.flags):
            words.append(plain_flags(sorted(beside)))
        if first.id in doubts:
            words.append(doubts[first.id])
        if finding.vital in self._signal.motion.vitals and finding.direction != "low":
            words += self._moving(state, first.measured_at)
        return (
            msgspec.structs.replace(finding, why="; ".join((finding.why, *words)))
            if words
            else finding
        )

    def _moving(self, state: ScoreState, at: datetime) -> list[str]:
        """``while moving: 120 steps a minute`` where the person was moving."""
        rules = self._signal.motion
        for name, least, words in (
            ("cadence", rules.cadence, "steps a minute"),
            ("speed", rules.speed, "m/s"),
        ):
            last = state.signal.get(name)
            if (
                last is not None
                and timedelta(0) <= at - last.at <= self._moving_for
                and float(last.value) >= least
            ):
                return [f"while moving: {last.value} {words}"]
        return []


def _before(lasted: timedelta) -> str:
    """The time between two readings in words: ``4 seconds before``."""
    seconds = round(lasted.total_seconds())
    if seconds >= 7200:
        return f"{seconds // 3600} hours before"
    if seconds >= 120:
        return f"{seconds // 60} minutes before"
    if not seconds:
        return "at the same moment"
    return f"{seconds} second{'' if seconds == 1 else 's'} before"
