"""Rules for a device that needs attention.

They cover its battery, its contact, its clock, the faults that it reports, values that no body can
have, and values that do not move. What a device reports about itself is found here, in the groups
``device:<kind>``. What shows by comparing values is in ``signal_quality.py``. A reading that is
older than the newest of its run changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from rpm_stream.knowledge.alerting import Battery, ClockFault, Fault, Stuck
from rpm_stream.records import PatientEntry, Reading
from rpm_stream.score.memory.column import FOREVER, Column
from rpm_stream.score.memory.state import DeviceRun, ScoreState
from rpm_stream.score.rules.device_runs import (
    ANY,
    DeviceReport,
    Teller,
    any_going_on,
    count,
    is_news,
    is_well,
    keep,
    lasts,
    member_of,
    report_of,
)
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MemberView, MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch
from rpm_stream.score.rules.unit_mismatch import OtherUnits
from rpm_stream.text import plain_flags, plain_unit, plain_value

BATTERY = "battery"  # the vital
REFUSED = "refused"  # the flag of a value that no body can have


class DeviceRules(MomentRule):
    """The device rules, bound to the tables."""

    kind = "device"
    source = ("device_rules.toml",)
    words = "A device that needs a hand"
    keeps = "whose readings they were, the device has said it"

    def __init__(self, shared: RuleTables) -> None:
        knowledge = shared.knowledge
        self._knowledge = knowledge
        self._rules = knowledge.device_rules
        self._teller = Teller(knowledge, self.kind, knowledge.device_rules.version)
        self._stuck = {row.vital: row for row in self._rules.stuck}
        self._units = OtherUnits(knowledge)
        rules = self._rules
        self._tells = frozenset({REFUSED, "battery_low"}).union(
            rules.clock.flags, *rules.contact.flags.values(), *(row.flags for row in rules.fault)
        )

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Add a finding for each device fault that the readings show for long enough.

        All readings of the moment count.
        """
        for reading in moment.readings:
            for report in self._reports(state, reading):
                moment.findings.append(self._teller.finding(report))

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """To its end where no fault lasts and no value has stood still for long; all or
        nothing.
        """
        is_faulty = bool(state.faults) and any_going_on(state.faults)
        if is_faulty or BATTERY in stretch.columns:
            return stretch.begin
        for vital in self._stuck.keys() & stretch.columns.keys():
            if not self._moves(state, stretch.columns[vital]):
                return stretch.begin
        return FOREVER

    def _moves(self, state: ScoreState, column: Column) -> bool:
        """Whether no value can have come so often, for so long, that its device is stuck."""
        run = state.repeats.get(_stuck(column.first))
        if run is None or column.begin < run.until:
            return False
        rules = self._stuck[column.vital]
        count = len(column.readings) + run.count
        return count <= rules.count or column.end - run.since < timedelta(minutes=rules.minutes)

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """The last values of each device count as a row, where they are equal."""
        for vital in self._stuck.keys() & stretch.columns.keys():
            readings = stretch.columns[vital].readings
            last = readings[-1]
            size = 0
            for reading in reversed(readings):
                if reading.value != last.value:
                    break
                size += 1
            member = _stuck(last)
            run = state.repeats[member]
            value = _written(last)
            if size == len(readings) and run.value == value:
                run.until = last.measured_at
                run.count += size
            else:
                since = readings[-size].measured_at
                keep(state.repeats, member, DeviceRun(since, last.measured_at, size, value))

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Whether the device is well again, by a reading of its own."""
        return is_well(state.faults.get(name) or state.repeats.get(name))

    def _reports(self, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
        flagged = bool(reading.flags) and not self._tells.isdisjoint(reading.flags)
        # at 1 Hz most readings report nothing about their device
        if flagged or (state.faults and any_going_on(state.faults)):
            yield from _clock(self._rules.clock, state, reading)
            yield from self._refused(state, reading)
            if REFUSED in reading.flags:
                return
            yield from self._contact(state, reading)
            yield from _faults(self._rules.fault, state, reading)
            yield from _battery_flag(state, reading)
        if reading.vital == BATTERY:
            yield from _battery(self._rules.battery, state, reading)
        if reading.vital in self._stuck and self._counts(reading):
            yield from _same(self._stuck[reading.vital], state, reading)

    def _counts(self, reading: Reading) -> bool:
        """Whether the value is about the wearer. The value of a demonstration may well repeat."""
        return reading.value is not None and self._knowledge.signal.never_judged.isdisjoint(
            reading.flags
        )

    def _contact(self, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
        rules = self._rules.contact
        if reading.vital not in rules.flags:
            return
        is_off = not rules.flags[reading.vital].isdisjoint(reading.flags)
        if reading.value is not None and reading.vital in rules.only_without_value.vitals:
            is_off = False
        member = member_of("contact", reading.vital, reading.device)
        run = count(state.faults, member, reading.measured_at, is_off)
        if lasts(run, 1, rules.minutes) and is_news(run):
            plain = self._knowledge.vitals[reading.vital].plain
            why = (
                f"no contact for {rules.minutes} minutes or longer, so no {plain}: not worn or"
                " misplaced? (shipped)"
            )
            yield report_of("contact", reading, "Sensor not in contact", why)

    def _refused(self, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
        """Values that no body can have.

        They are reported after some of them, or at once where another unit would explain the value.
        """
        rules = self._rules.refused
        is_refused = REFUSED in reading.flags
        member = member_of("refused", reading.vital, reading.device)
        run = count(state.faults, member, reading.measured_at, is_refused)
        if not is_refused or run is None or run.reported:
            return
        unit = self._units.suspect(state, reading)
        if (unit is not None or lasts(run, rules.count, rules.minutes)) and is_news(run):
            fits = (
                f": it would fit this person in {plain_unit(unit)}, is the device's unit set right?"
                if unit
                else ""
            )
            why = (
                f"{plain_value(reading)} was refused, no body can have"
                f" that{fits or ': look at the device'} (shipped)"
            )
            yield report_of("refused", reading, "Values refused", why)


def _battery(rules: Battery, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
    if reading.value is None:
        return
    percent = Decimal(reading.value)
    member = member_of("battery", ANY, reading.device)
    known = state.faults.get(member)
    was_low = known is not None and known.count > 0
    is_low = percent < rules.below or (was_low and percent < rules.recover)
    run = count(state.faults, member, reading.measured_at, is_low)
    if lasts(run, 1, 0) and is_news(run):
        why = f"{plain_value(reading)}: below {rules.below} %, charge or renew it (shipped)"
        yield DeviceReport(
            kind="battery", of=ANY, title="Battery low", why=why, evidence=(reading,)
        )


def _battery_flag(state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
    """A meter without a battery service reports a low battery beside a value (2A18, 2AA7)."""
    member = member_of("battery", reading.vital, reading.device)
    run = count(state.faults, member, reading.measured_at, "battery_low" in reading.flags)
    if lasts(run, 1, 0) and is_news(run):
        why = "the device says that its battery is low: charge or renew it (shipped)"
        yield report_of("battery", reading, "Battery low", why)


def _clock(rules: ClockFault, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
    """Count wrong clocks by frames, in the order of receipt.

    A clock that runs ahead makes its values look newest. A kind of message that comes again
    without the flag is well. Another kind may carry no device time at all.
    """
    sent_as = reading.attributes.get("characteristic", "")
    for flag in rules.flags:
        of = f"{flag}.{sent_as}"
        run = count(
            state.faults,
            member_of("clock", of, reading.device),
            reading.received_at,
            flag in reading.flags,
        )
        if lasts(run, rules.count, 0) and is_news(run):
            why = (
                f"{flag.replace('_', ' ')}, {rules.count} times in a row: set device and phone"
                " (shipped)"
            )
            yield DeviceReport(
                kind="clock", of=of, title="Device clock wrong", why=why, evidence=(reading,)
            )


def _faults(rows: tuple[Fault, ...], state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
    """Faults that the device reports.

    A kind of value that comes again without the flag is well.
    """
    for row in rows:
        flags = row.flags.intersection(reading.flags)
        of = f"{row.name}.{reading.vital}"
        run = count(
            state.faults,
            member_of(row.kind, of, reading.device),
            reading.measured_at,
            bool(flags),
        )
        if lasts(run, row.count, row.minutes) and is_news(run):
            why = f"{plain_value(reading)}, {plain_flags(sorted(flags))}: {row.advice} (shipped)"
            yield DeviceReport(kind=row.kind, of=of, title=row.title, why=why, evidence=(reading,))


def _same(rules: Stuck, state: ScoreState, reading: Reading) -> Iterator[DeviceReport]:
    member = _stuck(reading)
    at = reading.measured_at
    value = _written(reading)
    run = state.repeats.get(member)
    if run is not None and at < run.until:
        return
    if run is None or run.value != value:
        keep(state.repeats, member, DeviceRun(at, at, 1, value))
        return
    run.until = at
    run.count = run.count + 1
    lasted = at - run.since
    if run.count > rules.count and lasted >= timedelta(minutes=rules.minutes) and is_news(run):
        why = (
            f"{plain_value(reading)}, more than {rules.count} times in a row: is the sensor"
            " stuck? (shipped)"
        )
        yield report_of("stuck", reading, "Value does not move", why)


def _stuck(reading: Reading) -> str:
    """The member of a device whose value does not move."""
    return member_of("stuck", reading.vital, reading.device)


def _written(reading: Reading) -> str:
    return f"{reading.value} {reading.unit}"
