"""What an alert says: what is so now and what rang, from the facts of its members (CONTRACT 10,
What is so now).

The member that matters most stands first and gives the title: one whose newest value is beyond its
limit before one that is back, then by the priority of that value, a low glucose before a high one,
the points of NEWS2, the newest. A line for what rang first stays. ``evidence`` is what the lines
name, in their order; a line whose readings do not fit is left out (law 12).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from rpm_stream.alert.episode import MOST_EVIDENCE, Episode, Found, Member, Told
from rpm_stream.alert.episodes import evidence_of, is_worse
from rpm_stream.alert.moments import note_moment
from rpm_stream.alert.situation import Situation
from rpm_stream.alert.tiers import step_of
from rpm_stream.records import RANK, Alert, Finding, Now, Reading, Sample
from rpm_stream.text import is_of_values

MOST_WHY = 12
GLUCOSE = "glucose"  # the group in which low comes before high
Line = tuple[str, tuple[str, ...]]  # words, and the ids of the readings that they name


def tell(episode: Episode, situation: Situation) -> Alert:
    """Say anew what is so now; the alert's record."""
    if not is_of_values(episode.alert.group):
        return _tell_of_devices(episode)
    ranked = _ranked(episode, situation)
    why, evidence = _fitted(list(_lines(episode, ranked, situation)))
    episode.alert = msgspec.structs.replace(
        episode.alert,
        title=_title(episode, ranked[0], situation),
        why=why or episode.alert.why,
        evidence=evidence or episode.alert.evidence,
        now=tuple(_now(ranked, situation)),
        measured_at=max([episode.alert.measured_at, *_newest(episode, situation)]),
    )
    return episode.alert


def _newest(episode: Episode, situation: Situation) -> Iterator[datetime]:
    """When what the alert is about was measured last."""
    for member in episode.members.values():
        if (at := situation.heard_at(member.vital)) is not None:
            yield at
        if member.kind == "news2" and situation.total is not None:
            yield situation.total.at


def _tell_of_devices(episode: Episode) -> Alert:
    """One line a member that is not well, what weighs most first: what is wrong there has no
    course of values.
    """
    ordered = sorted(
        episode.members.values(), key=lambda member: (member.well, -RANK[member.priority])
    )
    why, evidence = _fitted(
        [(each.why, each.evidence) for each in ordered if each.well is ordered[0].well]
    )
    episode.alert = msgspec.structs.replace(
        episode.alert,
        title=ordered[0].title or episode.alert.title,
        why=why,
        evidence=evidence or episode.alert.evidence,
    )
    return episode.alert


# --- which member matters most --------------------------------------------------------------------


def _ranked(episode: Episode, situation: Situation) -> list[Member]:
    is_of_glucose = episode.alert.group == GLUCOSE
    ordered = sorted(
        episode.members.items(),
        key=lambda each: (*_rank(each[1], situation, is_of_glucose), each[0]),
    )
    return [member for _, member in ordered]


def is_beyond(member: Member, situation: Situation) -> bool:
    """Whether the newest value of a member is what its rule rings for."""
    if member.kind == "news2":
        return situation.total is not None and situation.total.priority is not None
    return member.newest is not None and member.newest.measured_at == situation.heard_at(
        member.vital
    )


def _rank(
    member: Member, situation: Situation, is_of_glucose: bool
) -> tuple[bool, int, bool, int, float, str]:
    beyond = is_beyond(member, situation)
    priority = member.priority
    points = 0
    at = member.measured_at
    if member.kind == "news2" and situation.total is not None:
        priority = situation.total.priority or priority
        points = situation.total.minimum
        at = situation.total.at
    elif beyond and member.newest is not None:
        priority = member.newest.priority
        points = member.newest.points
        at = member.newest.measured_at
    is_high_glucose = is_of_glucose and member.direction == "high"
    return not beyond, -RANK[priority], is_high_glucose, -points, -at.timestamp(), member.vital


# --- words ----------------------------------------------------------------------------------------


def _title(episode: Episode, member: Member, situation: Situation) -> str:
    total = situation.total
    reading = situation.latest.get(member.vital)
    rang = member.title or episode.alert.title
    if member.kind == "news2" and total is not None:
        return total.title if total.priority is not None else f"{rang}, now {total.minimum}"
    if member.newest is not None and is_beyond(member, situation):
        return member.newest.title
    return (
        f"{rang}, now {situation.short(reading)}"
        if reading is not None and member.direction
        else rang
    )


