"""The life of an alert: one episode a patient and group.

An episode lasts from the first finding until every member has recovered. The rules (CONTRACT 7 and
10):

- A further rule joins the alert.
- A rise in priority opens an acknowledged or snoozed alert again. So does a further rule at the
  same priority, and a breach of a side that the snooze does not cover.
- The priority never falls before the alert is resolved.
- Missing data resolves nothing.
- A high alert that no person has seen does not resolve by itself. It is over, and waits for a
  person.

Nothing here drops, delays or hides a finding (law 3). The score stage decides whether a member has
recovered, and the caller passes the time. Decisions of people are in ``alert/decisions.py``, what
gets worse after a decision in ``alert/tiers.py``, and the texts in ``alert/telling.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from rpm_stream.alert.episode import MOST_EVIDENCE, Episode, Episodes, Fact, Member, MemberFinding
from rpm_stream.alert.life_cycle import FIRST, next_state
from rpm_stream.ids import deterministic_id
from rpm_stream.records import RANK, Alert, Direction, Event, Finding, Transition
from rpm_stream.text import SERVICE, is_of_values

# whether a high member that has recovered waits for a person; a prediction does not
Waits: TypeAlias = Callable[[Member], bool]


def apply(
    episodes: Episodes, patient: str, finding: Finding, now: datetime, still_over: bool = False
) -> Alert | None:
    """Enter a finding, and return the alert's new record if anything changed.

    ``still_over`` is set for a late finding whose values are all back inside already. An alert that
    is over then stays over.
    """
    episode = episodes.get(finding.group)
    if episode is None:
        episode = episodes[finding.group] = _open(patient, finding, now)
        return episode.alert
    member = episode.members.get(finding.member)
    if (
        RANK[finding.priority] >= RANK[episode.alert.priority]
        and finding.measured_at >= episode.decided_at
    ):
        episode.decided_at = finding.measured_at
    is_new = member is None or member.well
    if member is None or member.well:  # what was found before it recovered no longer counts
        member = episode.members[finding.member] = found_member(finding)
    has_risen = RANK[finding.priority] > RANK[member.priority]
    _note(member, finding)
    if episode.alert.over and not still_over:
        return _return(episode, finding, now)
    if is_new or has_risen or _is_uncovered(episode, finding):
        return _join(episode, finding, now)
    return None


def _is_uncovered(episode: Episode, finding: Finding) -> bool:
    """Whether a snooze of the alert does not cover the side that the finding breaches."""
    snoozed = episode.snoozed
    return (
        snoozed is not None
        and finding.direction is not None
        and finding.direction not in snoozed.covers
    )


def evidence_of(finding: Finding) -> tuple[str, ...]:
    """The ids of the readings that a finding rests on, as many as an alert may name."""
    return tuple(dict.fromkeys(reading.id for reading in finding.evidence))[:MOST_EVIDENCE]


def found_of(finding: Finding) -> MemberFinding:
    """What a finding reports of its moment."""
    return MemberFinding(
        measured_at=finding.measured_at,
        priority=finding.priority,
        evidence=evidence_of(finding),
        title=finding.title,
        why=finding.why,
        points=finding.points,
        number=_plain(finding.number),
    )


def _plain(number: Decimal | None) -> str:
    return "" if number is None else str(number)


def found_member(finding: Finding) -> Member:
    """A new member of an episode, made from a finding."""
    return Member(
        kind=finding.kind,
        key=finding.key,
        rule=finding.rule,
        why=finding.why,
        priority=finding.priority,
        vital=finding.vital,
        measured_at=finding.measured_at,
        direction=finding.direction,
        evidence=evidence_of(finding),
        title=finding.title,
        bound=_plain(finding.bound),
    )


def _was_shown_worse(member: Member, finding: Finding) -> bool:
    """Whether the member's words already name a value further out than that of the finding.

    A second value in a row raises the member although the first was further out.
    """
    side = finding.direction
    number = finding.number
    return (
        bool(member.told)
        and side is not None
        and number is not None
        and is_worse(side, member.told, str(number))
    )


def _note(member: Member, finding: Finding) -> None:
    """Update a member from a finding: its priority, its newest finding and its worst value."""
    if RANK[finding.priority] > RANK[member.priority]:
        member.priority = finding.priority
        member.rule = finding.rule
        if not _was_shown_worse(member, finding):
            member.why = finding.why
            member.title = finding.title
            member.evidence = evidence_of(finding)
    member.measured_at = max(member.measured_at, finding.measured_at)
    if member.direction is None:  # of a trend that an older release found
        member.direction = finding.direction
    if not is_of_values(finding.group):
        return
    if member.newest is None or finding.measured_at >= member.newest.measured_at:
        member.newest = found_of(finding)
    if finding.number is None or finding.direction is None:
        return
    if member.worst is None or is_worse(
        finding.direction, str(finding.number), member.worst.number
    ):
        reading = finding.evidence[0]
        member.worst = Fact(
            reading.id,
            reading.value,
            reading.unit,
            reading.absent,
            reading.measured_at,
            str(finding.number),
        )
    if finding.bound is not None and (
        not member.bound or is_worse(finding.direction, member.bound, str(finding.bound))
    ):
        member.bound = str(finding.bound)


def is_worse(side: Direction, number: str, than: str) -> bool:
    """Whether a number lies further out on a side than another number."""
    return Decimal(number) < Decimal(than) if side == "low" else Decimal(number) > Decimal(than)


def _open(patient: str, finding: Finding, now: datetime) -> Episode:
    step = Transition(
        at=now,
        state=FIRST,
        priority=finding.priority,
        who=SERVICE,
        reason=finding.why,
        event="opened",
    )
    opened_by = finding.opened_by or (finding.evidence[0].id,)
    alert = Alert(
        id=deterministic_id("alert", patient, finding.group, *opened_by),
        patient=patient,
        group=finding.group,
        priority=finding.priority,
        state=FIRST,
        title=finding.title,
        why=(finding.why,),
        rule=finding.rule,
        evidence=evidence_of(finding),
        history=(step,),
        opened_at=now,
        measured_at=finding.measured_at,
        updated_at=now,
        late=finding.late,
    )
    member = found_member(finding)
    _note(member, finding)
    return Episode(
        alert=alert,
        members={finding.member: member},
        since=finding.measured_at,
        decided_at=finding.measured_at,
        first=found_of(finding) if is_of_values(finding.group) else None,
    )


def _join(episode: Episode, finding: Finding, now: datetime) -> Alert:
    """Enter a further rule, or a member that has risen.

    A finding that reaches the alert's priority opens the alert again.
    """
    alert = episode.alert
    rises = RANK[finding.priority] > RANK[alert.priority]
    reaches = RANK[finding.priority] >= RANK[alert.priority]
    opens = (reaches and not alert.over) or _is_uncovered(episode, finding)
    event: Event = (
        "raised" if rises else "reopened" if opens and alert.state != "open" else "joined"
    )
    state = next_state(alert.state, event)
    if state == "open" and (reaches or state != alert.state) and not alert.over:
        _becomes_open(episode)
    return _with_finding(episode, finding, now, event)


def _return(episode: Episode, finding: Finding, now: datetime) -> Alert:
    """Enter a finding after all values were back, before a person saw the alert.

    The alert is then announced like a new one.
    """
    episode.escalated = None
    _becomes_open(episode)
    episode.alert = msgspec.structs.replace(episode.alert, over=False, escalation=0)
    return _with_finding(episode, finding, now, "returned")


def take_over_back(episode: Episode, now: datetime) -> Alert:
    """Return an alert to waiting because the readings that made it over were voided.

    It waits for a person like a new alert.
    """
    episode.escalated = None
    episode.alert = msgspec.structs.replace(
        episode.alert, over=False, historical=False, escalation=0
    )
    return service_step(episode, now, "returned")


def _becomes_open(episode: Episode) -> None:
    """Drop what a person saw or decided before."""
    episode.seen = False
    episode.snoozed = None
    episode.decided = None


def _with_finding(episode: Episode, finding: Finding, now: datetime, event: Event) -> Alert:
    alert = episode.alert
    state = next_state(alert.state, event)
    rises = RANK[finding.priority] > RANK[alert.priority]
    priority = finding.priority if rises else alert.priority
    done = Transition(
        at=now, state=state, priority=priority, who=SERVICE, reason=finding.why, event=event
    )
    episode.alert = msgspec.structs.replace(
        alert,
        priority=priority,
        state=state,
        rule=finding.rule if rises else alert.rule,
        history=(*alert.history, done),
        measured_at=max(alert.measured_at, finding.measured_at),
        updated_at=max(now, alert.updated_at),
        historical=False,
        stale=False,
        late=alert.late and finding.late,
    )
    return episode.alert


def change(episode: Episode, step: Transition) -> Alert:
    """Enter a step of the alert's life, and return the alert's new record.

    The step may leave the state as it is. ``step.at`` is the time from which the step holds.
    ``updated_at`` never goes back, because a step that time causes may be noticed later.
    """
    alert = episode.alert
    if step.state != "snoozed":
        episode.snoozed = None
    if step.state == "open" and alert.state != "open":
        _becomes_open(episode)
    episode.alert = msgspec.structs.replace(
        alert,
        state=step.state,
        history=(*alert.history, step),
        updated_at=max(step.at, alert.updated_at),
    )
    return episode.alert


def service_step(episode: Episode, at: datetime, event: Event, reason: str = "") -> Alert:
    """Enter a step that no person took."""
    alert = episode.alert
    state = next_state(alert.state, event)
    step = Transition(
        at=at, state=state, priority=alert.priority, who=SERVICE, reason=reason, event=event
    )
    return change(episode, step)


def open_worse(episode: Episode, at: datetime, reason: str) -> Alert:
    """Open the alert again for a tier beyond what a person decided about (CONTRACT 10)."""
    episode.worse_at = at
    episode.alert = msgspec.structs.replace(episode.alert, historical=False, stale=False)
    return service_step(episode, at, "worse", reason)


def end(episodes: Episodes, group: str, now: datetime, reason: str) -> Alert:
    """End an episode without readings because its cause no longer exists."""
    return service_step(episodes.pop(group), now, "ended", reason)


def settle(
    episodes: Episodes, group: str, now: datetime, waits: Waits | None = None
) -> Alert | None:
    """Resolve the alert because all members have recovered.

    A high alert that no person has seen is marked as over instead, and waits. Return None where it
    is over already. An alert that only members that do not wait made high resolves.
    """
    episode = episodes[group]
    alert = episode.alert
    highest = [each for each in episode.members.values() if each.priority == alert.priority]
    is_waiting = waits is None or not highest or any(map(waits, highest))
    is_seen = episode.seen or alert.state == "acknowledged"
    if alert.priority == "high" and is_waiting and not is_seen:
        if alert.over:
            return None
        episode.alert = msgspec.structs.replace(alert, over=True, stale=False)
        return service_step(episode, now, "over")
    episode.alert = msgspec.structs.replace(alert, over=False)
    return service_step(episodes.pop(group), now, "recovered")


def settle_recovered(
    episodes: Episodes,
    groups: Iterable[str],
    recovered: Callable[[str, Member], bool],
    now: datetime,
    waits: Waits | None = None,
) -> list[tuple[Episode, Alert]]:
    """Settle each episode of ``groups`` whose members have all recovered, and return them."""
    ended = []
    for group in sorted(set(groups) & episodes.keys()):
        episode = episodes[group]
        if all(recovered(name, member) for name, member in episode.members.items()):
            alert = settle(episodes, group, now, waits)
            if alert is not None:
                ended.append((episode, alert))
    return ended


def note_well(episode: Episode, recovered: Callable[[str, Member], bool], now: datetime) -> bool:
    """Mark the members that have recovered while others still hold the alert.

    The alert then names the others alone. Return whether a mark has changed.
    """
    well = [name for name, member in episode.members.items() if recovered(name, member)]
    changed = [
        member for name, member in episode.members.items() if member.well is not (name in well)
    ]
    if not changed or len(well) == len(episode.members):
        return False
    for member in changed:
        member.well = not member.well
    episode.alert = msgspec.structs.replace(
        episode.alert, updated_at=max(now, episode.alert.updated_at)
    )
    return True


def group_of(episodes: Episodes, alert_id: str) -> str | None:
    """The group whose open episode has this alert."""
    return next(
        (group for group, episode in episodes.items() if episode.alert.id == alert_id), None
    )


def mark_stale(episodes: Episodes, group: str, at: datetime) -> Alert | None:
    """Mark the alert as stale, once, because no data newer than the limit allows has come.

    This resolves nothing. ``at`` is the time of the last reading plus the limit.
    """
    episode = episodes[group]
    if episode.alert.stale:
        return None
    episode.alert = msgspec.structs.replace(
        episode.alert, stale=True, updated_at=max(at, episode.alert.updated_at)
    )
    return episode.alert
