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

from rpm_stream.knowledge.signal import Resent, Step
from rpm_stream.records import Finding, PatientEntry, Reading
from rpm_stream.score.memory.state import DeviceRun, LastValue, ScoreState
from rpm_stream.score.rules.device_runs import (
    MOST_RUNS,
    Teller,
    Told,
    any_going_on,
    count,
    is_news,
    is_well,
    lasts,
    member_of,
)
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import Held, MomentRule, Shared
from rpm_stream.score.rules.unit_mismatch import OtherUnits
from rpm_stream.text import plain_flags, plain_unit, plain_value, with_unit

HEART = "heart_rate"
PULSE = "pulse_rate"
MOVEMENT = ("cadence", "speed")
AGAIN = "measure again"
# sequences of a patient: two meters and a sensor, and room for devices that were handed in
MOST_SEQUENCES = 8


class Plan(msgspec.Struct, frozen=True):
    """The checks for the values of one vital."""

    step: Step | None
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

    def __init__(self, shared: Shared) -> None:
        knowledge = shared.knowledge
        self._knowledge = knowledge
        self._signal = knowledge.signal
        self._teller = Teller(knowledge, self.kind, knowledge.signal.version)
        self._units = OtherUnits(knowledge)
        self._plans = {vital: self._plan(vital) for vital in {PULSE, *knowledge.signal.compared()}}
        self._gap = float(knowledge.signal.agreement.gap)
        self._together = timedelta(seconds=knowledge.signal.agreement.seconds)
        self._moving_for = timedelta(seconds=knowledge.signal.motion.seconds)

    def _plan(self, vital: str) -> Plan:
        signal = self._signal
        step = next((row for row in signal.step if row.vital == vital), None)
        return Plan(
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
        told = [each for reading in moment.judged for each in self._told(state, reading, doubts)]
        if moment.findings:
            moment.findings = [
                self._explained(state, finding, doubts) for finding in moment.findings
            ]
        if told:
            moment.findings += [self._teller.finding(each) for each in told]

    def recovered(self, state: ScoreState, entry: PatientEntry, name: str, held: Held) -> bool:
        """Whether the device's values fit together again."""
        return is_well(state.doubts.get(name))

    def _told(self, state: ScoreState, reading: Reading, doubts: dict[str, str]) -> Iterator[Told]:
        if reading.value is None:
            return
        if reading.vital in MOVEMENT:
            _keep_last(state, reading.vital, reading)
            return
        if (plan := self._plans.get(reading.vital)) is None:
            return
        key = f"{reading.vital}:{reading.device}"
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
                _keep_last(state, key, reading)
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
    ) -> Iterator[Told]:
        """A value that does not fit this person, and would in another unit."""
        if unit is None and not (state.doubts and any_going_on(state.doubts)):
            return
        member = member_of("unit", reading.vital, reading.device)
        run = count(state.doubts, member, reading.measured_at, unit is not None)
        if unit is None:
            return
        said = (
            f"does not fit this person, and would in {plain_unit(unit)}: is the device's unit set"
            " right?"
        )
        doubts[reading.id] = said
        if is_news(run):
            why = f"{plain_value(reading)} {said} (shipped)"
            yield Told(
                kind="unit",
                of=reading.vital,
                title="Unit looks wrong",
                why=why,
                evidence=(reading,),
            )

    def _jump(self, plan: Plan, reading: Reading, last: LastValue) -> float:
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
    ) -> Iterator[Told]:
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
        said = (
            f"a jump from {with_unit(last.value, last.unit)} {_before(at - last.at)} that hardly"
            " any body makes"
        )
        doubts[reading.id] = f"{said}: {AGAIN}"
        run = count(state.doubts, member, at, True)
        if run is not None and run.count == 1:
            run.value = f"{self._units.number(reading.vital, last.value, last.unit)}"
        if lasts(run, plan.step.times, 0) and is_news(run):
            why = (
                f"{plain_value(reading)}, {said}: another person, a slipped sensor?"
                f" {AGAIN.capitalize()} (shipped)"
            )
            yield Told(
                kind="step", of=reading.vital, title="Value jumps", why=why, evidence=(reading,)
            )

    def _is_back(self, plan: Plan, reading: Reading, run: DeviceRun | None) -> bool:
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
    ) -> Iterator[Told]:
        """The newest values in the order of older ones: stored values that come as new."""
        values = state.sequences.get(key)
        if values is None:
            _make_room(state.sequences, MOST_SEQUENCES)
            values = state.sequences[key] = []
        values.append(reading.value or "")
        del values[: -rules.kept]
        tail = values[-rules.length :]
        again = len(set(tail)) >= rules.different and _stands_in(tail, values[:-1])
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
            told = f"{why} (shipped)"
            yield Told(
                kind="clock", of=of, title="Old values sent again", why=told, evidence=(reading,)
            )

    def _agreement(self, state: ScoreState, pulse: Reading) -> Iterator[Told]:
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
            yield Told(kind="disagreement", of=PULSE, title=title, why=why, evidence=(pulse, heart))

    def _from(self, reading: Reading) -> str:
        sensor = self._signal.agreement.sensors.get(reading.attributes.get("characteristic", ""))
        return f" from {sensor}" if sensor else ""

    def _explained(self, state: ScoreState, finding: Finding, doubts: dict[str, str]) -> Finding:
        """A finding with the doubts about its first reading, and whether the person was moving."""
        first = finding.evidence[0]
        said = []
        if flags := self._signal.ask_repeat.intersection(first.flags):
            named = plain_flags(flag for flag in first.flags if flag in flags)
            if "the device doubts it" not in finding.why:  # texts of the limits have it already
                said.append(f"the device doubts it, {named}: {AGAIN}")
            elif "repeat" not in finding.why:
                said.append(AGAIN)
        if beside := self._signal.said_beside.intersection(first.flags):
            said.append(plain_flags(sorted(beside)))
        if first.id in doubts:
            said.append(doubts[first.id])
        if finding.vital in self._signal.motion.vitals and finding.direction != "low":
            said += self._moving(state, first.measured_at)
        return (
            msgspec.structs.replace(finding, why="; ".join((finding.why, *said)))
            if said
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


def _keep_last(state: ScoreState, key: str, reading: Reading) -> None:
    assert reading.value is not None
    last = state.signal.get(key)
    if last is None:
        _make_room(state.signal, MOST_RUNS)
        state.signal[key] = LastValue(reading.value, reading.unit, reading.measured_at)
    elif reading.measured_at >= last.at:
        last.value = reading.value
        last.unit = reading.unit
        last.at = reading.measured_at


def _make_room(kept: dict[str, LastValue] | dict[str, list[str]], most: int) -> None:
    """Drop the entries that were entered first until there is room for one more."""
    while len(kept) >= most:
        del kept[next(iter(kept))]


def _stands_in(tail: list[str], values: list[str]) -> bool:
    """Whether ``tail`` is in ``values`` in the same order."""
    size = len(tail)
    newest = tail[-1]
    ends = (end for end, value in enumerate(values, start=1) if value == newest and end >= size)
    return any(values[end - size : end] == tail for end in ends)


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