def _lines(episode: Episode, ranked: list[Member], situation: Situation) -> Iterator[Line]:
    """The first member, what rang first, the others."""
    (top, *others) = ranked
    first = episode.first
    why, evidence = _line(top, situation)
    said = [why]
    yield why, evidence
    if _was_graver(top, situation):
        said.append(top.why)
        yield f"before: {top.why}", top.evidence
    if first is not None and not any(first.why in each for each in said):
        said.append(first.why)
        yield f"rang first: {first.why}", first.evidence
    vitals = {top.vital}
    for member in others:
        if member.vital in vitals and member.kind != "news2" and not is_beyond(member, situation):
            # what it is now stands above
            why = f"before: {member.why}"
            evidence = member.evidence
        else:
            why, evidence = _line(member, situation)
        vitals.add(member.vital)
        if why not in said and member.why not in said:
            yield why, evidence
            if _was_graver(member, situation):
                yield f"before: {member.why}", member.evidence


def _line(member: Member, situation: Situation) -> Line:
    total = situation.total
    reading = situation.latest.get(member.vital)
    newest = member.newest
    if member.kind == "news2" and total is not None:
        was = "" if total.priority is not None else f"; before: {member.title}"
        return f"{total.why}{was}", total.evidence
    if newest is not None and is_beyond(member, situation):
        return _beyond(member, newest, situation)
    if reading is None or member.direction is None:
        return member.why, member.evidence
    if not member.why:
        return f"{situation.said(reading)} now", (reading.id,)
    return f"{situation.said(reading)} now; before: {member.why}", (reading.id, *member.evidence)


def _was_graver(member: Member, situation: Situation) -> bool:
    """Whether a member whose newest value is beyond its limit was told by one that was a tier
    beyond that.
    """
    newest = member.newest
    if (
        member.kind == "news2"
        or newest is None
        or not (is_beyond(member, situation) and newest.number and member.told)
    ):
        return False
    is_higher = RANK[member.priority] > RANK[newest.priority]
    return member.why != newest.why and (
        is_higher or _is_tier(member, member.told, newest.number, situation)
    )


def _beyond(member: Member, newest: Found, situation: Situation) -> Line:
    """What the newest value is beyond, and where it goes."""
    trend = situation.trend(member.vital) if member.bound else None
    goes = f"; {trend}" if trend in ("rising", "falling") else ""
    return f"{newest.why}{goes}", newest.evidence


