"""Correct a patient's open alerts after readings were taken back (CONTRACT 10, What is so now).

An alert without any correct reading left is withdrawn. An alert that also rests on other readings
stays. It no longer names the wrong ones, and its history has a step for the correction (law 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from rpm_stream.alert.episode import DecisionBasis, Episode, Fact, Member
from rpm_stream.alert.episodes import change, evidence_of, found_of, is_worse, take_over_back
from rpm_stream.alert.telling import note_last_record
from rpm_stream.pipeline.alert_records import put
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.pipeline.work import Work
from rpm_stream.records import RANK, Action, Finding, Transition

NOT_KEPT = "may have been beyond its limit, by readings that are not kept one by one"


class Withdrawal(NamedTuple):
    """What is still correct after readings were taken back.

    ``wrong`` has the ids of the readings taken back. ``findings`` has what the remaining readings
    are beyond, by member.
    """

    wrong: frozenset[str]
    findings: Mapping[str, Sequence[Finding]]
    scoring: Scoring


def correct_alerts(work: Work, action: Action, wrong: frozenset[str], scoring: Scoring) -> None:
    """Add a record of each alert that named one of the ``wrong`` readings (ids)."""
    episodes = work.state.episodes
    for group in sorted(episodes):
        episode = episodes[group]
        if not _names(episode, wrong):
            continue
        vitals = sorted({member.vital for member in episode.members.values()})
        standing = [
            finding
            for vital in vitals
            for finding in scoring.standing(work.patient, work.entry, vital)
        ]
        by_member: dict[str, list[Finding]] = {}
        for finding in standing:
            if finding.group == group and wrong.isdisjoint(evidence_of(finding)):
                by_member.setdefault(finding.member, []).append(finding)
        _correct(work, episode, Withdrawal(wrong, by_member, scoring))
        work.found += [reading for finding in standing for reading in finding.evidence]
        _end_or_put(work, episode, action, scoring)
    for episode in episodes.values():
        if episode.alert.over and not scoring.are_recovered(work.state, work.entry, episode):
            take_over_back(episode, work.now)
            put(work, episode)
            note_last_record(episode, work.situation, work.now)


def _names(episode: Episode, wrong: frozenset[str]) -> bool:
    named = set(episode.alert.evidence) | set(episode.first.evidence if episode.first else ())
    for member in episode.members.values():
        named |= set(member.evidence) | set(member.newest.evidence if member.newest else ())
        named |= {member.worst.id} if member.worst else set()
    return not named.isdisjoint(wrong)


def _correct(work: Work, episode: Episode, right: Withdrawal) -> None:
    for name, member in list(episode.members.items()):
        if not _correct_member(work, name, member, right):
            del episode.members[name]
    alert = episode.alert
    evidence = tuple(each for each in alert.evidence if each not in right.wrong)
    episode.alert = msgspec.structs.replace(alert, evidence=evidence)
    if episode.first is not None and not set(episode.first.evidence).isdisjoint(right.wrong):
        episode.first = None
    # The remembered values may have been wrong ones. A decision about them holds, and getting worse
    # is measured by the limits.
    episode.moments = []
    episode.told = None
    if episode.decided is not None:
        episode.decided = DecisionBasis({}, episode.decided.news2)


def _correct_member(work: Work, name: str, member: Member, known: Withdrawal) -> bool:
    """Return whether anything correct is left of a member, which then names only that."""
    wrong = known.wrong
    right = known.findings.get(name, ())
    if member.worst is not None and member.worst.id in wrong:
        member.worst = _worst(right)
    newest = member.newest
    if newest is not None and not set(newest.evidence).isdisjoint(wrong):
        member.newest = newest = found_of(right[-1]) if right else None
    if member.evidence and wrong.isdisjoint(member.evidence):
        return True
    if right:
        _name_worst(member, right)
        return True
    if newest is not None:
        member.why = newest.why
        member.title = newest.title
        member.evidence = newest.evidence
        member.priority = newest.priority
        member.told = newest.number
        return True
    return _holds_unfound(work, member, known)


def _name_worst(member: Member, right: Sequence[Finding]) -> None:
    """Let a member name the worst of its findings, of equals the newest."""
    best = max(right, key=lambda finding: (RANK[finding.priority], finding.measured_at))
    member.why = best.why
    member.title = best.title
    member.evidence = evidence_of(best)
    member.rule = best.rule
    member.priority = best.priority
    member.measured_at = right[-1].measured_at
    member.told = "" if best.number is None else str(best.number)


def _holds_unfound(work: Work, member: Member, known: Withdrawal) -> bool:
    """Return whether a member without a finding may still hold. It names what is left of it."""
    member.told = ""
    left = [each for each in member.evidence if each not in known.wrong]
    # a member of an older release: in doubt it is kept
    if not member.evidence and member.kind != "limit":
        total = work.situation.total
        return member.kind != "news2" or (total is not None and total.priority is not None)
    if member.kind == "silence":  # the vital is still expected and not heard
        member.evidence = tuple(left)
        return True
    if member.kind == "news2" and left:
        member.why = ""
        member.evidence = tuple(left)
        return True
    if known.scoring.holds_unnamed(work.state, work.entry, member):
        plain = work.situation.plain(member.vital)
        member.title = f"{plain[:1].upper()}{plain[1:]} {member.direction or 'beyond its limit'}"
        member.why = f"{plain} {NOT_KEPT}"
        member.evidence = tuple(left)
        return True
    return bool(left) and member.kind != "limit"


def _worst(right: Sequence[Finding]) -> Fact | None:
    found: Fact | None = None
    for finding in right:
        reading = finding.evidence[0]
        number = finding.number
        side = finding.direction
        if (
            number is not None
            and side
            and (found is None or is_worse(side, str(number), found.number))
        ):
            found = Fact(
                reading.id,
                reading.value,
                reading.unit,
                reading.absent,
                reading.measured_at,
                str(number),
            )
    return found


def _end_or_put(work: Work, episode: Episode, action: Action, scoring: Scoring) -> None:
    alert = episode.alert
    is_left = bool(episode.members)
    step = Transition(
        at=work.now,
        state=alert.state if is_left else "resolved",
        priority=alert.priority,
        who=action.who,
        reason=action.reason or ("" if is_left else "its readings were taken back"),
        event="corrected" if is_left else "withdrawn",
    )
    change(episode, step)
    if is_left:
        historical = alert.historical and scoring.are_back(work.state, work.entry, episode)
        episode.alert = msgspec.structs.replace(episode.alert, historical=historical)
        put(work, episode)
        note_last_record(episode, work.situation, work.now)
        return
    del work.state.episodes[alert.group]
    episode.alert = msgspec.structs.replace(episode.alert, over=False)
    work.alerts.append(episode.alert)
