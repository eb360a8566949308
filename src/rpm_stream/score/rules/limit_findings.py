"""What a breach of a limit becomes: a finding, if it has lasted or come often enough."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import RANK, Direction, Finding, Reading
from rpm_stream.score.memory.continuous import is_continuous, number_of
from rpm_stream.score.memory.history import (
    Placing,
    Segment,
    VitalHistory,
    beside,
    ignored_time,
    segment_of,
)
from rpm_stream.score.memory.recent import Recent, among_last
from rpm_stream.score.memory.rows import Reach, Run, within
from rpm_stream.score.memory.rows import row as row_of
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits import Breach, Verdict

# the longest pause that is no gap in "for m minutes" (CONTRACT 10, In a row)
LEAST_GAP = timedelta(minutes=15)
UNKNOWN_BETWEEN = "nothing known between"


NO_LIMIT = Verdict(level="inside", points=None)


class PlacedVerdict(msgspec.Struct, frozen=True, gc=False):
    """A reading after the limits have judged it: the verdict, its history and its place there.

    ``reach`` is the time in which its scale of saturation holds. ``is_sided`` is true on scale 2. A
    value that is too high may count on oxygen alone, so it makes no row with one that is too low.
    """

    verdict: Verdict
    history: VitalHistory
    placing: Placing
    reach: Reach = (None, None)
    is_sided: bool = False


class LimitFindings:
    """Makes the findings of breaches, bound to the tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._row = timedelta(seconds=knowledge.limits.row_seconds)

    def _by_count(self, reading: Reading, breach: Breach) -> bool:
        """Whether a breach counts readings, not minutes.

        If the limit has both, the readings' cadence decides.
        """
        return breach.of is not None and not (
            breach.minutes and is_continuous(reading, self._knowledge)
        )

    def is_frequent(
        self, recent: list[Recent], place: int, reading: Reading, breach: Breach
    ) -> bool:
        """Whether a breach has come often enough, where its limit counts readings."""
        counts = breach.of if self._by_count(reading, breach) else None
        return counts is None or among_last(recent, place, breach.limit, counts)

    def finding(
        self, state: ScoreState, reading: Reading, breach: Breach, seen: PlacedVerdict
    ) -> Finding | None:
        """The finding of a breach, or None where it has not lasted as long as its limit says."""
        at = reading.measured_at
        before = seen.placing.before
        row = _row_with(seen, breach)
        why = breach.why
        if breach.minutes and not self._by_count(reading, breach):
            if row.end - row.start < timedelta(minutes=breach.minutes):
                return None
            if _is_gap(before, row, at, breach.minutes):
                why = f"{why}; {UNKNOWN_BETWEEN}"
        is_row = (row.count >= 2 and row.end - row.start >= self._row) or self._partnered(
            state, reading, breach
        )
        return Finding(
            kind="limit",
            key=breach.key,
            member=breach.member,
            rule=breach.rule,
            group=self._knowledge.vitals[reading.vital].group,
            priority=breach.repeated if breach.repeated and is_row else breach.first,
            title=breach.title,
            why=why,
            evidence=(reading,),
            vital=reading.vital,
            measured_at=at,
            late=seen.placing.late,
            direction=breach.side,
            number=number_of(self._knowledge, reading, breach.side),
            bound=self._mildest(reading.vital, breach.side, seen.verdict.breaches),
            beyond_query=breach.beyond_query or reading.value is None,
            points=seen.verdict.points or 0,
            apart=None if before is None else (at - before).total_seconds(),
        )

    def _mildest(self, vital: str, side: Direction, breaches: Iterable[Breach]) -> Decimal:
        """The limit nearest to the normal that a value is beyond, in the vital's first unit."""
        unit = self._knowledge.vitals[vital].unit
        bounds = [
            self._knowledge.convert(each.bound, each.unit, unit)
            for each in breaches
            if each.side == side
        ]
        return max(bounds) if side == "low" else min(bounds)

    def _partnered(self, state: ScoreState, reading: Reading, breach: Breach) -> bool:
        """Whether the measurement before or after was beyond the partner limit of the breach."""
        if breach.partner is None:
            return False
        vital, limit = breach.partner
        history = state.histories.get(vital)
        at = reading.measured_at
        shown = ignored_time(reading)
        return history is not None and any(
            limit in segment.broken
            and (shown is None or segment.shown != shown)
            and (at - segment.start >= self._row or segment.end - at >= self._row)
            for segment in beside(history, at)
        )


def alone(reading: Reading, verdict: Verdict) -> Segment:
    """The reading as a segment of its vital's history that it makes alone."""
    return segment_of(reading, verdict.level, verdict.points, verdict.broken, verdict.side)


def _row_with(seen: PlacedVerdict, breach: Breach) -> Run:
    """The row beyond the limit of a breach that the reading belongs to."""
    index = seen.placing.index
    side = breach.side if seen.is_sided else None
    # the segment may not name a limit that was set after it was entered
    segments = (
        row_of(seen.history, index, breach.limit, side) or seen.history.segments[index : index + 1]
    )
    return within(segments, seen.reach, breach.side)


def _is_gap(before: datetime | None, row: Run, at: datetime, minutes: int) -> bool:
    """Whether nothing was known for long just before a value of a row."""
    return (
        before is not None
        and row.start < at
        and at - before > max(LEAST_GAP, timedelta(minutes=minutes))
    )


def worst_of(found: Iterable[Finding | None]) -> list[Finding]:
    """The finding of highest priority of each member, the first of equals."""
    worst: dict[str, Finding] = {}
    for finding in found:
        known = worst.get(finding.member) if finding else None
        if finding and (known is None or RANK[finding.priority] > RANK[known.priority]):
            worst[finding.member] = finding
    return list(worst.values())
