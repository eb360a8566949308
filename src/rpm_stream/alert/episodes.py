"""The life of an alert: one episode a patient and group, from the first finding to the recovery of every member.

Rules (CONTRACT 7): a further rule joins ``why``; a rise in priority, or a further rule at the same priority, opens
what was acknowledged or snoozed, and so does a breach to a side that a snooze does not cover; priority never falls
before it is resolved; missing data resolves nothing. Nothing here drops, delays or hides a finding (law 3). Whether a
member has recovered is told by score; time by the caller; what people decide is in decisions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from rpm_stream.ids import deterministic_id
from rpm_stream.records import Alert, Direction, Finding, Priority, State, Transition
from rpm_stream.words import SERVICE

RANK: dict[Priority, int] = {"low": 1, "medium": 2, "high": 3}
MOST_EVIDENCE = 8  # CONTRACT 1
MOST_WHY = 12


class Member(msgspec.Struct):
    """A rule inside an episode: its highest priority, its words then, and its vital."""

    rule: str
    why: str
    priority: Priority
    vital: str
    measured_at: datetime
    direction: Direction | None = None


class Snoozed(msgspec.Struct):
    """Until when an alert is snoozed, and which sides of the limits that covers."""

    until: datetime
    covers: tuple[Direction, ...]


class Escalated(msgspec.Struct):
    """How often an alert has escalated since it was last opened."""

    since: datetime
    times: int


class Episode(msgspec.Struct):
    """An alert that is not resolved, with its members by name."""

    alert: Alert
    members: dict[str, Member]
    since: datetime  # when its first finding was measured
    vital: str  # of the finding that decided last
    decided_at: datetime  # when that finding was measured
    snoozed: Snoozed | None = None
    escalated: Escalated | None = None


Episodes = dict[str, Episode]


def apply(episodes: Episodes, patient: str, finding: Finding, now: datetime) -> Alert | None:
    """Enter a finding; the alert's new record if anything changed."""
    episode = episodes.get(finding.group)
    if episode is None:
        episode = episodes[finding.group] = _open(patient, finding, now)
        return episode.alert
    member = episode.members.get(finding.member)
    if RANK[finding.priority] >= RANK[episode.alert.priority] and finding.measured_at >= episode.decided_at:
        episode.vital, episode.decided_at = finding.vital, finding.measured_at
    if member is None:
        episode.members[finding.member] = _member(finding)
        return _join(episode, finding, now)
    member.measured_at = max(member.measured_at, finding.measured_at)
    if RANK[finding.priority] > RANK[member.priority]:
        member.priority, member.rule, member.why = finding.priority, finding.rule, finding.why
    elif not _is_uncovered(episode, finding):
        return None
    return _join(episode, finding, now)


def _is_uncovered(episode: Episode, finding: Finding) -> bool:
    """Whether the alert is snoozed and the finding is a breach to a side that the snooze does not cover."""
    snoozed = episode.snoozed
    return snoozed is not None and finding.direction is not None and finding.direction not in snoozed.covers


def _member(finding: Finding) -> Member:
    return Member(
        rule=finding.rule, why=finding.why, priority=finding.priority, vital=finding.vital,
        measured_at=finding.measured_at, direction=finding.direction,
    )  # fmt: skip


def why_of(members: dict[str, Member]) -> tuple[str, ...]:
    """One line a member, what weighs most first: a reader begins with the reason to act."""
    ordered = sorted(members.values(), key=lambda member: -RANK[member.priority])
    return tuple(dict.fromkeys(member.why for member in ordered))[:MOST_WHY]


def _open(patient: str, finding: Finding, now: datetime) -> Episode:
    step = Transition(at=now, state="open", priority=finding.priority, who=SERVICE, reason=finding.why)
    opened_by = finding.opened_by or (finding.evidence[0].id,)
    alert = Alert(
        id=deterministic_id("alert", patient, finding.group, *opened_by),
        patient=patient,
        group=finding.group,
        priority=finding.priority,
        state="open",
        title=finding.title,
        why=(finding.why,),
        rule=finding.rule,
        evidence=tuple(dict.fromkeys(reading.id for reading in finding.evidence))[:MOST_EVIDENCE],
        history=(step,),
        opened_at=now,
        measured_at=finding.measured_at,
        updated_at=now,
        late=finding.late,
    )
    return Episode(
        alert=alert,
        members={finding.member: _member(finding)},
        since=finding.measured_at,
        vital=finding.vital,
        decided_at=finding.measured_at,
    )


