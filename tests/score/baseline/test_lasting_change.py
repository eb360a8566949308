"""A vital that has changed for days: told once, in words, and learned anew where it had been
kept out (law 5).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from math import pi, sin

import msgspec
import pytest
from support.readings import reading_at

from rpm_stream.knowledge import shipped
from rpm_stream.records import Finding, Reading
from rpm_stream.score.baseline.learned import Learned
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.memory.state import ScoreState

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
EVERY = timedelta(minutes=15)
DAY = timedelta(days=1)
LEARNED = Learned(shipped())
NOTHING_OPEN = Paused(since={})


def heart_rate(at: datetime, value: float) -> Reading:
    return reading_at(at, "heart_rate", str(round(value)))


class Person:
    """Somebody whose heart rate swings by ``swing`` between day and night around ``level``."""

    def __init__(self, swing: float = 8.0) -> None:
        self.state, self.live, self.now, self.swing = ScoreState(), LiveDetectors(), BEGIN, swing
        self.chance = random.Random(1)

    def days(
        self, count: float, level: float, paused: Paused = NOTHING_OPEN
    ) -> list[tuple[datetime, Finding]]:
        return list(self._days(count, level, paused))

    def _days(
        self, count: float, level: float, paused: Paused
    ) -> Iterator[tuple[datetime, Finding]]:
        end = self.now + count * DAY
        while self.now < end:
            self.now += EVERY
            value = (
                level
                + self.swing * sin(2 * pi * (self.now - BEGIN) / DAY)
                + self.chance.gauss(0, 3)
            )
            for _, found in LEARNED.instant(
                self.state, self.live, [heart_rate(self.now, value)], set(), paused
            ):
                if found is not None:
                    yield self.now, found

    def restart(self) -> None:
        """As a worker does that takes over: all through bytes."""
        self.live.store(self.state)
        self.state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=ScoreState)
        self.live = LiveDetectors()


def changes(found: list[tuple[datetime, Finding]]) -> Mapping[datetime, Finding]:
    return {at: finding for at, finding in found if finding.member == "detector:drift:heart_rate"}


def test_day_and_night_are_no_change() -> None:
    """Three weeks of a day's rhythm that is twice as wide as the least change."""
    assert not changes(Person().days(21, 70))


def test_a_change_is_told_once_and_in_words() -> None:
    """After about three days, low, without a date; then it is what is usual."""
    person = Person()
    assert not changes(person.days(8, 70))
    turned = person.now
    ((at, told),) = changes(person.days(10, 80)).items()
    assert timedelta(days=2) < at - turned < timedelta(days=4.5)
    assert told.priority == "low"
    words = (
        r"heart rate has been about (\d+)/min higher than this person's usual of (\d+) for about 3"
        r" days \(learned\)"
    )
    said = re.fullmatch(words, told.why)
    assert said is not None, told.why
    assert 7 <= int(said[1]) <= 13
    assert 66 <= int(said[2]) <= 74
    assert told.evidence[0].vital == "heart_rate"


def test_a_restart_changes_nothing() -> None:
    """Law 2: restored at any moment of a change, the same is told at the same time."""
    whole, cut = Person(), Person()
    expected = [*whole.days(8, 70), *whole.days(5, 80)]
    found = cut.days(8, 70)
    for _ in range(10):
        cut.restart()
        found += cut.days(0.5, 80)
    assert found == expected


def test_what_is_flagged_enters_after_three_days_and_is_then_known() -> None:
    """Deterioration is not learned as normal; a lasting shift is not locked out for ever, and
    its spread is its own.
    """
    person = Person(swing=0)
    person.days(6, 70)
    before = person.live.of["heart_rate"].to_state()
    window = person.live.of["drift.heart_rate"].to_state()
    person.days(2.9, 110)
    assert person.live.of["heart_rate"].to_state() == before
    assert person.live.of["drift.heart_rate"].to_state() == window
    person.days(1.1, 110)
    usual, spread = person.live.of["heart_rate"].expected()["heart_rate"]
    assert usual == pytest.approx(110, abs=5)
    assert spread < 15


def test_an_open_episode_keeps_the_window_as_it_is_and_a_new_normal_frees_it() -> None:
    """CONTRACT 7: not while an episode is open, but for a person's word; and what they accepted
    is not told to them.
    """
    person = Person()
    person.days(8, 70)
    window = person.live.of["drift.heart_rate"].to_state()
    opened = {"vital_signs": person.now}
    person.days(1, 80, Paused(since=opened))
    assert person.live.of["drift.heart_rate"].to_state() == window
    accepted = Paused(since={}, accepted={"vital_signs": person.now + 30 * DAY})
    assert not changes(person.days(6, 80, accepted))
    assert person.live.of["drift.heart_rate"].expected()["heart_rate"][0] > 75


def test_it_is_listed_for_a_round_and_holds_no_other_alert() -> None:
    """Calm after a day; at once where another rule is in its episode."""
    member = "detector:drift:heart_rate"
    alone = Person()
    alone.days(8, 70)
    while not changes(alone.days(0.25, 80)):
        pass
    alone.days(0.5, 80)
    assert member not in alone.state.calm
    joined = Paused(since={"vital_signs": alone.now})
    alone.days(0.05, 80, joined)
    assert member in alone.state.calm
