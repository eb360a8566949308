"""When a device needs a hand: battery, contact, clock, and a value that does not move.

One member a device (and vital) in the group ``device:<kind>``; its name ends with the device's id, so it stays in the
state and never in a text. A member is told once and again only after it was well: what a person has ended does not
come back with the next reading. Late readings say nothing of the device now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.alerting import Stuck
from rpm_stream.records import Finding, Reading
from rpm_stream.score.state import DeviceRun, ScoreState
from rpm_stream.words import plain_value

Kind = Literal["battery", "contact", "clock", "stuck"]
KINDS: tuple[Kind, ...] = ("battery", "contact", "clock", "stuck")
BATTERY = "battery"  # the vital
MOST_RUNS = 24  # of a patient, each of faults and repeats; the ones heard least lately are forgotten first
ANY = "any"  # in the name of a member that is about no one vital


def member_of(kind: Kind, vital: str, device: str) -> str:
    """The name of a member in its episode, and of its run in the state."""
    return f"device:{kind}:{vital}:{device}"


def device_of(member: str) -> str:
    """The device that a member is about."""
    return member.split(":", 3)[3]


class DeviceRules:
    """The device rules, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge, self._rules = knowledge, knowledge.device_rules
        self._stuck = {row.vital: row for row in self._rules.stuck}
        self._priority = {kind: knowledge.priorities.of(f"device.{kind}") for kind in KINDS}

    def findings(self, state: ScoreState, readings: Sequence[Reading]) -> Iterator[Finding]:
        """A finding for each device fault that the readings of one instant show for long enough."""
        for reading in readings:
            if reading.vital == BATTERY:
                yield from self._battery(state, reading)
            if reading.flags or state.faults:  # at 1 Hz most readings say nothing of their device
                yield from self._clock(state, reading)
                yield from self._contact(state, reading)
            if reading.vital in self._stuck and self._counts(reading):
                yield from self._same(state, reading, self._stuck[reading.vital])

    def recovered(self, state: ScoreState, member: str) -> bool:
        """Whether the device is well again, by a reading of its own."""
        run = state.faults.get(member) or state.repeats.get(member)
        return run is not None and not run.told

    def _counts(self, reading: Reading) -> bool:
        """Whether the value is a statement about the wearer: a demonstration may well repeat."""
        return reading.value is not None and self._knowledge.signal.never_judged.isdisjoint(reading.flags)

    def _battery(self, state: ScoreState, reading: Reading) -> Iterator[Finding]:
        if reading.value is None:
            return
        percent, rules = Decimal(reading.value), self._rules.battery
        member = member_of("battery", ANY, reading.device)
        known = state.faults.get(member)
        was_low = known is not None and known.count > 0
        is_low = percent < rules.below or (was_low and percent < rules.recover)
        run = _count(state, member, reading.measured_at, is_low)
        if run is not None and run.count and _first(run):
            why = f"{plain_value(reading)}: below {rules.below} %, charge or renew it (shipped)"
            yield self._finding("battery", member, reading, "Battery low", why)

    def _contact(self, state: ScoreState, reading: Reading) -> Iterator[Finding]:
        rules = self._rules.contact
        if reading.vital not in rules.flags:
            return
        is_off = not rules.flags[reading.vital].isdisjoint(reading.flags)
        if reading.value is not None and reading.vital in rules.only_without_value.vitals:
            is_off = False
        member = member_of("contact", reading.vital, reading.device)
        run = _count(state, member, reading.measured_at, is_off)
        lasted = run.until - run.since if run is not None and run.count else timedelta(0)
        if run is not None and lasted >= timedelta(minutes=rules.minutes) and _first(run):
            plain = self._knowledge.vitals[reading.vital].plain
            why = f"no contact for {rules.minutes} minutes or longer, so no {plain}: not worn or misplaced? (shipped)"
            yield self._finding("contact", member, reading, "Sensor not in contact", why)

    def _clock(self, state: ScoreState, reading: Reading) -> Iterator[Finding]:
        """A device's clock by frames, in the order of receipt: a clock that runs ahead makes its values look newest.

        A kind of message that comes without the flag again is well; another kind may carry no device time at all.
        """
        rules, sent_as = self._rules.clock, reading.attributes.get("characteristic", "")
        for flag in rules.flags:
            is_wrong = flag in reading.flags
            member = member_of("clock", f"{flag}.{sent_as}", reading.device)
            run = _count(state, member, reading.received_at, is_wrong)
            if run is not None and run.count >= rules.count and _first(run):
                why = f"{flag.replace('_', ' ')}, {rules.count} times in a row: set device and phone (shipped)"
                yield self._finding("clock", member, reading, "Device clock wrong", why)

    def _same(self, state: ScoreState, reading: Reading, rules: Stuck) -> Iterator[Finding]:
        member, at = member_of("stuck", reading.vital, reading.device), reading.measured_at
        value, run = f"{reading.value} {reading.unit}", state.repeats.get(member)
        if run is not None and at < run.until:
            return
        if run is None or run.value != value:
            _keep(state.repeats, member, DeviceRun(at, at, 1, value))
            return
        run.until, run.count = at, run.count + 1
        lasted = at - run.since
        if run.count > rules.count and lasted >= timedelta(minutes=rules.minutes) and _first(run):
            why = f"{plain_value(reading)}, more than {rules.count} times in a row: is the sensor stuck? (shipped)"
            yield self._finding("stuck", member, reading, "Value does not move", why)

    def _finding(self, kind: Kind, member: str, reading: Reading, title: str, why: str) -> Finding:
        return Finding(
            member=member,
            rule=f"device.{kind}@{self._rules.version}",
            group=f"device:{kind}",
            priority=self._priority[kind],
            title=title,
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=reading.measured_at,
        )


def _count(state: ScoreState, member: str, at: datetime, is_wrong: bool) -> DeviceRun | None:
    """Carry on, begin or end a member's run of faults; None where there is none, or the reading came late."""
    run = state.faults.get(member)
    if run is None:
        return _keep(state.faults, member, DeviceRun(at, at, 1)) if is_wrong else None
    if at < run.until:
        return None
    if not is_wrong:
        run.until, run.count, run.told = at, 0, False
    elif run.count == 0:
        run.since, run.until, run.count = at, at, 1
    elif at > run.until:  # what shares an instant (or a frame) is one fault
        run.until, run.count = at, run.count + 1
    return run


def _keep(runs: dict[str, DeviceRun], member: str, run: DeviceRun) -> DeviceRun:
    """Enter a run; where there are too many, the one heard least lately goes, a fault that was told last of all."""
    runs[member] = run
    if len(runs) > MOST_RUNS:
        others = (name for name in runs if name != member)
        del runs[min(others, key=lambda name: (runs[name].told, runs[name].until, name))]
    return run


def _first(run: DeviceRun) -> bool:
    """Whether this run was not told before; notes it as told."""
    was_told, run.told = run.told, True
    return not was_told