def _fitted(lines: list[Line]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines whose readings all fit among the evidence, each once.

    The first line stays, cut to what fits.
    """
    why: dict[str, None] = {}
    named: dict[str, None] = {}
    for words, evidence in lines[:MOST_WHY]:
        more = [each for each in evidence if each not in named]
        if why and len(named) + len(more) > MOST_EVIDENCE:
            continue
        why[words] = None
        named.update(dict.fromkeys(more[:MOST_EVIDENCE]))
    return tuple(why), tuple(named)


# --- what is so now -------------------------------------------------------------------------------


def _now(ranked: list[Member], situation: Situation) -> Iterator[Now]:
    """One entry a vital, the one that matters most first."""
    known: set[str] = set()
    for member in ranked:
        vitals = (
            situation.total.vitals
            if member.kind == "news2" and situation.total is not None
            else (member.vital,)
        )
        for vital in vitals:
            reading = situation.latest.get(vital)
            if vital not in known and reading is not None:
                known.add(vital)
                newest = _sample(reading)
                yield Now(
                    vital=vital,
                    newest=newest,
                    worst=_worst(ranked, vital) or newest,
                    trend=situation.trend(vital),
                )


def _sample(reading: Reading) -> Sample:
    return Sample(
        value=reading.value,
        unit=reading.unit,
        measured_at=reading.measured_at,
        absent=reading.absent,
    )


def _worst(ranked: list[Member], vital: str) -> Sample | None:
    """Of the first member that has one: where both sides were broken, the side that matters more
    now.
    """
    for member in ranked:
        if member.vital == vital and (worst := member.worst) is not None:
            return Sample(
                value=worst.value,
                unit=worst.unit,
                measured_at=worst.measured_at,
                absent=worst.absent,
            )
    return None


# --- when what is so now is worth a record, and what was told -------------------------------------


def is_news(episode: Episode, situation: Situation, now: datetime) -> bool:
    """Whether what is so now is worth a record of its own: a step worse, a limit crossed, or a
    while has passed.
    """
    told = episode.told
    if told is None:
        # of an older release's alert, or where the state was full, it is not known what was told
        return True
    for name, member in episode.members.items():
        if told.levels.get(name, "") != _level(member, situation):
            return True
        newest = member.newest
        before = told.worst.get(name)
        if (
            newest is None
            or not newest.number
            or before is None
            or member.direction is None
            or not member.bound
        ):
            continue
        step = step_of(situation, member.vital, member.direction, Decimal(member.bound))
        if is_beyond(member, situation) and _is_by(member, newest.number, before, step):
            return True
    if now - told.at < timedelta(minutes=situation.limits.now_every_minutes):
        return False
    return told.until is None or any(at > told.until for at in _newest(episode, situation))


def note_graver(member: Member, finding: Finding, situation: Situation) -> bool:
    """Whether a value is a tier worse than what was told of a member. Its words are kept then: the
    message's record has them, also where a newer value is better already.
    """
    number = None if finding.number is None else str(finding.number)
    if number is None or member.direction is None or not member.bound:
        return False
    if member.told and not _is_tier(member, number, member.told, situation):
        return False
    member.why = finding.why
    member.title = finding.title
    member.told = number
    member.evidence = evidence_of(finding)
    return True


def _is_tier(member: Member, number: str, than: str, situation: Situation) -> bool:
    """Whether ``number`` is a step or more worse than another one, or beyond the query bound
    where that is not.
    """
    side = member.direction
    if side is None or not member.bound:
        return False
    is_beyond_query = situation.is_beyond_query(member.vital, side, Decimal(number))
    if is_beyond_query and not situation.is_beyond_query(member.vital, side, Decimal(than)):
        return True
    return _is_by(
        member, number, than, step_of(situation, member.vital, side, Decimal(member.bound))
    )


def _is_by(member: Member, number: str, than: str, step: Decimal) -> bool:
    """Whether ``number`` is a step or more worse than another one."""
    here = Decimal(number)
    there = Decimal(than)
    # a display without a number is further out than any
    if not (here.is_finite() and there.is_finite()):
        return member.direction is not None and is_worse(member.direction, number, than)
    return (there - here if member.direction == "low" else here - there) >= step


def _level(member: Member, situation: Situation) -> str:
    """Where the newest value stands: inside, between, or beyond which of its limits."""
    if (
        member.kind != "news2"
        and member.bound
        and member.newest is not None
        and is_beyond(member, situation)
    ):
        return f"{member.newest.priority} {member.newest.title}"
    return situation.level(member)


def note_told(episode: Episode, situation: Situation, now: datetime) -> None:
    """Keep what the record just made tells, and that a person may have seen it."""
    if not is_of_values(episode.alert.group):
        return
    worst = {
        name: member.worst.number
        for name, member in episode.members.items()
        if member.worst is not None
    }
    levels = {name: _level(member, situation) for name, member in episode.members.items()}
    for member in episode.members.values():
        _note_worst_told(member, situation)
    episode.told = Told(
        now, worst, levels, max(_newest(episode, situation), default=episode.alert.measured_at)
    )
    note_moment(episode, situation, now, is_record=True)


def _note_worst_told(member: Member, situation: Situation) -> None:
    """Once it is back, a member is told by the worst that was told of it."""
    total = situation.total
    newest = member.newest
    if member.kind == "news2" and total is not None and total.minimum > member.points:
        member.title = total.title
        member.points = total.minimum
    elif newest is not None and newest.number and member.direction and is_beyond(member, situation):
        is_as_grave = RANK[newest.priority] >= RANK[member.priority]
        if is_as_grave and (
            not member.told or is_worse(member.direction, newest.number, member.told)
        ):
            member.why = newest.why
            member.title = newest.title
            member.told = newest.number
            member.evidence = newest.evidence
