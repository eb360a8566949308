"""The learned detectors as the judge runs them: which one the table chooses, and what a finding
says.
"""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from support.readings import reading_at

from rpm_stream.knowledge import Knowledge, shipped
from rpm_stream.knowledge.scoring import VitalDetectorName
from rpm_stream.records import Finding, Reading, Score
from rpm_stream.score.baseline.learned import Learned
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.detectors.table import VITAL_DETECTORS
from rpm_stream.score.memory.state import ScoreState

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
USUAL = {
    "pulse_rate": 72,
    "respiratory_rate": 16,
    "oxygen_saturation": 97,
    "systolic": 128,
    "body_temperature": 36.8,
}
SPREAD = {
    "pulse_rate": 3,
    "respiratory_rate": 1,
    "oxygen_saturation": 1,
    "systolic": 6,
    "body_temperature": 0.2,
}
UNITS = {vital: shipped().vitals[vital].unit for vital in USUAL}


def reading(vital: str, at: datetime, value: float, unit: str) -> Reading:
    return reading_at(at, vital, f"{value:.1f}", unit=unit)


class Run:
    """One patient, a value of each vital every 15 minutes."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.learned, self.state, self.live, self.now = (
            Learned(knowledge),
            ScoreState(),
            LiveDetectors(),
            BEGIN,
        )
        self.chance = random.Random(2)

    def step(self, **off: float) -> tuple[list[Score], list[Finding]]:
        self.now += timedelta(minutes=15)
        readings = [
            reading(
                vital,
                self.now,
                off.get(vital, self.chance.gauss(usual, SPREAD[vital])),
                UNITS[vital],
            )
            for vital, usual in USUAL.items()
        ]
        self.state.latest.update((each.vital, each) for each in readings)
        said = list(self.learned.instant(self.state, self.live, readings, set(), Paused(since={})))
        return [score for score, _ in said if score], [finding for _, finding in said if finding]


def choosing(name: VitalDetectorName) -> Knowledge:
    table = shipped().detectors
    replace = msgspec.structs.replace
    return replace(
        shipped(), detectors=replace(table, personal=replace(table.personal, detector=name))
    )


@pytest.mark.parametrize("name", VITAL_DETECTORS)
def test_the_table_chooses_the_detector(name: VitalDetectorName) -> None:
    """Each of them runs, is low, says who it is, and waits until it lasts."""
    run = Run(choosing(name))
    for _ in range(220):
        run.step()
    told = [
        [each for each in run.step(pulse_rate=120)[1] if each.vital == "pulse_rate"]
        for _ in range(3)
    ]
    assert [len(found) for found in told[:2]] == [0, 0]
    finding = next(each for each in told[2] if each.member == "detector:pulse_rate")
    assert finding.priority == "low"
    assert finding.rule == f"detector.{name}.pulse_rate@{VITAL_DETECTORS[name].fresh.version}"  # type: ignore[attr-defined]
    assert re.fullmatch(
        r"pulse 120/min, 4\d above this person's usual of 7\d \(learned\)", finding.why
    )


def test_another_choice_begins_anew() -> None:
    """The state of the one is none of the other: no error, and silent until it has learned."""
    first = Run(choosing("gaussian"))
    for _ in range(220):
        first.step()
    first.live.store(first.state)
    second = Run(choosing("quantile"))
    second.state, second.now = first.state, first.now
    scores, _ = second.step(pulse_rate=120)
    assert not [score for score in scores if score.vital == "pulse_rate"]


def test_a_combination_names_the_vitals_that_matter() -> None:
    """The two or three that contribute most, each with its distance from usual; the one that is
    usual is not named.
    """
    run = Run(shipped())
    for _ in range(320):
        run.step()
    for _ in range(3):
        _, found = run.step(respiratory_rate=26, oxygen_saturation=90, pulse_rate=108, systolic=128)
    together = next(each for each in found if each.member == "detector:half_space_trees")
    assert together.why.startswith("unusual together: ")
    named = together.why.removeprefix("unusual together: ").removesuffix(" (learned)").split("; ")
    assert 2 <= len(named) <= 3
    wanted = (
        r"(breathing 26/min, \d+ above|pulse 108/min, \d+ above|oxygen saturation 90 %, \d+ below)"
        r" .* usual of \d+"
    )
    assert all(re.fullmatch(wanted, part) for part in named), named
