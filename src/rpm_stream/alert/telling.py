"""The texts of an alert: what is so now and what raised it (CONTRACT 10).

They are made from the facts of its members. The member that matters most comes first and gives the
title. A member whose newest value is beyond its limit comes before one that is back. After that the
order is the priority of that value, a low glucose before a high one, the points of NEWS2, and the
newest. A line for the first finding stays. ``evidence`` holds the readings that the lines name, in
their order. A line whose readings do not fit is left out (law 12).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from rpm_stream.alert.episode import MOST_EVIDENCE, Episode, Fact, LastRecord, Member, MemberFinding
from rpm_stream.alert.episodes import evidence_of, is_worse
from rpm_stream.alert.situation import Situation
from rpm_stream.alert.snapshots import note_snapshot
from rpm_stream.alert.tiers import step_of
from rpm_stream.records import RANK, Alert, Finding, Now, Reading, Sample
from rpm_stream.text import is_of_values

MOST_WHY = 12
GLUCOSE = "glucose"  # the group in which low comes before high
WhyLine = tuple[str, tuple[str, ...]]  # a text, and the ids of the readings that it names


def describe(episode: Episode, situation: Situation) -> Alert:
    """Write the texts of what is so now, and return the alert's record."""
    if not is_of_values(episode.alert.group):
        return _describe_devices(episode)
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
    """The times of the newest measurements of what the alert is about."""
    for member in episode.members.values():
        if (at := situation.heard_at(member.vital)) is not None:
            yield at
        if member.kind == "news2" and situation.total is not None:
            yield situation.total.at


def _describe_devices(episode: Episode) -> Alert:
    """Write a line for each member that is not well, the one that weighs most first.

    If all members are well, each has a line. Alerts about devices have no course of values to
    describe.
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
    """Whether the newest value of a member is one that its rule finds."""
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


def _lines(episode: Episode, ranked: list[Member], situation: Situation) -> Iterator[WhyLine]:
    """Yield the lines of the first member, of what opened the alert, and of the others."""
    (top, *others) = ranked
    first = episode.first
    why, evidence = _line(top, situation)
    shown = [why]
    yield why, evidence
    if _was_graver(top, situation):
        shown.append(top.why)
        yield f"before: {top.why}", top.evidence
    if first is not None and not any(first.why in each for each in shown):
        shown.append(first.why)
        yield f"rang first: {first.why}", first.evidence
    vitals = {top.vital}
    for member in others:
        if member.vital in vitals and member.kind != "news2" and not is_beyond(member, situation):
            # a line above has the newest value of this vital
            why = f"before: {member.why}"
            evidence = member.evidence
        else:
            why, evidence = _line(member, situation)
        vitals.add(member.vital)
        if why not in shown and member.why not in shown:
            yield why, evidence
            if _was_graver(member, situation):
                yield f"before: {member.why}", member.evidence


def _line(member: Member, situation: Situation) -> WhyLine:
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
        return f"{situation.value_words(reading)} now", (reading.id,)
    return f"{situation.value_words(reading)} now; before: {member.why}", (
        reading.id,
        *member.evidence,
    )


def _was_graver(member: Member, situation: Situation) -> bool:
    """Whether an earlier value that was reported of a member was a tier beyond its newest value.

    The newest value itself is beyond its limit.
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


def _beyond(member: Member, newest: MemberFinding, situation: Situation) -> WhyLine:
    """The line of a newest value beyond its limit, with the direction in which it moves."""
    trend = situation.trend(member.vital) if member.bound else None
    goes = f"; {trend}" if trend in ("rising", "falling") else ""
    return f"{newest.why}{goes}", newest.evidence


def _fitted(lines: list[WhyLine]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines whose readings all fit among the evidence, each once.

    The first line stays, and its readings are cut to what fits.
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
    """Yield an entry for each vital, the one that matters most first."""
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


def _sample(seen: Reading | Fact) -> Sample:
    return Sample(
        value=seen.value, unit=seen.unit, measured_at=seen.measured_at, absent=seen.absent
    )


def _worst(ranked: list[Member], vital: str) -> Sample | None:
    """The worst value of a vital, from the first member that has one.

    Where both sides were breached, this is the side that matters more now.
    """
    for member in ranked:
        if member.vital == vital and (worst := member.worst) is not None:
            return _sample(worst)
    return None


# --- when what is so now is worth a record, and what was reported ---------------------------------


def is_news(episode: Episode, situation: Situation, now: datetime) -> bool:
    """Whether what is so now is worth a record of its own.

    It is if a value is a step worse, if a limit was crossed, or if enough time has passed.
    """
    last = episode.told
    if last is None:
        # an alert of an older release, or of a state that was full: not known what was reported
        return True
    for name, member in episode.members.items():
        if last.levels.get(name, "") != _level(member, situation):
            return True
        newest = member.newest
        before = last.worst.get(name)
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
    if now - last.at < timedelta(minutes=situation.limits.now_every_minutes):
        return False
    return last.until is None or any(at > last.until for at in _newest(episode, situation))


def note_graver(member: Member, finding: Finding, situation: Situation) -> bool:
    """Keep the words of a finding that is a tier worse than what was reported of its member.

    Return whether it is. The record of the message then shows these words even if a newer value is
    already better.
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
    """Whether ``number`` is a tier worse than ``than``.

    That is a step or more, or beyond the query bound where ``than`` is not.
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
    """Whether ``number`` is a step or more worse than ``than``."""
    here = Decimal(number)
    there = Decimal(than)
    # LO and HI are further out than any number
    if not (here.is_finite() and there.is_finite()):
        return member.direction is not None and is_worse(member.direction, number, than)
    return (there - here if member.direction == "low" else here - there) >= step


def _level(member: Member, situation: Situation) -> str:
    """The level of the newest value: inside, between, or the limit that it is beyond."""
    if (
        member.kind != "news2"
        and member.bound
        and member.newest is not None
        and is_beyond(member, situation)
    ):
        return f"{member.newest.priority} {member.newest.title}"
    return situation.level(member)


def note_last_record(episode: Episode, situation: Situation, now: datetime) -> None:
    """Keep what the record just made reports, and that a person may have seen it."""
    if not is_of_values(episode.alert.group):
        return
    worst = {
        name: member.worst.number
        for name, member in episode.members.items()
        if member.worst is not None
    }
    levels = {name: _level(member, situation) for name, member in episode.members.items()}
    for member in episode.members.values():
        _note_worst_shown(member, situation)
    episode.told = LastRecord(
        now, worst, levels, max(_newest(episode, situation), default=episode.alert.measured_at)
    )
    note_snapshot(episode, situation, now, is_record=True)


def _note_worst_shown(member: Member, situation: Situation) -> None:
    """Keep the worst that was reported of a member, for the text once the member is back."""
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
