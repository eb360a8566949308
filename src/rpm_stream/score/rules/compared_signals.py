"""Values compared with others: the pulse with the heart rate, and values with older ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.signal import Resent
from rpm_stream.records import Reading
from rpm_stream.score.memory.column import Column
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.device_runs import (
    DeviceReport,
    any_going_on,
    count,
    is_news,
    lasts,
    member_of,
)
from rpm_stream.score.rules.signal_values import is_part_of, make_place

HEART = "heart_rate"
PULSE = "pulse_rate"
# sequences of a patient: two meters and a sensor, and room for devices that were handed in
MOST_SEQUENCES = 8


class ComparedSignals:
    """The comparisons, bound to the tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._vitals = knowledge.vitals
        self._rules = knowledge.signal.agreement
        self._gap = float(self._rules.gap)
        self._together = timedelta(seconds=self._rules.seconds)

    def agrees(self, state: ScoreState, pulse: Column, heart: Column | None) -> bool:
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

    def resent(
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
            plain = self._vitals[reading.vital].plain
            why = (
                f"the last {rules.length} values of {plain} came in the same order before: stored"
                " ones, sent as new?"
            )
            words = f"{why} (shipped)"
            yield DeviceReport(
                kind="clock", of=of, title="Old values sent again", why=words, evidence=(reading,)
            )

    def agreement(self, state: ScoreState, pulse: Reading) -> Iterator[DeviceReport]:
        """The pulse of one sensor against the heart rate of another."""
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
        if lasts(run, self._rules.count, self._rules.minutes) and is_news(run):
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
        sensor = self._rules.sensors.get(reading.attributes.get("characteristic", ""))
        return f" from {sensor}" if sensor else ""
