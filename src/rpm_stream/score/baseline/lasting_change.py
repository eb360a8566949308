"""A vital that has changed for days: said once as a low finding, and learned anew where learning
had been paused.

The adaptive window (``detectors/drift.py``) says when a vital changed; a day and a night are two
such changes. *Lasting* is one after which the level, a mean over about a day, is still
``least_steps`` of the vital's resolution away when ``lasts_hours`` are over. Without the level,
drawn pulses that swing by 8 between day and night gave 0.6 false changes a person and week. Window
and level take what the personal detector learns and nothing else: what is flagged as deterioration
does not enter them either, before the pause is over or a person has called it the new normal (law
5).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import exp
from typing import Final

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Key, Reading
from rpm_stream.score.baseline.learning import LiveDetectors, Numbers, Paused
from rpm_stream.score.baseline.one_vital import Looked
from rpm_stream.score.baseline.runner import Runner
from rpm_stream.score.baseline.wording import UsualWords
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.memory.marks import note_calm
from rpm_stream.score.memory.state import Course, Level, ScoreState

MEMBER: Final = f"detector:{Drift.name}:"
DAY: Final = timedelta(days=1)
MOST_WEIGHT: Final = 0.25
"""Of one value in the level, where values are hours apart: a level of single values would be no
level.
"""

SETTLED: Final = 4
"""Values after which the level has gone two thirds of the way, so that a change which is not one
can be dropped.
"""

KEPT: Final = 12
"""Levels that are remembered, a day and ``SETTLED`` values apart: the window finds a change of a
vital that is measured a few times a day only a week or two later, and by then the level is the new
one."""

RELEARNED: Final = 40
"""Values of a level that was kept out for days, after which the window knows it better than a
detector that forgets: after a shift of six spreads the Gaussian's usual lies 9 % off after 60
values and its spread is three times too wide; the window after 40 is right and twice too wide."""


class Lasting:
    """Lasting changes, bound to the knowledge table."""

    def __init__(
        self, knowledge: Knowledge, runner: Runner, numbers: Numbers, words: UsualWords
    ) -> None:
        self._knowledge = knowledge
        self._runner = runner
        self._numbers = numbers
        self._words = words
        table = knowledge.detectors.lasting
        self._lasts = timedelta(hours=table.lasts_hours)
        self._listed = timedelta(hours=table.listed_hours)
        self._least = {
            name: table.least_steps * feature.resolution
            for name, feature in numbers.features.items()
        }

    def listed(self, state: ScoreState, reading: Reading, paused: Paused) -> None:
        """Whether a change that was told has been seen long enough; what else is open does not
        wait for it.
        """
        vital = reading.vital
        at = reading.measured_at
        told = state.changed[reading.vital]
        joined = self._knowledge.vitals[vital].group in paused.since
        note_calm(state, f"{MEMBER}{vital}", at, joined or at - told >= self._listed)
        if at - told > 2 * self._listed:
            del state.changed[vital]

    def learn(
        self,
        state: ScoreState,
        live: LiveDetectors,
        reading: Reading,
        looked: Looked,
        paused: Paused,
    ) -> tuple[Finding | None, tuple[float, float] | None]:
        """Take what was learned into the window: a change that has lasted, and the usual to
        learn anew, if there is.
        """
        vital = reading.vital
        at = reading.measured_at
        key = self._runner.keys.get(vital)
        if key is None:
            return None, None
        course = state.courses.get(vital)
        window = self._runner.detector(state, live, key)
        assert isinstance(window, Drift)
        x = self._numbers.of(reading)
        before = int(window.width)
        if course is None:
            course = state.courses[vital] = Course(began=at, level=Level(at, 0, x), levels=[])
        cut = window.take(x)
        live.touched[key] = window
        if window.width <= before:  # some of it is gone: what is left began later
            course.began = at - (at - course.began) / before * (window.width - 1)
        if cut is not None and window.warm:
            self._begin(course, looked)
        _move(course, window.count, at, x)
        course.resumed = _resumed(course, looked)
        finding = self._finding(state, course, reading, paused)
        if course.resumed < RELEARNED:
            return finding, None
        course.resumed = 0
        return finding, window.expected()[vital]

    def _begin(self, course: Course, looked: Looked) -> None:
        """A change begins where the window was cut; one that had been kept out, where its
        flagged values began.
        """
        if course.since is None:
            since = course.began if looked.in_spite_of is None else looked.in_spite_of.since
            before = [level.value for level in course.levels if level.at <= since - DAY / 2]
            if before:
                course.since = since
                course.before = before[-1]
                course.readings = 0

    def _finding(
        self, state: ScoreState, course: Course, reading: Reading, paused: Paused
    ) -> Finding | None:
        if course.since is None:
            return None
        vital = reading.vital
        at = reading.measured_at
        lasts = reading.measured_at - course.since
        away = abs(course.level.value - course.before)
        least = self._least[vital]
        group = self._knowledge.vitals[vital].group
        is_settled = lasts >= DAY and course.readings >= SETTLED
        if (is_settled and away < least / 2) or paused.is_accepted(course.since, group):
            course.since = None
            return None
        if (
            not is_settled
            or lasts < self._lasts
            or away < least
            or vital in state.changed
            or group in paused.since
        ):
            return None
        course.since = None
        state.changed[vital] = at
        note_calm(state, f"{MEMBER}{vital}", at, calm=False)
        return self._told(course, reading, group, lasts)

    def _told(self, course: Course, reading: Reading, group: str, lasts: timedelta) -> Finding:
        vital = reading.vital
        return Finding(
            kind="detector",
            key=Key(what=Drift.name, vital=vital),
            member=f"{MEMBER}{vital}",
            rule=f"detector.{Drift.name}.{vital}@{Drift.version}",
            group=group,
            priority="low",
            title=f"{self._knowledge.vitals[vital].display}: this person's usual has changed",
            why=(
                f"{self._words.lasting(reading, (course.before, course.level.value), lasts)}"
                " (learned)"
            ),
            evidence=(reading,),
            vital=vital,
            measured_at=reading.measured_at,
        )


def _move(course: Course, learned: int, at: datetime, x: float) -> None:
    """Take a value into the level: each weighs alike on the first day, then by the time since
    the last one.
    """
    level = course.level
    levels = course.levels
    weight = max(1.0 / learned, min(MOST_WEIGHT, 1.0 - exp((level.at - at) / DAY)))
    course.level = Level(at, learned, level.value + weight * (x - level.value))
    course.readings += 1
    if not levels or (at - levels[-1].at >= DAY and learned - levels[-1].learned >= SETTLED):
        levels.append(course.level)
        del levels[:-KEPT]


def _resumed(course: Course, looked: Looked) -> int:
    """Values learned since a flagged one was learned, the pause being over; 0 where none was."""
    return course.resumed + 1 if course.resumed or looked.in_spite_of is not None else 0
