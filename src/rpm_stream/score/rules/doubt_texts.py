"""Name in the texts of findings what makes their readings doubtful, or explains them."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from rpm_stream.knowledge.signal import Signal
from rpm_stream.records import Finding
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.value_checks import AGAIN
from rpm_stream.text import plain_flags


class DoubtTexts:
    """The texts beside a finding, bound to the table."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._moving_for = timedelta(seconds=signal.motion.seconds)

    def explained(self, state: ScoreState, finding: Finding, doubts: dict[str, str]) -> Finding:
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
