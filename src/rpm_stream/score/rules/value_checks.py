"""Checks of one value: does it fit this person, and the value of the same device before it?

Each adds its doubt about a reading to ``doubts``, by the reading's id. The texts of other findings
name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec

from rpm_stream.knowledge.signal import JumpTable, Resent, Signal
from rpm_stream.records import Reading
from rpm_stream.score.memory.state import DeviceRun, LastValue, ScoreState
from rpm_stream.score.rules.device_runs import (
    DeviceReport,
    any_going_on,
    count,
    is_news,
    lasts,
    member_of,
    report_of,
)
from rpm_stream.score.rules.unit_mismatch import OtherUnits
from rpm_stream.text import plain_unit, plain_value, with_unit

AGAIN = "measure again"


class SignalChecks(msgspec.Struct, frozen=True):
    """The checks for the values of one vital."""

    step: JumpTable | None
    mixes_units: bool
    resent: Resent | None
    by: float  # of a step
    within: timedelta


def checks_of(signal: Signal, vital: str) -> SignalChecks:
    """Return the checks for the values of a vital."""
    step = next((row for row in signal.step if row.vital == vital), None)
    return SignalChecks(
        step=step,
        mixes_units=any(row.vital == vital for row in signal.other_unit),
        resent=next((row for row in signal.resent if row.vital == vital), None),
        by=float(step.by) if step else float("inf"),
        within=timedelta(seconds=step.seconds if step else 0),
    )


class ValueChecks:
    """The checks of one value. ``plans`` has those of each vital."""

    def __init__(self, units: OtherUnits, plans: Mapping[str, SignalChecks]) -> None:
        self._units = units
        self._plans = plans

    def unit(
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
            yield report_of("unit", reading, "Unit looks wrong", why)

    def jump(self, plan: SignalChecks, reading: Reading, last: LastValue) -> float:
        """The distance of a value from the one before, or 0 if too much time lies between them."""
        if reading.measured_at - last.at > plan.within:
            return 0.0
        vital = reading.vital
        value = reading.value or last.value
        return abs(
            self._units.number(vital, value, reading.unit)
            - self._units.number(vital, last.value, last.unit)
        )

    def step(
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
            f"a jump from {with_unit(last.value, last.unit)} {before(at - last.at)} that hardly"
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
            yield report_of("step", reading, "Value jumps", why)

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


def before(lasted: timedelta) -> str:
    """The time between two readings in words: ``4 seconds before``."""
    seconds = round(lasted.total_seconds())
    if seconds >= 7200:
        return f"{seconds // 3600} hours before"
    if seconds >= 120:
        return f"{seconds // 60} minutes before"
    if not seconds:
        return "at the same moment"
    return f"{seconds} second{'' if seconds == 1 else 's'} before"
