"""All learned detectors as one rule, which finds what is unusual for this person.

``baseline/learned.py`` runs them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rpm_stream.records import Key
from rpm_stream.score.baseline.learned import Learned
from rpm_stream.score.detectors.drift import Drift
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.protocol import MomentRule, RuleTables
from rpm_stream.score.rules.stretch import Stretch


class LearnedRule(MomentRule):
    """The detectors, bound to the tables."""

    kind = "detector"
    source = ("detectors.toml",)
    words = "Learned: unusual for this person"
    may_be_new_normal = True
    keeps = (
        "a detector keeps no single reading: what it learned of a wrong one it forgets with time"
    )

    def __init__(self, shared: RuleTables) -> None:
        self._learned = Learned(shared.knowledge)
        self.calm_for = timedelta(minutes=shared.knowledge.limits.recovery_minutes)

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Score the readings of the moment, then learn them where no open episode pauses that."""
        for score, finding in self._learned.instant(
            state, moment.live, moment.judged, moment.late, moment.paused
        ):
            if score is not None:
                moment.scores.append(score)
            if finding is not None:
                moment.findings.append(finding)

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """Up to when no detector flags, learns or puts out a score."""
        return self._learned.calm_until(state, stretch.live, stretch.columns, stretch.times)

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """The vitals stay calm."""
        self._learned.pass_by(state, stretch.columns, stretch.times.complete)

    def pauses_learning(self, key: Key) -> bool:
        """Whether a member pauses learning.

        All do except a lasting change, which has to be learned.
        """
        return key.what != Drift.name
