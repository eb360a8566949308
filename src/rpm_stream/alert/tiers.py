"""Open an alert again because its values got worse after a person's decision (CONTRACT 10).

The person acknowledged or snoozed the alert. Values are compared with a baseline: what the person
could see when they decided, or the limit where that value was inside. A tier is one of these:

- (a) a value beyond the query bound where the baseline was not,
- (b) NEWS2 higher by two or more, or reaching 7 or 9 from below,
- (c) a value a step or more beyond the baseline,
- (d) a value beyond its limit after an hour without one.

After such an opening (b) to (d) wait for a quarter of an hour, and then what is still so counts.
They are held back and never dropped. Where values are less than a minute apart, a single value does
not count for (b) to (d).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from rpm_stream.alert.episode import DecisionBasis, Episode, Member, Snapshot, TierRun
from rpm_stream.alert.episodes import is_worse, open_worse
from rpm_stream.alert.situation import Situation
from rpm_stream.records import Alert, Direction, Finding, Total

# NEWS2 totals that open an alert again: emergency response, and the next step (CONTRACT 10)
EDGES = (7, 9)
TOTAL_STEP = 2  # NEWS2 points, a design choice (CONTRACT 10)
TOTAL = "news2"


def step_of(situation: Situation, vital: str, side: Direction, bound: Decimal) -> Decimal:
    """How much further out a value must be to open the alert again.

    ``bound`` and the step are in the vital's first unit.
    """
    return situation.limits.step_of(vital, side, bound, "")[0]


def look(
    episode: Episode, finding: Finding, last: datetime | None, situation: Situation, now: datetime
) -> Alert | None:
    """Open the alert again if a value is a tier worse than what a person decided about.

    The value is beyond a limit. ``last`` is when a value beyond that limit was measured before.
    """
    decided = episode.decided
    side = finding.direction
    if decided is None or side is None or finding.number is None:
        return None
    name = finding.member
    limits = situation.limits
    if finding.beyond_query and not _stood_beyond_query(
        decided.numbers, finding.vital, side, situation
    ):
        return open_worse(episode, now, finding.why)
    is_again = last is not None and finding.measured_at - last >= timedelta(
        minutes=limits.tier_again_minutes
    )
    if is_again and name not in decided.again:
        decided.again.append(name)
    member = episode.members[name]
    if not (
        _is_again(decided, name, member) or is_step(decided, member, finding.number, situation)
    ):
        return None
    if not _is_row(decided, name, finding.measured_at, finding.apart, situation):
        return None
    return _open(episode, now, finding.why, situation)


def look_at_total(
    episode: Episode, total: Total, apart: float | None, situation: Situation, now: datetime
) -> Alert | None:
    """Open the alert again if NEWS2 is a tier above the total at the decision."""
    decided = episode.decided
    if decided is None or not is_total_tier(decided.news2, total.minimum):
        return None
    if not _is_row(decided, TOTAL, total.at, apart, situation):
        return None
    return _open(episode, now, total.why, situation)


def held(episode: Episode, situation: Situation, now: datetime) -> Alert | None:
    """Open the alert for what was held back, if it is still so when the wait is over."""
    decided = episode.decided
    since = episode.worse_at
    if decided is None or since is None or not episode.held:
        return None
    at = since + timedelta(minutes=situation.limits.tier_wait_minutes)
    if at > now:
        return None
    episode.held = False
    for name, member in episode.members.items():
        newest = member.newest
        if (
            newest is None
            or member.direction is None
            or newest.measured_at != situation.heard_at(member.vital)
        ):
            continue
        if newest.number and (
            _is_again(decided, name, member)
            or is_step(decided, member, Decimal(newest.number), situation)
        ):
            return open_worse(episode, at, newest.why)
    total = situation.total
    if total is not None and is_total_tier(decided.news2, total.minimum):
        return open_worse(episode, at, total.why)
    return None


def last_beyond(episode: Episode, finding: Finding) -> datetime | None:
    """When a value beyond the limit of a finding was measured before.

    A value beyond a limit of the same side that is no milder counts too.
    """
    side = finding.direction
    if side is None:
        return None
    times: Iterator[datetime] = (
        member.measured_at
        for name, member in episode.members.items()
        if member.vital == finding.vital
        and member.direction == side
        and (name == finding.member or _is_as_far_out(member, side, finding.bound))
    )
    return max(times, default=None)


def _is_as_far_out(member: Member, side: Direction, bound: Decimal | None) -> bool:
    """Whether a value beyond a member's limit is also beyond ``bound``.

    It is not for a prediction, which has no limit.
    """
    return bool(member.bound) and bound is not None and not is_worse(side, str(bound), member.bound)


def _is_again(decided: DecisionBasis, name: str, member: Member) -> bool:
    """Whether a value of a member came again after an hour.

    An older release kept the vital and side instead of the member's name.
    """
    return name in decided.again or f"{member.vital}:{member.direction}" in decided.again


def is_step(
    stood: DecisionBasis | Snapshot, member: Member, number: Decimal, situation: Situation
) -> bool:
    """Whether a value is a step or more beyond the baseline.

    Where the baseline was inside, the value is compared with the limit.
    """
    side = member.direction
    if side is None or not member.bound:
        return False
    bound = Decimal(member.bound)
    is_known = f"{member.vital}:{side}" in stood.beyond and member.vital in stood.numbers
    base = Decimal(stood.numbers[member.vital]) if is_known else bound
    if not base.is_finite():
        return False
    step = step_of(situation, member.vital, side, bound)
    return number <= base - step if side == "low" else number >= base + step


def is_graver(episode: Episode, finding: Finding, situation: Situation) -> bool:
    """Whether a value is a tier worse than the worst of its side since the alert opened."""
    member = episode.members.get(finding.member)
    side = finding.direction
    number = finding.number
    if side is None or number is None:
        return False
    if member is None or member.worst is None:
        return True
    worst = Decimal(member.worst.number)
    if finding.beyond_query and not situation.is_beyond_query(finding.vital, side, worst):
        return True
    step = step_of(situation, finding.vital, side, Decimal(member.bound or "0"))
    return worst.is_finite() and (
        number <= worst - step if side == "low" else number >= worst + step
    )


def is_total_tier(stood: int | None, total: int) -> bool:
    """Whether a NEWS2 total is a tier above the total ``stood``."""
    before = stood or 0
    return total >= before + TOTAL_STEP or any(before < edge <= total for edge in EDGES)


def moment_of(episode: Episode, at: datetime) -> int | None:
    """The place of the moment that held at ``at``, or None where it is no longer kept."""
    places = [place for place, moment in enumerate(episode.moments) if moment.at <= at]
    return places[-1] if places else None


def decision_at(episode: Episode, at: datetime) -> DecisionBasis:
    """The values that were known at ``at``.

    It is empty where the moment is no longer kept. Values are then compared with the limits
    themselves.
    """
    place = moment_of(episode, at)
    if place is None:
        return DecisionBasis({}, None)
    moment = episode.moments[place]
    return DecisionBasis(dict(moment.numbers), moment.news2, moment.beyond)


def has_passed(episode: Episode, at: datetime, situation: Situation) -> bool:
    """Whether a tier has come since the record that a person saw."""
    place = moment_of(episode, at)
    if place is not None:
        stood = episode.moments[place]
        return any(
            _is_passed_by(episode, stood, later, situation) for later in episode.moments[place:]
        )
    if at < episode.alert.opened_at:
        return False  # the person's clock is behind: the alert did not exist at that time
    # The moment is no longer kept. Whatever is a tier beyond a limit since the alert opened may
    # have come since the record.
    worst = {
        f"{member.vital}:{member.direction}": member.worst.number
        for member in episode.members.values()
        if member.worst is not None and member.direction is not None
    }
    unknown = Snapshot(at, True, {}, None)
    return _is_passed_by(episode, unknown, Snapshot(at, True, {}, None, worst), situation)


def _is_passed_by(episode: Episode, stood: Snapshot, later: Snapshot, situation: Situation) -> bool:
    if later.worst_news2 is not None and is_total_tier(stood.news2, later.worst_news2):
        return True
    for member in episode.members.values():
        if member.direction is None:
            continue
        text = later.worst.get(f"{member.vital}:{member.direction}")
        if text is None:
            continue
        number = Decimal(text)
        if is_step(stood, member, number, situation):
            return True
        if situation.is_beyond_query(
            member.vital, member.direction, number
        ) and not _stood_beyond_query(stood.numbers, member.vital, member.direction, situation):
            return True
    return False


def _stood_beyond_query(
    stood: dict[str, str], vital: str, side: Direction, situation: Situation
) -> bool:
    known = stood.get(vital)
    return known is not None and situation.is_beyond_query(vital, side, Decimal(known))


def _is_row(
    decided: DecisionBasis, key: str, at: datetime, apart: float | None, situation: Situation
) -> bool:
    """Whether a tier counts.

    It counts at once where readings are rare. Where they are dense it counts once the row is long
    enough.
    """
    row = decided.rows.get(key)
    if row is None or abs((at - row.last).total_seconds()) > situation.limits.dense_seconds:
        row = decided.rows[key] = TierRun(at, at)
    row.since = min(row.since, at)
    row.last = max(row.last, at)
    is_dense = apart is not None and apart < situation.limits.dense_seconds
    return not is_dense or row.last - row.since >= timedelta(seconds=situation.limits.row_seconds)


def _open(episode: Episode, now: datetime, why: str, situation: Situation) -> Alert | None:
    """Open the alert again, or hold it back for the rest of the wait."""
    wait = timedelta(minutes=situation.limits.tier_wait_minutes)
    if episode.worse_at is not None and now < episode.worse_at + wait:
        episode.held = True
        return None
    return open_worse(episode, now, why)
