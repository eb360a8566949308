"""The record and the finding of a NEWS2 score, with its words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Finding, Key, Priority, Reading, Score
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState, emits
from rpm_stream.score.rules.news2_score import News2Score
from rpm_stream.score.rules.oxygen_scale import SATURATION, SCALE_WORDS

NEWS2 = member_name("news2", Key())  # its member in an episode, and its detector in a score


class News2Findings:
    """Makes the records and findings, bound to the tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._vitals = knowledge.vitals
        self._news2 = knowledge.news2

    def priority(self, score: News2Score) -> Priority | None:
        """Return the priority of a score, or None below the limit."""
        if score.score_min < self._news2.medium_from:
            return None
        return "high" if score.score_min >= self._news2.high_from else "medium"

    def record(
        self, state: ScoreState, score: News2Score, instant: Sequence[Reading]
    ) -> Score | None:
        """Return the record of a score, or None where an equal one was written lately."""
        at = instant[0].measured_at
        content = f"{sorted(score.points.items())}"
        if not emits(state, NEWS2, at, content):
            return None
        return Score(
            id=deterministic_id("score", NEWS2, instant[0].id),
            patient=instant[0].patient,
            readings=tuple(reading.id for reading in score.readings.values()),
            vital=None,
            value=None,
            detector=NEWS2,
            version=self._news2.version,
            score=float(score.score_min),
            score_min=float(score.score_min),
            score_max=float(score.score_max),
            missing=score.missing,
            threshold=float(self._news2.medium_from),
            contributions={name: float(points) for name, points in score.points.items()},
            limits={"medium": self._news2.medium_from, "high": self._news2.high_from},
            measured_at=at,
        )

    def finding(
        self, score: News2Score, moment: datetime, instant: Sequence[Reading], late: bool
    ) -> Finding | None:
        """Return the finding of a score as of a moment, or None below the limit."""
        priority = self.priority(score)
        if priority is None:
            return None
        deciding = sorted(score.readings.items(), key=lambda item: -score.points[item[0]])
        here = {reading.id for reading in instant}
        opening = next((reading for _, reading in deciding if reading.id in here), instant[0])
        others = (
            reading for name, reading in deciding if score.points[name] and reading.id != opening.id
        )
        return Finding(
            kind="news2",
            key=Key(),
            member=NEWS2,
            rule=f"news2@{self._news2.version}",
            group=self._vitals[opening.vital].group,
            priority=priority,
            title=title_of(score),
            why=news2_words(score),
            evidence=(opening, *others),
            vital=opening.vital,
            measured_at=max(moment, opening.measured_at),
            late=late,
            points=score.score_min,
        )


def title_of(score: News2Score) -> str:
    """Return the title of an alert: the score, or the least that it can be."""
    return f"NEWS2 {'at least ' if score.score_max > score.score_min else ''}{score.score_min}"


def news2_words(score: News2Score) -> str:
    """The score in words: its range, what gave points, what is not known, and an unusual scale."""
    scale = SCALE_WORDS.get(score.scale) if SATURATION in score.points else None
    by = (scale, score.is_scale_past) if scale else None
    extent = (score.score_min, score.score_max)
    return _words(extent, tuple(score.points.items()), score.missing, by)


@lru_cache(maxsize=1024)  # the words of an unchanged score come with each value
def _words(
    extent: tuple[int, int],
    parts: tuple[tuple[str, int], ...],
    not_known: tuple[str, ...],
    by: tuple[str, bool] | None,
) -> str:
    least, most = extent
    total = f"{least}" if least == most else f"{least} to {most}"
    ranked = sorted(parts, key=lambda part: (-part[1], part[0]))
    gave = ", ".join(f"{name.replace('_', ' ')} {points}" for name, points in ranked if points)
    missing = ", ".join(name.replace("_", " ") for name in not_known)
    words = f"NEWS2 is {total}{f': {gave}' if gave else ''}"
    if missing:
        words += f"; not known: {missing}"
    if by is not None:
        scale, is_past = by
        words += f"; saturation by {scale}{' when it was measured' if is_past else ''}"
    return words
