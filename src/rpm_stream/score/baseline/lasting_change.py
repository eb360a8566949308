"""A vital that has changed for days.

Such a change is reported once, as a low finding. Where learning was paused, the detector learns the
new usual value. The adaptive window (``detectors/drift.py``) finds when a vital changed, and a day
and a night are two such changes. A change is *lasting* if the level, a mean over about a day, is
still ``least_steps`` of the vital's resolution away after ``lasts_hours``. Without the level, drawn
pulses that swing by 8 between day and night gave 0.6 false changes a person and week.

Window and level take exactly what the personal detector learns. What is flagged as deterioration
does not enter them either, until the pause is over or a person has declared it the new normal (law
5).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import exp
from typing import Final

from rpm_stream.records import Finding, Key, Reading
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.baseline.report import LiveReport, ReportTables
from rpm_stream.score.baseline.runner import Looked, Runner
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.memory.member_names import detector_member
from rpm_stream.score.memory.state import Course, Level, ScoreState, note_calm

DAY: Final = timedelta(days=1)
MOST_WEIGHT: Final = 0.25
"""Most weight of one value in the level, where values are hours apart.

With more, the level would follow single values.
"""

SETTLED: Final = 4
"""Values after which the level has gone two thirds of the way to a new value.

From then on a change that did not last can be dropped.
"""

KEPT: Final = 12
"""Levels that are kept, a day and ``SETTLED`` values apart.

If a vital is measured a few times a day, the window finds a change only a week or two later. By
then the present level is the new one, so the level before must be looked up.
"""

RELEARNED: Final = 40
"""Learned values of a level that was kept out for days, before the usual is taken from the window.

From then on the window is better than a detector that forgets. After a shift of six spreads the
usual value of the Gaussian is 9 % off after 60 values, and its spread is three times too wide. The
window is right after 40 values, with a spread twice too wide.
"""


class Lasting(LiveReport):
    """The row of changes that last."""

    def __init__(self, tables: ReportTables, runner: Runner) -> None:
        super().__init__(tables, runner)
        table = tables.knowledge.detectors.lasting
        self._lasts = timedelta(hours=table.lasts_hours)
        self._listed = timedelta(hours=table.listed_hours)
        self._least = {
            name: table.least_steps * feature.resolution
            for name, feature in self._numbers.features.items()
        }

    def listed(self, state: ScoreState, reading: Reading, paused: Paused) -> None:
        """Note whether a change that was reported has been listed long enough.

        A change does not hold up other members of its alert: if there are any, it is calm at once.
        """
        vital = reading.vital
        at = reading.measured_at
        change = state.changed[reading.vital]
        joined = self._vitals[vital].group in paused.since
        note_calm(state, _member(vital), at, joined or at - change >= self._listed)
        if at - change > 2 * self._listed:
            del state.changed[vital]

    def learn(
        self,
        state: ScoreState,
        live: LiveDetectors,
        reading: Reading,
        looked: Looked,
        paused: Paused,
    ) -> tuple[Finding | None, tuple[float, float] | None]:
        """Add what was learned to the window.

        Return a finding for a change that has lasted, and the usual value and spread that the
        detector shall begin again with. Either may be None.
        """
        vital = reading.vital
        at = reading.measured_at
        key = self._keys.get(vital)
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
        if window.width <= before:  # a part was cut off, so what is left began later
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
        """Begin a change at the time at which the window was cut.

        A change that was kept out begins with its first flagged value.
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
        group = self._vitals[vital].group
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
        note_calm(state, _member(vital), at, calm=False)
        return self._change_finding(course, reading, group, lasts)

    def _change_finding(
        self, course: Course, reading: Reading, group: str, lasts: timedelta
    ) -> Finding:
        vital = reading.vital
        return Finding(
            kind="detector",
            key=Key(what=Drift.name, vital=vital),
            member=_member(vital),
            rule=f"detector.{Drift.name}.{vital}@{Drift.version}",
            group=group,
            priority="low",
            title=f"{self._vitals[vital].display}: this person's usual has changed",
            why=(
                f"{self._tables.words.lasting(reading, (course.before, course.level.value), lasts)}"
                " (learned)"
            ),
            evidence=(reading,),
            vital=vital,
            measured_at=reading.measured_at,
        )


def _move(course: Course, learned: int, at: datetime, x: float) -> None:
    """Add a value to the level.

    On the first day all values weigh alike, and later each by the time since the last one.
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
    """Count values since a flagged one was learned after its pause, or 0 if none was."""
    return course.resumed + 1 if course.resumed or looked.in_spite_of is not None else 0


def _member(vital: str) -> str:
    """The name of a member for a lasting change of ``vital``."""
    return detector_member(f"{Drift.name}:{vital}")