def _join(episode: Episode, finding: Finding, now: datetime) -> Alert:
    """A further rule, or a member that has risen: one that reaches the alert's priority opens it again."""
    alert = episode.alert
    rises = RANK[finding.priority] > RANK[alert.priority]
    reaches = RANK[finding.priority] >= RANK[alert.priority]
    state: State = "open" if reaches or _is_uncovered(episode, finding) else alert.state
    priority = finding.priority if rises else alert.priority
    evidence = tuple(dict.fromkeys((*alert.evidence, *(reading.id for reading in finding.evidence))))
    if len(evidence) > MOST_EVIDENCE:  # the opening reading stays, the newest tell the rest
        evidence = (evidence[0], *evidence[-(MOST_EVIDENCE - 1) :])
    if state == "open":
        episode.snoozed = None
    episode.alert = msgspec.structs.replace(
        alert,
        priority=priority,
        state=state,
        title=finding.title if rises else alert.title,
        rule=finding.rule if rises else alert.rule,
        why=why_of(episode.members),
        evidence=evidence,
        history=(
            *alert.history,
            Transition(at=now, state=state, priority=priority, who=SERVICE, reason=finding.why),
        ),
        measured_at=max(alert.measured_at, finding.measured_at),
        updated_at=max(now, alert.updated_at),
        historical=False,
        stale=False,
        late=alert.late and finding.late,
    )
    return episode.alert


def change(episode: Episode, state: State, at: datetime, who: str, reason: str) -> Alert:
    """Enter a step of the alert's life, which may leave its state as it is; the alert's new record.

    ``at`` is when it holds from; ``updated_at`` never goes back, as a time-driven step may be noticed later.
    """
    alert = episode.alert
    step = Transition(at=at, state=state, priority=alert.priority, who=who, reason=reason)
    if state != "snoozed":
        episode.snoozed = None
    episode.alert = msgspec.structs.replace(
        alert, state=state, history=(*alert.history, step), updated_at=max(at, alert.updated_at)
    )
    return episode.alert


def resolve(episodes: Episodes, group: str, now: datetime, reason: str, who: str = SERVICE) -> Alert:
    """End an episode; its alert leaves the list."""
    return change(episodes.pop(group), "resolved", now, who, reason)


def resolve_recovered(
    episodes: Episodes, groups: Iterable[str], recovered: Callable[[str, Member], bool], now: datetime
) -> list[Alert]:
    """Resolve each episode of ``groups`` whose members have all recovered."""
    ended = []
    for group in sorted(set(groups) & episodes.keys()):
        members = episodes[group].members
        if all(recovered(name, member) for name, member in members.items()):
            ended.append(resolve(episodes, group, now, "back inside the recovery limits"))
    return ended


def group_of(episodes: Episodes, alert_id: str) -> str | None:
    """The group whose open episode has this alert."""
    return next((group for group, episode in episodes.items() if episode.alert.id == alert_id), None)


def mark_stale(episodes: Episodes, group: str, at: datetime) -> Alert | None:
    """No newer data than the limit allows: resolves nothing, says so once. ``at``: last reading + limit."""
    episode = episodes[group]
    if episode.alert.stale:
        return None
    episode.alert = msgspec.structs.replace(episode.alert, stale=True, updated_at=max(at, episode.alert.updated_at))
    return episode.alert


def mark_fresh(episodes: Episodes, group: str, now: datetime) -> Alert:
    """Newer data came: what the alert says of the situation is of today again."""
    episode = episodes[group]
    episode.alert = msgspec.structs.replace(episode.alert, stale=False, updated_at=max(now, episode.alert.updated_at))
    return episode.alert
