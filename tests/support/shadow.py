"""A patient who is watched by a clinic's rows in shadow, beside the shipped detectors."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from rpm_stream.knowledge import load
from rpm_stream.records import Finding, Reading, Score
from rpm_stream.score.baseline.learned import Learned
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.memory.state import ScoreState
from support.paths import repository
from support.readings import reading_at

EXAMPLE = repository("docs", "detectors")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
USUAL = {
    "heart_rate": (72.0, 4.0),
    "systolic": (128.0, 8.0),
    "oxygen_saturation": (97.0, 0.8),
    "respiratory_rate": (16.0, 1.0),
    "body_temperature": (36.8, 0.2),
}


def value_of(vital: str, at: datetime, value: float) -> Reading:
    """Return a reading with one digit after the point."""
    return reading_at(at, vital, f"{value:.1f}")


class Course:
    """One patient, a value of each vital every 15 minutes, with the example's tables or the
    shipped ones.
    """

    def __init__(self, own: Path | None) -> None:
        self.learned = Learned(load(own))
        self.state, self.live, self.now = ScoreState(), LiveDetectors(), BEGIN
        self.scores: list[Score] = []
        self.findings: list[Finding] = []

    def run(self, rounds: int, restart_every: int = 0) -> None:
        for turn in range(rounds):
            self.now += timedelta(minutes=15)
            rng = random.Random(f"{self.now}")
            readings = [
                value_of(
                    vital, self.now, rng.gauss(*USUAL[vital]) * (1.3 if self.now.day >= 5 else 1.0)
                )
                for vital in USUAL
            ]
            self.state.latest.update((each.vital, each) for each in readings)
            for found, finding in self.learned.instant(
                self.state, self.live, readings, set(), Paused(since={})
            ):
                self.scores += [found] if found else []
                self.findings += [finding] if finding else []
            if restart_every and turn % restart_every == 0:
                self.live.store(self.state)
                self.state = msgspec.msgpack.decode(
                    msgspec.msgpack.encode(self.state), type=ScoreState
                )
                self.live = LiveDetectors()
