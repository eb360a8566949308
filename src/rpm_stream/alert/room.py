"""What open alerts give up where a patient's state would grow too large (pipeline/room.py says when).

No alert, no priority and no state is given up, and never the rule that decided (law 3). Words go first: those of rules
that the alert does not show, and steps of the history by which nothing changed but that a further rule was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from rpm_stream.alert.episodes import RANK, Episode, Member
from rpm_stream.records import Transition
from rpm_stream.words import SERVICE

SHORT = 60  # octets of what nobody is shown
LONG = 160  # octets of each text where only few are kept
FEW = 6
LIMIT, NEWS2 = "limit:", "news2"  # how the names of members begin that score gives


def lighten(episodes: Iterable[Episode], most: int) -> None:
    """Keep of each episode the ``most`` members that weigh most, as many lines and steps and pieces of evidence.

    NEWS2 and one limit of each vital stay, however few: the alert must wait for their recovery, and all limits of a
    vital recover together. Where few are kept, people's steps go too, the oldest first, and long texts are cut. The
    opening step and reading always stay.
    """
    for episode in episodes:
        _merge(episode.members, most)
        shown = frozenset(episode.alert.why)
        for member in episode.members.values():
            if member.why not in shown:
                member.why = _cut(member.why, SHORT)
        steps = _life(episode.alert.history, most)
        if most <= FEW:
            _cut_members(episode.members)
            steps = tuple(msgspec.structs.replace(step, reason=_cut(step.reason, LONG)) for step in steps)
        alert = episode.alert
        episode.alert = msgspec.structs.replace(
            alert,
            title=_cut(alert.title, LONG),
            why=tuple(_cut(line, LONG) if most <= FEW else line for line in alert.why[:most]),
            evidence=(*alert.evidence[:1], *alert.evidence[1:][-most:]),
            history=steps,
        )


def _cut_members(members: dict[str, Member]) -> None:
    for member in members.values():
        member.why, member.rule = _cut(member.why, LONG), _cut(member.rule, LONG)


def _merge(members: dict[str, Member], most: int) -> None:
    """Forget the members that weigh least until ``most`` are left, but none that the end of the alert hangs on."""
    if len(members) <= most:
        return
    ordered = sorted(members, key=lambda name: (*_weight(members[name]), name))
    decisive = frozenset({members[name].vital: name for name in ordered if name.startswith(LIMIT)}.values())
    spare = [name for name in ordered if name not in decisive and name != NEWS2]
    for name in spare[: len(members) - most]:
        del members[name]


def _weight(member: Member) -> tuple[int, float]:
    return RANK[member.priority], member.measured_at.timestamp()


def _life(history: tuple[Transition, ...], most: int) -> tuple[Transition, ...]:
    """The opening step, those by which the state or the priority changed, those of people, and the newest."""
    if len(history) <= most:
        return history
    old = list(history[:-most])
    told = [
        step
        for before, step in pairwise(old)
        if step.who != SERVICE or (step.state, step.priority) != (before.state, before.priority)
    ]
    kept = (old[0], *told, *history[-most:])
    return kept if most > FEW else (kept[0], *kept[1:][-most:])


def _cut(text: str, octets: int) -> str:
    if len(text) * 4 <= octets or len(text.encode()) <= octets:
        return text
    return f"{text.encode()[: octets - 3].decode(errors='ignore')}…"
