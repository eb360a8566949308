"""A vital that has changed for days: said once as a low finding, and learned anew where learning had been paused.

The adaptive window (``drift.py``) says when a vital changed; a day and a night are two such changes. *Lasting* is one
that is still there after ``lasts_hours`` and at least ``least_steps`` of the vital's resolution wide. The window takes
what the personal detector learns and nothing else: what is flagged as deterioration does not enter it either, before
the pause is over or a person has called it the new normal (law 5).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rpm_stream.knowledge import Knowledge
from rpm_stream.records import Finding, Reading
from rpm_stream.score.codec import StateError
from rpm_stream.score.drift import Cut, Drift
from rpm_stream.score.learning import LiveDetectors, Numbers, Paused
from rpm_stream.score.personal import Looked
from rpm_stream.score.rules import note_calm
from rpm_stream.score.state import Course, ScoreState
from rpm_stream.score.usual_words import UsualWords

MEMBER: Final = f"detector:{Drift.name}:"
RELEARNED: Final = 40
"""Values of a level that was kept out for days, after which the window knows it better than a detector that forgets:
after a shift of six spreads the Gaussian's usual lies 9 % off after 60 values and its spread is three times too wide;
the window after 40 is right and twice too wide."""


class Lasting:
    """Lasting changes, bound to the knowledge table."""

    def __init__(self, knowledge: Knowledge, numbers: Numbers, words: UsualWords) -> None:
        self._knowledge, self._numbers, self._words = knowledge, numbers, words
        table = knowledge.detectors.lasting
        self._vitals = table.vitals
        self._lasts, self._listed = timedelta(hours=table.lasts_hours), timedelta(hours=table.listed_hours)
        self._least = {name: table.least_steps * feature.resolution for name, feature in numbers.features.items()}

    def look(
        self, state: ScoreState, live: LiveDetectors, reading: Reading, looked: Looked, paused: Paused
    ) -> tuple[Finding | None, tuple[float, float] | None]:
        """Take what was learned into the window: a change that has lasted, and the usual to learn anew, if there is."""
        vital, at = reading.vital, reading.measured_at
        if vital not in self._vitals:
            return None, None
        course = state.courses.get(vital)
        if course is not None and course.told is not None and at - course.told <= 2 * self._listed:
            joined = self._knowledge.vitals[vital].group in paused.since  # what else is open does not wait for this
            note_calm(state, f"{MEMBER}{vital}", at, joined or at - course.told >= self._listed)
        if not looked.learned:
            return None, None
        window = live.windows.get(vital)
        if window is None:
            window = live.windows[vital] = self._restored(state, vital)
        if course is None:
            course = state.courses[vital] = Course(began=at)
        before = window.width
        cut = window.take(self._numbers.of(reading))
        live.touched[f"{Drift.name}.{vital}"] = window
        if window.width <= before:  # some of it is gone: what is left began later
            course.began = at - (at - course.began) / before * (window.width - 1)
        self._note(course, cut, reading, looked)
        finding = self._finding(state, course, window, reading, paused)
        return finding, window.expected() if self._is_relearned(course) else None

    def _restored(self, state: ScoreState, vital: str) -> Drift:
        feature, stored = self._numbers.features[vital], state.detectors.get(f"{Drift.name}.{vital}")
        try:
            return Drift.from_state(feature, stored) if stored else Drift(feature)
        except StateError:
            return Drift(feature)

    def _note(self, course: Course, cut: Cut | None, reading: Reading, looked: Looked) -> None:
        """A change begins where the window was cut; one that had been kept out, where its flagged values began."""
        kept_out = looked.in_spite_of
        if kept_out is not None and not course.resumed:
            course.resumed = 1
        elif course.resumed:
            course.resumed += 1
        is_free = course.since is None or (course.told is not None and reading.measured_at - course.told > self._listed)
        if cut is not None and is_free:
            course.since = kept_out.since if kept_out is not None else course.began
            course.before, course.told = cut.before, None

    def _is_relearned(self, course: Course) -> bool:
        if course.resumed < RELEARNED:
            return False
        course.resumed = 0
        return True

    def _finding(
        self, state: ScoreState, course: Course, window: Drift, reading: Reading, paused: Paused
    ) -> Finding | None:
        if course.since is None or course.told is not None:
            return None
        vital, at, (now, _) = reading.vital, reading.measured_at, window.expected()
        group, least = self._knowledge.vitals[vital].group, self._least[vital]
        if abs(now - course.before) < least / 2 or paused.is_accepted(course.since, group):
            course.since = None
            return None
        if at - course.since < self._lasts or abs(now - course.before) < least or group in paused.since:
            return None
        course.told = at
        note_calm(state, f"{MEMBER}{vital}", at, calm=False)
        return self._told(course, now, reading, group)

    def _told(self, course: Course, now: float, reading: Reading, group: str) -> Finding:
        vital, lasts = reading.vital, reading.measured_at - (course.since or reading.measured_at)
        return Finding(
            member=f"{MEMBER}{vital}",
            rule=f"detector.{Drift.name}.{vital}@{Drift.version}",
            group=group,
            priority="low",
            title=f"{self._knowledge.vitals[vital].display}: this person's usual has changed",
            why=f"{self._words.lasting(reading, course.before, now, lasts)} (learned)",
            evidence=(reading,),
            vital=vital,
            measured_at=reading.measured_at,
        )


def pauses_learning(member: str) -> bool:
    """Whether an open episode keeps its vitals from learning for it: a changed usual is there to be learned."""
    return not member.startswith(MEMBER)
